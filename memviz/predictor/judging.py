"""How good predictors are on rows of a sweep, beside their baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from memviz.errors import InputError
from memviz.predictor.baselines import BASELINES, MIX, UNSCALED, fit_baselines
from memviz.predictor.data import PARTS, PredictorData, read_data
from memviz.predictor.evaluation import evaluate, lengths_of
from memviz.predictor.known import Known
from memviz.predictor.tables import Tables
from memviz.store import request_hash
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import SUITE
from memviz.tasks.base import Context

if TYPE_CHECKING:
    from memviz.predictor.network.artifact import Predictor
    from memviz.predictor.network.module import Outputs


def evaluate_predictor(
    predictor: Predictor, parts: Mapping[str, PredictorData], context: Context, data: str | None = None
) -> Tables:
    """The tables of a predictor and its baselines on the test part; these are fitted on the other two, as it is.

    data: the key of what the parts were read from, by which what baselines say is kept.
    """
    from scipy.special import expit, logit  # pages do without

    about, tick, test = predictor.about, partial(context.report, 0, 0), parts["test"]
    guesses = _guesses(predictor, parts, context, data)
    whole = predictor.outputs(test.inputs, test.m, tick)

    @cache
    def said(m: int) -> Outputs:
        if predictor.setting == "published" and m < test.m:  # which sees no more than what is asked for
            return predictor.outputs(test.inputs, m, tick)
        return whole[0][:, :m], None if whole[1] is None else whole[1][:, :m]

    def scaled(m: int) -> np.ndarray:
        return said(m)[0].astype(np.float64) / about["temperature"]

    methods: dict[str, Callable[[int], np.ndarray]] = {
        "predictor": lambda m: expit(scaled(m)),
        UNSCALED: lambda m: expit(said(m)[0].astype(np.float64)),
        MIX: lambda m: expit((scaled(m) + logit(guesses["boosting"](m).clip(1e-7, 1 - 1e-7))) / 2),
    }
    head = {"predictor": about["id"], "fitted_on": about["model"], "model": test.model}
    intact = None if whole[1] is None else lambda m: expit(said(m)[1])
    return evaluate(test, methods | dict(guesses), {**head, "setting": predictor.setting, "k": predictor.k}, intact)


def _guesses(
    predictor: Predictor, parts: Mapping[str, PredictorData], context: Context, data: str | None
) -> dict[str, Callable[[int], np.ndarray]]:
    """Method -> m -> what a baseline says of the test rows; the same whatever the predictor's preset and seed."""
    request, test = predictor.about["request"], parts["test"]
    names = ("k", "m", "setting", "ngrams", "hidden", "transfer", "n_rows", "windows", "split")
    asked = {name: request[name] for name in names if name in request}
    asked |= {"data": data, "indexed": parts["train"].frequency is not None}
    key = request_hash({"baselines": BASELINES, **asked})
    kept = context.store.get(key) if data else None
    if kept is not None:
        arrays = kept[0]
    else:
        fitted = context.meanwhile(
            lambda: fit_baselines(parts["train"], predictor.setting, validation=parts["validation"])
        )
        arrays = {
            f"{name}:{m}": np.asarray(context.meanwhile(partial(guess, test, m)), np.float32)
            for name, guess in fitted.items()
            for m in lengths_of(test)
        }
        if data:
            context.store.put(key, arrays, {"request": {"task": "baselines", **asked}})
    found: dict[str, dict[int, np.ndarray]] = {}
    for place, guess in arrays.items():
        name, _, m = place.partition(":")
        found.setdefault(name, {})[int(m)] = guess
    return {name: by_length.__getitem__ for name, by_length in found.items()}


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
