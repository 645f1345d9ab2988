"""Fitting a predictor: data, epochs with checkpoints, temperature, evaluation; the JSON that makes it whole is last."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from memviz import disk
from memviz.catalog import Card
from memviz.errors import InputError
from memviz.predictor.data import PARTS, SPLIT, PredictorData, read_data
from memviz.predictor.files import ABOUT, FORMAT
from memviz.predictor.judging import evaluate_predictor, headline
from memviz.predictor.known import PROGRESS, Known, read_known
from memviz.predictor.presets import PRESETS, SETTINGS, SPLITS, Preset, PresetName, Setting, Split
from memviz.predictor.tables import write_tables
from memviz.settings import Settings
from memviz.store import request_hash
from memviz.store.keys import later, request_of
from memviz.sweeps.progress import duration
from memviz.sweeps.results import Sweep, read_sweep
from memviz.sweeps.task import AT
from memviz.sweeps.using import using
from memviz.tasks.base import Context, Device, Task, versioned_hash

if TYPE_CHECKING:
    from memviz.predictor.network.artifact import Predictor
    from memviz.predictor.network.fit import Trainer

CHECKPOINT = "state.pt"
PREDICTOR = 1
"""Raised whenever the predictor's numbers change, so that older ones are fitted anew."""
DEFAULT_M = 64
MOST_WINDOWS = 16
OPERATIONS_A_SECOND = 4e10
"""Multiply-adds that two cores of an ordinary processor do while fitting, measured with the presets."""
OPERATIONS_A_NUMBER = 2000
"""What norms, dropout and the like cost a number of the width, in multiply-adds."""


@dataclass(frozen=True)
class FitTask(Task[Known]):
    """One predictor to be fitted: made by `fit_task`. Raises InputError where a field cannot be used.

    It goes on from a checkpoint where it was stopped; `report(done, total)` counts batches of all epochs.
    """

    kind = "predictor"
    long = True
    kept = True
    on_device = False

    sweep: str = field(compare=False)
    """Folder of the finished sweep; where it lies decides nothing."""
    data: str
    """Identity of the rows and of what the model made of them: `data_key`."""
    model: str
    setting: Setting = "published"
    k: int = AT
    m: int = DEFAULT_M
    preset: PresetName = "default"
    seed: int = 0
    hidden: bool = True
    """Read hidden states, besides the statistics."""
    ngrams: bool = False
    """Also read how often the generated 1- and 2-grams are in the training data, own copies removed."""
    transfer: bool = False
    """Statistics only, and allowed for other models of the same family than the one it was fitted on."""
    n_rows: int | None = None
    """So many rows, drawn by a hash; None is all of them."""
    windows: int = later(1)
    """Of each training row, its own among them: the others give it other contexts, and the model writes after them."""

    split: Split = later("group")  # noqa: RUF009
    """What is never parted between training and test: near-duplicates, or whole documents too."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"split {self.split!r} is unknown: use one of {', '.join(SPLITS)}")
        if self.setting not in SETTINGS:
            raise InputError(f"setting {self.setting!r} is unknown: use one of {', '.join(SETTINGS)}")
        if self.preset not in PRESETS:
            raise InputError(f"preset {self.preset!r} is unknown: use one of {', '.join(PRESETS)}")
        for name in ("k", "m"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.n_rows is not None and self.n_rows < 20:
            raise InputError(f"{self.n_rows} rows are too few for three parts: give at least 20")
        if not 1 <= self.windows <= MOST_WINDOWS:
            raise InputError(f"windows is {self.windows}: give 1 to {MOST_WINDOWS} a training row")
        if self.ngrams and self.windows > 1:
            raise InputError("n-grams are counted of a row's own window alone: leave out n-grams, or further windows")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: give a whole number from 0")
        if self.transfer and (self.hidden or self.ngrams):
            raise InputError("transfer to other models is for statistics alone: leave hidden states and n-grams out")

    @property
    def sizes(self) -> Preset:
        """The preset's numbers."""
        return PRESETS[self.preset]

    @property
    def hash(self) -> str:
        """Of what decides the numbers: also the name of the folder and the key."""
        asked = {name: value for name, value in self.request().items() if name != "sweep"}
        further = {"sizes": request_of(self.sizes), "split": SPLIT, "predictor": PREDICTOR}
        return versioned_hash(asked | further)

    def folder(self, settings: Settings) -> Path:
        """Where the cache keeps it, fitted or under way."""
        return settings.cache / "predictors" / self.hash

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """`data` stands for the weights and the precision of the sweep."""
        return self.hash

    def find(self, key: str, cards: Sequence[Card], context: Context) -> Known | None:
        folder = self.folder(context.settings)
        return read_known(folder) if (folder / ABOUT).is_file() else None

    @contextmanager
    def held(self, key: str, context: Context) -> Iterator[None]:
        """Its folder. Raises InputError where another process fits it."""
        folder = self.folder(context.settings)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise InputError("this predictor is being fitted by another process: wait for it, or stop it") from None

    def compute(self, cards: Sequence[Card], context: Context) -> Known:
        """The checkpoint of the last epoch is left where it is given up."""
        folder = self.folder(context.settings)
        with using(context.settings, Path(self.sweep)):
            _fit_into(folder, self, context)
        return read_known(folder)

    def keep(self, key: str, record: Known, cards: Sequence[Card], context: Context) -> Known:
        """The predictor is in its folder; the store has the course of the fit, and where it lies."""
        history = np.array([each["validation_loss"] for each in record.about["epochs"]], np.float64)
        context.store.put(key, {"validation_loss": history}, {"request": self.request(), "folder": record.folder.name})
        return record


