"""The request of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.errors import InputError
from memviz.maps.layout import PROJECTION, UMAP
from memviz.maps.records import LAST_CONTEXT, EmbeddingMap
from memviz.maps.scope import Scope, check_seed, scope_from
from memviz.records import BEFORE_NORM, from_arrays
from memviz.store import Store, request_hash
from memviz.sweeps.results import Sweep
from memviz.tasks.base import ENGINE, Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

REDUCERS = ("pca", "umap")
N_POINTS, MOST_POINTS = 10_000, 50_000
"""Points of a map where the number of rows is left open, and at most."""
N_STEPS = 8
N_NEIGHBOURS = 15


def spread_steps(m: int, n: int = N_STEPS) -> tuple[int, ...]:
    """At most n of the steps 0 to m - 1, evenly spread, the first and the last among them."""
    return tuple(sorted({round(step) for step in np.linspace(0, m - 1, min(n, m)).tolist()}))


@dataclass(frozen=True)
class MapTask:
    """A map of one model's states at one layer and some decoding steps. Raises InputError for fields of no use."""

    model: str
    scope: Scope
    layer: int | None = None
    """0 the embedding, -1 the last before the final norm; None the last after it."""
    steps: tuple[int, ...] = ()
    """-1 to m - 1, -1 being the last context token; none given is `spread_steps`."""
    reducer: str = "pca"
    """One of `REDUCERS`."""
    seed: int = 0
    """Of UMAP; PCA has nothing random."""
    n_neighbours: int = N_NEIGHBOURS
    """Of UMAP, the point itself counted, as umap-learn counts."""

    def __post_init__(self) -> None:
        steps = tuple(sorted(set(self.steps))) or spread_steps(self.scope.m)
        object.__setattr__(self, "steps", steps)
        if not LAST_CONTEXT <= steps[0] <= steps[-1] < self.scope.m:
            wrong = steps[0] if steps[0] < LAST_CONTEXT else steps[-1]
            raise InputError(f"step {wrong} is none of a continuation of {self.scope.m}: give -1 to {self.scope.m - 1}")
        if self.reducer not in REDUCERS:
            raise InputError(f"reducer {self.reducer!r} is unknown: use {' or '.join(REDUCERS)}")
        if self.layer is not None and self.layer < BEFORE_NORM:
            raise InputError(f"layer {self.layer} is unknown: give -1 (before the final norm) or 0 and up")
        check_seed(self.seed)
        if self.n_neighbours < 2:
            raise InputError(f"UMAP with {self.n_neighbours} neighbours links nothing: give at least 2")
        if self.reducer == "pca":  # the same map, however it was asked for
            object.__setattr__(self, "seed", 0)
            object.__setattr__(self, "n_neighbours", N_NEIGHBOURS)
        n = (self.scope.n_rows or 1) * len(steps)
        if n > MOST_POINTS:
            raise InputError(
                f"{self.scope.n_rows:,} rows at {len(steps)} steps are {n:,} points, more than {MOST_POINTS:,}: "
                "take fewer of either"
            )

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `map_task_from` makes an equal one."""
        values = {name: getattr(self, name) for name in ("model", "layer", "reducer", "seed", "n_neighbours")}
        return {"task": "map", **values, "steps": list(self.steps), "scope": self.scope.request()}

    @property
    def hash(self) -> str:
        """The name of a link and of the job."""
        return request_hash(self.request())

    def run(self, backend: Backend, store: Store, report: Report, say: Say) -> tuple[str, EmbeddingMap, bool]:
        """As `memviz.maps.making.run_map`."""
        from memviz.maps.making import run_map

        return run_map(self, backend, store, report, say)


def map_task_from(request: dict[str, Any]) -> MapTask:
    """The task of a stored request. Raises InputError where it is of another kind or format."""
    try:
        names = ("model", "layer", "reducer", "seed", "n_neighbours")
        values = {name: request[name] for name in names} | {"steps": tuple(request["steps"])}
        return MapTask(scope=scope_from(request["scope"]), **values)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this stored request is no map ({error})") from None


def weights_of(sweep: Sweep, model: str) -> str:
    """Weight identity of a model when it was swept. Raises InputError where the sweep does not have it."""
    known = {each["name"]: each["weights"] for each in sweep.manifest["models"]}
    if model not in known:
        raise InputError(f"{sweep.folder} has no model {model!r}: it has {', '.join(known)}")
    return known[model]


def result_key(task: Any, scope: Scope, models: tuple[str, ...], sweep: Sweep, device_kind: str, **further: Any) -> str:
    """The key of a result: what was asked, the sweep's identity, weights, ENGINE, PROJECTION, below float32 the device.

    `task` has a `request`, of which neither the models' names nor the sweep's folder count.
    """
    asked = {name: value for name, value in task.request().items() if name not in ("model", "models", "scope")}
    where = {} if scope.dtype == "float32" else {"device": device_kind}
    weights = [weights_of(sweep, model) for model in models]
    versions = {"weights": weights, "engine": ENGINE, "projection": PROJECTION}
    return request_hash(asked | {"scope": scope.identity(sweep)} | versions | where | further)


def map_key(task: MapTask, sweep: Sweep, device_kind: str) -> str:
    """The key of a map; needs no model and no torch. Raises InputError where the sweep does not have the model."""
    further = {"umap": UMAP} if task.reducer == "umap" else {}
    return result_key(task, task.scope, (task.model,), sweep, device_kind, **further)


def stored_map(store: Store, key: str) -> EmbeddingMap | None:
    """A map from the store, or None where it must be made."""
    found = store.get(key)
    try:
        return None if found is None else from_arrays(EmbeddingMap, found[0])
    except (TypeError, ValueError):
        store.delete(key)
        return None
