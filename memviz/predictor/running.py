"""Fitting a predictor: data, epochs with checkpoints, temperature, evaluation; the JSON that makes it whole is last."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from memviz import disk
from memviz.errors import InputError
from memviz.predictor.baselines import UNSCALED, fit_baselines
from memviz.predictor.data import PARTS, PredictorData, read_data, weights_of
from memviz.predictor.evaluation import evaluate
from memviz.predictor.files import ABOUT, FORMAT
from memviz.predictor.known import PROGRESS, Known, read_known
from memviz.predictor.tables import Tables, write_tables
from memviz.predictor.task import FitTask, data_key, fit_folder
from memviz.store import Store
from memviz.sweeps.results import Sweep, read_sweep
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.running import duration
from memviz.tasks.base import Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend
    from memviz.predictor.network.artifact import Predictor
    from memviz.predictor.network.fit import Trainer

CHECKPOINT = "state.pt"


def run_fit(
    task: FitTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> tuple[str, Known, bool]:
    """Key, predictor, and whether it was fitted before; goes on from a checkpoint where a fit was stopped.

    `report(done, total)` counts batches of all epochs. Raises InputError, Failure, OSError, and what
    `report` raises to cancel; then the checkpoint of the last epoch is left.
    """
    folder = fit_folder(task, backend.settings)
    if (folder / ABOUT).is_file():
        return task.hash, read_known(folder), True
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            if not (folder / ABOUT).is_file():  # another process may have fitted it meanwhile
                _fit_into(folder, task, backend, store, report, say)
    except Timeout:
        raise InputError("this predictor is being fitted by another process: wait for it, or stop it") from None
    known = read_known(folder)
    history = np.array([each["validation_loss"] for each in known.about["epochs"]], np.float64)
    store.put(task.hash, {"validation_loss": history}, {"request": task.request(), "folder": folder.name})
    return task.hash, known, False


def _fit_into(folder: Path, task: FitTask, backend: Backend, store: Store, report: Report, say: Say) -> None:
    from memviz.predictor.network.artifact import load, save

    sweep, started = read_sweep(task.sweep), time.perf_counter()
    if data_key(sweep, task.model) != task.data:
        raise InputError(f"{task.sweep} is not the sweep that was asked for: choose it again")
    data = read_data(
        sweep, task.model, task.k, task.m, backend, store, task.hidden, task.ngrams, task.n_rows,
        report=lambda done, total: report(0, 0), say=say,
    )  # fmt: skip
    parts = {name: data.where(data.places(name)) for name in PARTS}
    empty = [name for name, part in parts.items() if not len(part.rows)]
    if empty:
        raise InputError(f"{len(data.rows)} rows leave none for the {empty[0]} part: sweep more rows")
    read_in = time.perf_counter() - started
    trainer = _train(folder, task, parts, backend, report, say)
    fitted_in = sum(each.seconds for each in trainer.history)
    say("evaluating")
    about = _about(task, sweep, data, trainer, {"reading": read_in, "fitting": fitted_in})
    predictor = _calibrated(trainer, about, parts["validation"])
    tables = evaluate_predictor(predictor, parts["train"], parts["test"], lambda: report(0, 0))
    write_tables(tables, folder)
    predictor.about["metrics"] = headline(tables)
    save(predictor, folder)
    load(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _train(
    folder: Path, task: FitTask, parts: dict[str, PredictorData], backend: Backend, report: Report, say: Say
) -> Trainer:
    from memviz.predictor.features import tokens_of
    from memviz.predictor.network.fit import Trainer, load_state, save_state

    both = [
        (tokens_of(part.inputs, task.setting, task.m), part.match) for part in (parts["train"], parts["validation"])
    ]
    trainer = Trainer(task.sizes, task.setting, task.k, both[0], both[1], task.seed, backend.device)
    state = load_state(folder / CHECKPOINT)
    if state is not None:
        trainer.restore(state)
    _write_progress(folder, trainer)
    say(
        f"fitting on {len(both[0][1]):,} rows: at most {duration(trainer.seconds_at_most())} for "
        f"{task.sizes.n_epochs - len(trainer.history)} epochs"
    )
    for epoch in trainer.epochs(report):
        save_state(trainer.state(), folder / CHECKPOINT)
        _write_progress(folder, trainer)
        say(f"epoch {epoch.epoch} of at most {task.sizes.n_epochs}: validation loss {epoch.validation_loss:.4f} nats")
    return trainer


def _write_progress(folder: Path, trainer: Trainer) -> None:
    disk.write_text(folder / PROGRESS, "".join(json.dumps(asdict(each)) + "\n" for each in trainer.history))


def _calibrated(trainer: Trainer, about: dict[str, Any], validation: PredictorData) -> Predictor:
    """The fitted encoder as it will be read from disk, with the temperature of the validation part."""
    from memviz.predictor.network.artifact import Predictor
    from memviz.predictor.network.fit import log_loss, temperature_of

    predictor = Predictor(trainer.fitted(), about)
    logits = predictor.logits(validation.inputs)
    about["temperature"] = temperature_of(logits, validation.match)
    about["validation_loss"] = log_loss(logits / about["temperature"], validation.match)
    return predictor


def evaluate_predictor(
    predictor: Predictor, train: PredictorData, test: PredictorData, tick: Callable[[], None] = lambda: None
) -> Tables:
    """The tables of a predictor and its baselines, which are fitted on the training part."""
    about = predictor.about
    baselines = fit_baselines(train, predictor.setting, about["request"]["seed"])

    def of(guess: Any) -> Callable[[int], np.ndarray]:
        def probabilities(m: int) -> np.ndarray:
            tick()
            return guess(test, m)

        return probabilities

    methods: dict[str, Callable[[int], np.ndarray]] = {"predictor": lambda m: predictor.probability(test.inputs, m)}
    methods |= {UNSCALED: lambda m: 1 / (1 + np.exp(-predictor.logits(test.inputs, m).astype(np.float64)))}
    methods |= {name: of(guess) for name, guess in baselines.items()}
    head = {"predictor": about["id"], "fitted_on": about["model"], "model": test.model}
    return evaluate(test, methods, {**head, "setting": predictor.setting, "k": predictor.k})


def evaluate_on(
    known: Known,
    sweep: Sweep,
    model: str,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> Tables:
    """The tables of a predictor on the test part of a sweep; baselines are fitted on the sweep's training part.

    The model may be another one where the predictor `transfers`: that it is of the same family, with the same
    tokenizer, is the caller's to see to. Raises InputError.
    """
    from memviz.predictor.network.artifact import load

    if known.weights != weights_of(sweep, model) and not known.transfers:
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
        sweep, model, known.k, known.m, backend, store, bool(features["hidden"]), known.about["request"]["ngrams"],
        parts=("train", "test"), report=report, say=say,
    )  # fmt: skip
    say("evaluating")
    train, test = (data.where(data.places(name)) for name in ("train", "test"))
    return evaluate_predictor(load(known.folder), train, test, lambda: report(0, 0))


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


def _about(
    task: FitTask, sweep: Sweep, data: PredictorData, trainer: Trainer, seconds: dict[str, float]
) -> dict[str, Any]:
    from memviz.predictor.network.artifact import feature_names

    width = 0 if data.inputs.hidden is None else int(data.inputs.hidden.shape[2])
    request = {name: value for name, value in task.request().items() if name != "sweep"}
    encoder = trainer.encoder
    return {
        "format": FORMAT,
        "id": task.hash,
        "model": task.model,
        "weights": weights_of(sweep, task.model),
        "setting": task.setting,
        "k": task.k,
        "m": task.m,
        "preset": asdict(task.sizes),
        "features": {"hidden": width, "statistics": list(feature_names(task.ngrams))},
        "normalisation": {
            "statistics_mean": encoder.statistics_mean.tolist(),
            "statistics_std": encoder.statistics_std.tolist(),
            "hidden": "hidden_mean and hidden_std of the weights file",
        },
        "request": request,
        "data": {
            "key": task.data,
            "source": Path(sweep.task.rows.source).name,
            "sha256": sweep.manifest["rows"]["sha256"],
            "rows": {name: int((data.part == place).sum()) for place, name in enumerate(PARTS)},
            "prevalence": {name: float(data.match[data.places(name)].mean()) for name in PARTS},
        },
        "n_parameters": sum(each.numel() for each in encoder.parameters()),
        "epochs": [asdict(each) for each in trainer.history],
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "device": trainer.device.type,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn", "safetensors")},
    }