def data_key(sweep: Sweep, model: str) -> str:
    """Identity of rows, weights, precision and engine. Raises InputError where the sweep has no such model."""
    rows, task = sweep.manifest["rows"]["sha256"], sweep.task
    return request_hash(
        {"rows": rows, "weights": sweep.weights_of(model), "dtype": task.dtype, "engine": sweep.manifest["engine"]}
    )


def fit_task(sweep: Sweep, model: str, setting: Setting = "published", **options: Any) -> FitTask:
    """The task of a sweep's model; options as `FitTask` has them. Raises InputError."""
    if options.get("transfer"):
        options.setdefault("hidden", False)
    return FitTask(str(sweep.folder), data_key(sweep, model), model, setting, **options)


def expected_seconds(task: FitTask, n_rows: int) -> float:
    """Seconds of fitting all epochs on two cores, by counting operations: an order of magnitude, to be said before."""
    sizes = task.sizes
    p = {"published": task.m, "causal": task.k + task.m - 1, "context": task.k + task.m}[task.setting]
    per_number = 4 * sizes.width + 2 * sizes.feed_forward + 2 * p + OPERATIONS_A_NUMBER
    per_token = sizes.members * sizes.n_layers * sizes.width * per_number
    return sizes.n_epochs * 0.75 * task.windows * n_rows * p * per_token * 3 / OPERATIONS_A_SECOND


