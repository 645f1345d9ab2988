"""How good predictors are on rows of a sweep, beside their baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.errors import InputError
from memviz.predictor.baselines import UNSCALED, fit_baselines
from memviz.predictor.data import PARTS, PredictorData, read_data
from memviz.predictor.evaluation import evaluate
from memviz.predictor.known import Known
from memviz.predictor.tables import Tables
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import SUITE
from memviz.tasks.base import Context

if TYPE_CHECKING:
    from memviz.predictor.network.artifact import Predictor


def evaluate_predictor(predictor: Predictor, parts: Mapping[str, PredictorData], context: Context) -> Tables:
    """The tables of a predictor and its baselines on the test part; these are fitted on the other two, as it is."""
    about, tick, test = predictor.about, partial(context.report, 0, 0), parts["test"]
    baselines = context.meanwhile(
        lambda: fit_baselines(parts["train"], predictor.setting, about["request"]["seed"], parts["validation"])
    )

    def of(guess: Any) -> Callable[[int], np.ndarray]:
        return lambda m: context.meanwhile(lambda: guess(test, m))

    methods: dict[str, Callable[[int], np.ndarray]] = {
        "predictor": lambda m: predictor.probability(test.inputs, m, tick)
    }
    methods |= {UNSCALED: lambda m: 1 / (1 + np.exp(-predictor.logits(test.inputs, m, tick).astype(np.float64)))}
    methods |= {name: of(guess) for name, guess in baselines.items()}
    head = {"predictor": about["id"], "fitted_on": about["model"], "model": test.model}
    return evaluate(test, methods, {**head, "setting": predictor.setting, "k": predictor.k})


def evaluate_on(
    known: Known,
    sweep: Sweep,
    model: str,
    context: Context,
) -> Tables:
    """The tables of a predictor on the test part of a sweep; baselines are fitted on the sweep's training part.

    The model may be another one where the predictor `transfers`: that it is of the same family, with the same
    tokenizer, is the caller's to see to. Raises InputError.
    """
    from memviz.predictor.network.artifact import load

    if known.weights != sweep.weights_of(model) and not known.transfers:
        raise InputError(
            f"this predictor was fitted on {known.model}, whose weights are not those of {model}: fit one for {model}, "
            "or one on statistics alone with --transfer"
        )
    if not _same_rows(known, sweep):
        raise InputError(
            f"this predictor was fitted on rows of {known.about['data']['source']}, and which of this sweep's rows it "
            "has seen is not known: evaluate it on a sweep of the same rows"
        )
    features = known.about["features"]
    data = read_data(
        sweep, model, known.k, known.m, context, bool(features["hidden"]), known.about["request"]["ngrams"],
        windows=known.about["request"].get("windows", 1), split=known.about["request"].get("split", "group"),
    )  # fmt: skip
    context.say("evaluating")
    return evaluate_predictor(load(known.folder), {name: data.where(data.places(name)) for name in PARTS}, context)


def _same_rows(known: Known, sweep: Sweep) -> bool:
    """Whether row numbers mean the same, so that the parts do too: in the suite always, else in the same file."""
    about = known.about["data"]
    if about["source"] == SUITE == sweep.task.rows.source:
        return True
    return about.get("sha256") == sweep.manifest["rows"]["sha256"]


def headline(tables: Tables) -> dict[str, float]:
    """Metric -> the predictor's value on the test part at its own m."""
    lines = tables.metrics[tables.metrics["method"] == "predictor"]
    lines = lines[lines["m"] == lines["m"].max()]
    values = zip(lines["metric"], lines["value"], strict=True)
    found = {metric: float(value) for metric, value in values if not np.isnan(value)}
    return found | {"prevalence": float(lines["prevalence"].iloc[0]), "n_test": int(lines["n"].iloc[0])}
