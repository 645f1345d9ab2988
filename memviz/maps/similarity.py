"""How alike two models' states of the same rows are: a task of its own, for it needs no map."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.errors import InputError
from memviz.maps.gathering import alone, batches, checked_layer, choose, gather, together
from memviz.maps.making import about, checked_card
from memviz.maps.records import LAST_CONTEXT, Agreement, Similarity
from memviz.maps.scope import Scope, scope_from
from memviz.maps.task import result_key, spread_steps
from memviz.measures.geometry import (
    MOST_ROWS,
    N_NEIGHBOURS,
    N_PERMUTATIONS,
    Permuted,
    knn_overlap,
    linear_cka,
    representational_similarity,
)
from memviz.records import from_arrays, to_arrays
from memviz.store import Store, request_hash
from memviz.sweeps.results import Sweep
from memviz.tasks.base import Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

N_SIMILAR_STEPS = 4


@dataclass(frozen=True)
class SimilarityTask:
    """Two models' states of the same rows at some steps. Raises InputError for fields of no use."""

    models: tuple[str, str]
    scope: Scope
    layers: tuple[int | None, int | None] = (None, None)
    """Of the first and of the second; None is the last after the final norm."""
    steps: tuple[int, ...] = ()
    """-1 to m - 1; none given is `spread_steps` of 4."""

    def __post_init__(self) -> None:
        steps = tuple(sorted(set(self.steps))) or spread_steps(self.scope.m, N_SIMILAR_STEPS)
        object.__setattr__(self, "steps", steps)
        if not LAST_CONTEXT <= steps[0] <= steps[-1] < self.scope.m:
            raise InputError(f"steps {steps} are asked of a continuation of {self.scope.m}: give -1 to m - 1")
        if self.scope.n_rows is not None and self.scope.n_rows > MOST_ROWS:
            raise InputError(f"{self.scope.n_rows:,} rows were asked for: at most {MOST_ROWS:,} are compared")

    @property
    def model(self) -> str:
        return " and ".join(self.models)

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `similarity_task_from` makes an equal one."""
        values = {name: list(getattr(self, name)) for name in ("models", "layers", "steps")}
        return {"task": "similarity", **values, "scope": self.scope.request()}

    @property
    def hash(self) -> str:
        """The name of a link and of the job."""
        return request_hash(self.request())

    def run(self, backend: Backend, store: Store, report: Report, say: Say) -> tuple[str, Similarity, bool]:
        """As `run_similarity`."""
        return run_similarity(self, backend, store, report, say)


def similarity_task_from(request: dict[str, Any]) -> SimilarityTask:
    """The task of a stored request. Raises InputError where it is of another kind or format."""
    try:
        values = {name: tuple(request[name]) for name in ("models", "layers", "steps")}
        return SimilarityTask(scope=scope_from(request["scope"]), **values)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this stored request is no comparison of models ({error})") from None


def similarity_key(task: SimilarityTask, sweep: Sweep, device_kind: str) -> str:
    """The key of a result. Raises InputError where the sweep does not have a model."""
    return result_key(task, task.scope, task.models, sweep, device_kind)


def stored_similarity(store: Store, key: str) -> Similarity | None:
    """A result from the store, or None where it must be computed."""
    found = store.get(key)
    try:
        return None if found is None else from_arrays(Similarity, found[0])
    except (TypeError, ValueError):
        store.delete(key)
        return None


def run_similarity(
    task: SimilarityTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> tuple[str, Similarity, bool]:
    """Key, result, and whether it was stored before; `report` counts the rows of one model, then of the other.

    Raises InputError, Failure, and what `report` raises to cancel.
    """
    sweep, start = task.scope.sweep(), time.perf_counter()
    key = similarity_key(task, sweep, backend.device.type)
    found = stored_similarity(store, key)
    if found:
        return key, found, True
    states, rows = [], []
    for model, wanted in zip(task.models, task.layers, strict=True):
        card = checked_card(model, sweep, backend, say)
        layer = checked_layer(card, wanted)
        chosen = choose(task.scope, sweep, model, MOST_ROWS)
        index = task.scope.k + np.array(task.steps)
        read = batches(chosen, together(card, layer), backend, store, report, say)
        states.append(gather(read, len(chosen.places), index, layer)[0])
        rows.append(chosen.rows)
    if not np.array_equal(rows[0], rows[1]):
        raise InputError(f"{task.model} were not asked about the same rows: sweep them together")
    once = alone(chosen.units)  # permuted rows would tear near-duplicates apart
    made = _compare(states[0][:, once], states[1][:, once], np.array(task.steps, np.int32), report, say)
    store.put(key, to_arrays(made), about(task.request(), card, backend, time.perf_counter() - start))
    return key, made, False


def _compare(a: np.ndarray, b: np.ndarray, steps: np.ndarray, report: Report, say: Say) -> Similarity:
    """(s, n, d) and (s, n, e) states of the same rows. Raises InputError for too few rows."""
    say("comparing the two spaces")
    measures: dict[str, Callable[..., Permuted]] = {
        "cka": linear_cka,
        "knn_overlap": knn_overlap,
        "rsa": representational_similarity,
    }
    found: dict[str, list[Permuted]] = {name: [] for name in measures}
    for number in range(len(steps)):
        for name, measure in measures.items():
            try:
                found[name].append(measure(a[number], b[number]))
            except ValueError as error:
                raise InputError(str(error)) from None
            report(0, 0)
        report(number + 1, len(steps))
    values = {name: _agreement(each) for name, each in found.items()}
    numbers = (a.shape[1], N_NEIGHBOURS, N_PERMUTATIONS)
    n, q, n_permutations = (np.array(each, np.int32) for each in numbers)
    return Similarity(step=steps, **values, n=n, n_neighbours=q, n_permutations=n_permutations)


def _agreement(found: list[Permuted]) -> Agreement:
    names = ("value", "null_mean", "null_low", "null_high")
    return Agreement(**{name: np.array([getattr(each, name) for each in found], np.float32) for name in names})