def _fit_into(folder: Path, task: FitTask, context: Context) -> None:
    from memviz.predictor.network.artifact import load, save

    sweep, started = read_sweep(task.sweep), time.perf_counter()
    if data_key(sweep, task.model) != task.data:
        raise InputError(f"{task.sweep} is not the sweep that was asked for: choose it again")
    data = read_data(
        sweep, task.model, task.k, task.m, context.telling(lambda *_: context.report(0, 0), context.say),
        task.hidden, task.ngrams, task.n_rows, windows=task.windows, split=task.split,
    )  # fmt: skip
    parts = {name: data.where(data.places(name)) for name in PARTS}
    empty = [name for name, part in parts.items() if not len(part.rows)]
    if empty:
        raise InputError(f"{len(data.rows)} rows leave none for the {empty[0]} part: sweep more rows")
    read_in = time.perf_counter() - started
    trainer = _train(folder, task, parts, context)
    fitted_in = sum(each.seconds for each in trainer.history)
    context.say("evaluating")
    about = _about(task, sweep, data, trainer, {"reading": read_in, "fitting": fitted_in})
    predictor = _calibrated(trainer, about, parts["validation"], context)
    tables = evaluate_predictor(predictor, parts, context, task.data)
    write_tables(tables, folder)
    predictor.about["metrics"] = headline(tables)
    save(predictor, folder)
    load(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _train(folder: Path, task: FitTask, parts: dict[str, PredictorData], context: Context) -> Trainer:
    from memviz.predictor.features import tokens_of
    from memviz.predictor.network.fit import Trainer, load_state, save_state

    both = [
        (tokens_of(part.inputs, task.setting, task.m), part.match) for part in (parts["train"], parts["validation"])
    ]
    trainer = Trainer(task.sizes, task.setting, task.k, both[0], both[1], task.seed, context.backend.device)
    state = load_state(folder / CHECKPOINT)
    if state is not None:
        trainer.restore(state)
    _write_progress(folder, trainer)
    context.say(
        f"fitting on {len(both[0][1]):,} rows: at most {duration(trainer.seconds_at_most())} for "
        f"{task.sizes.n_epochs - len(trainer.history)} epochs"
    )
    for epoch in trainer.epochs(context.report):
        save_state(trainer.state(), folder / CHECKPOINT)
        _write_progress(folder, trainer)
        context.say(
            f"epoch {epoch.epoch} of at most {task.sizes.n_epochs}: validation loss {epoch.validation_loss:.4f} nats"
        )
    return trainer


def _write_progress(folder: Path, trainer: Trainer) -> None:
    disk.write_text(folder / PROGRESS, "".join(json.dumps(asdict(each)) + "\n" for each in trainer.history))


def _calibrated(trainer: Trainer, about: dict[str, Any], validation: PredictorData, context: Context) -> Predictor:
    """The fitted encoder as it will be read from disk, with the temperature of the validation part."""
    from memviz.predictor.network.artifact import Predictor
    from memviz.predictor.network.fit import log_loss, temperature_of

    predictor = Predictor(trainer.fitted(), about)
    logits = predictor.logits(validation.inputs, tick=partial(context.report, 0, 0))
    about["temperature"] = temperature_of(logits, validation.match)
    about["validation_loss"] = log_loss(logits / about["temperature"], validation.match)
    return predictor


def _about(
    task: FitTask, sweep: Sweep, data: PredictorData, trainer: Trainer, seconds: dict[str, float]
) -> dict[str, Any]:
    from memviz.predictor.network.artifact import feature_names

    width = 0 if data.inputs.hidden is None else int(data.inputs.hidden.shape[2])
    request = {name: value for name, value in task.request().items() if name != "sweep"}
    return {
        "format": FORMAT,
        "id": task.hash,
        "model": task.model,
        "weights": sweep.weights_of(task.model),
        "setting": task.setting,
        "k": task.k,
        "m": task.m,
        "preset": asdict(task.sizes),
        "features": {"hidden": width, "statistics": list(feature_names(task.ngrams))},
        "normalisation": {
            "statistics_mean": trainer.scaling.statistics_mean.tolist(),
            "statistics_std": trainer.scaling.statistics_std.tolist(),
            "hidden": "hidden_mean and hidden_std of the weights file",
        },
        "request": request,
        "data": {
            "key": task.data,
            "source": Path(sweep.task.rows.source).name,
            "sha256": sweep.manifest["rows"]["sha256"],
            "rows": {name: len(np.unique(data.rows[data.part == place])) for place, name in enumerate(PARTS)},
            "windows": len(data.rows),
            "prevalence": {name: float(data.match[data.places(name)].mean()) for name in PARTS},
        },
        "n_parameters": sum(each.numel() for each in trainer.encoder.parameters()),
        "epochs": [asdict(each) for each in trainer.history],
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "device": trainer.device.type,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn", "safetensors")},
    }
