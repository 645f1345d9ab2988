"""The frozen request of a fit: a question like any other, whose answer lies in a folder of the cache."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memviz.errors import InputError
from memviz.predictor.data import SPLIT, weights_of
from memviz.predictor.presets import PRESETS, SETTINGS, Preset, PresetName, Setting
from memviz.settings import Settings
from memviz.store import Store, request_hash
from memviz.sweeps.results import Sweep
from memviz.sweeps.task import AT
from memviz.tasks.base import ENGINE, Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend
    from memviz.predictor.known import Known

PREDICTOR = 1
"""Raised whenever the predictor's numbers change, so that older ones are fitted anew."""
DEFAULT_M = 64
OPERATIONS_A_SECOND = 4e10
"""Multiply-adds that two cores of an ordinary processor do while fitting, measured with the presets."""
OPERATIONS_A_NUMBER = 2000
"""What norms, dropout and the like cost a number of the width, in multiply-adds."""


@dataclass(frozen=True)
class FitTask:
    """One predictor to be fitted: made by `fit_task`. Raises InputError where a field cannot be used."""

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

    def __post_init__(self) -> None:
        if self.setting not in SETTINGS:
            raise InputError(f"setting {self.setting!r} is unknown: use one of {', '.join(SETTINGS)}")
        if self.preset not in PRESETS:
            raise InputError(f"preset {self.preset!r} is unknown: use one of {', '.join(PRESETS)}")
        for name in ("k", "m"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.n_rows is not None and self.n_rows < 20:
            raise InputError(f"{self.n_rows} rows are too few for three parts: give at least 20")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: give a whole number from 0")
        if self.transfer and (self.hidden or self.ngrams):
            raise InputError("transfer to other models is for statistics alone: leave hidden states and n-grams out")

    @property
    def sizes(self) -> Preset:
        """The preset's numbers."""
        return PRESETS[self.preset]

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `fit_task_from` makes an equal one."""
        return {"task": "predictor", **asdict(self)}

    @property
    def hash(self) -> str:
        """The name of the job and of the folder: what decides the numbers, and nothing else."""
        asked = {name: value for name, value in self.request().items() if name != "sweep"}
        return request_hash(
            asked | {"sizes": asdict(self.sizes), "split": SPLIT, "predictor": PREDICTOR, "engine": ENGINE}
        )

    def run(self, backend: Backend, store: Store, report: Report, say: Say) -> tuple[str, Known, bool]:
        """As `run_fit`."""
        from memviz.predictor.running import run_fit

        return run_fit(self, backend, store, report, say)


def data_key(sweep: Sweep, model: str) -> str:
    """Identity of rows, weights, precision and engine. Raises InputError where the sweep has no such model."""
    rows, task = sweep.manifest["rows"]["sha256"], sweep.task
    return request_hash(
        {"rows": rows, "weights": weights_of(sweep, model), "dtype": task.dtype, "engine": sweep.manifest["engine"]}
    )


def fit_task(sweep: Sweep, model: str, setting: Setting = "published", **options: Any) -> FitTask:
    """The task of a sweep's model; options as `FitTask` has them. Raises InputError."""
    if options.get("transfer"):
        options.setdefault("hidden", False)
    return FitTask(str(sweep.folder), data_key(sweep, model), model, setting, **options)


def fit_task_from(request: dict[str, Any]) -> FitTask:
    """The task of a stored request. Raises InputError where it is of another kind or format."""
    try:
        return FitTask(**{each.name: request[each.name] for each in fields(FitTask)})
    except (KeyError, TypeError) as error:
        raise InputError(f"this stored request is no fit of a predictor ({error})") from None


def fit_folder(task: FitTask, settings: Settings) -> Path:
    """Where the cache keeps a predictor, fitted or under way."""
    return settings.cache / "predictors" / task.hash


def expected_seconds(task: FitTask, n_rows: int) -> float:
    """Seconds of fitting all epochs on two cores, by counting operations: an order of magnitude, to be said before."""
    sizes = task.sizes
    p = {"published": task.m, "causal": task.k + task.m - 1, "context": task.k + task.m}[task.setting]
    per_number = 4 * sizes.width + 2 * sizes.feed_forward + 2 * p + OPERATIONS_A_NUMBER
    per_token = sizes.n_layers * sizes.width * per_number
    return sizes.n_epochs * 0.75 * n_rows * p * per_token * 3 / OPERATIONS_A_SECOND
