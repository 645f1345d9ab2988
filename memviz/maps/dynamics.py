"""Similarity and distance between sequences, step by step while they are decoded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memviz.maps.gathering import Chosen, at_index, batches, choose, last_layer
from memviz.maps.making import about, checked_card
from memviz.maps.pairs import PairMeans, pair_means
from memviz.maps.records import GROUPS, LAST_CONTEXT, MEASURES, PAIRS, STATES, VARIANTS, Dynamics
from memviz.maps.scope import Scope, scope_from
from memviz.maps.task import result_key
from memviz.records import BEFORE_NORM, from_arrays, to_arrays
from memviz.store import Store, request_hash
from memviz.sweeps.results import Sweep
from memviz.tasks import InputError, Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

CAP = 200
"""Rows of each stratum (a group's looping rows, or its others) whose states are compared."""
MOST_ROWS = 10_000


@dataclass(frozen=True)
class DynamicsTask:
    """One model's states of a scope's rows at every step, at the last layer. Raises InputError for fields of no use."""

    model: str
    scope: Scope

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `dynamics_task_from` makes an equal one."""
        return {"task": "dynamics", "model": self.model, "cap": CAP, "scope": self.scope.request()}

    @property
    def hash(self) -> str:
        """The name of a link and of the job."""
        return request_hash(self.request())

    def run(self, backend: Backend, store: Store, report: Report, say: Say) -> tuple[str, Dynamics, bool]:
        """As `run_dynamics`."""
        return run_dynamics(self, backend, store, report, say)


def dynamics_task_from(request: dict[str, Any]) -> DynamicsTask:
    """The task of a stored request. Raises InputError where it is of another kind or format."""
    try:
        if request["task"] != "dynamics":
            raise KeyError(request["task"])
        return DynamicsTask(request["model"], scope_from(request["scope"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this stored request is no decoding dynamics ({error})") from None


def dynamics_key(task: DynamicsTask, sweep: Sweep, device_kind: str) -> str:
    """The key of a result. Raises InputError where the sweep does not have the model."""
    return result_key(task, task.scope, (task.model,), sweep, device_kind)


def stored_dynamics(store: Store, key: str) -> Dynamics | None:
    """A result from the store, or None where it must be computed."""
    found = store.get(key)
    try:
        return None if found is None else from_arrays(Dynamics, found[0])
    except (TypeError, ValueError):
        store.delete(key)
        return None


def run_dynamics(
    task: DynamicsTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> tuple[str, Dynamics, bool]:
    """Key, result, and whether it was stored before; `report` counts rows read, then steps.

    Raises InputError, ModelError, StoreError, NonFiniteError, and what `report` raises to cancel.
    """
    sweep, start = task.scope.sweep(), time.perf_counter()
    key = dynamics_key(task, sweep, backend.device.type)
    found = stored_dynamics(store, key)
    if found:
        return key, found, True
    card = checked_card(task.model, sweep, backend, say)
    chosen = choose(task.scope, sweep, task.model, MOST_ROWS)
    strata = 2 * chosen.group + chosen.loop
    used = capped(strata, CAP)
    states = _states(chosen, used, last_layer(card), backend, store, report, say)
    say("comparing sequences step by step")
    made = dynamics_of(states, strata, used, chosen.units[used], report)
    store.put(key, to_arrays(made), about(task.request(), card, backend, time.perf_counter() - start))
    return key, made, False


def capped(strata: np.ndarray, most: int) -> np.ndarray:
    """Numbers of the rows used, ascending: of each stratum all, or a random sample of `most`, seed 0."""
    order = np.random.default_rng(0).permutation(len(strata))
    kept = [order[strata[order] == each][:most] for each in np.unique(strata)]
    return np.sort(np.concatenate(kept))


def _states(
    chosen: Chosen, used: np.ndarray, last: int, backend: Backend, store: Store, report: Report, say: Say
) -> np.ndarray:
    """(a, s, n, d) float16-exact float32 states of the rows used, after and before the final norm."""
    texts = Chosen(chosen.scope, chosen.texts, chosen.places[used], chosen.n_passing, chosen.units[used])
    index = chosen.scope.k + np.arange(LAST_CONTEXT, chosen.scope.m)
    found = np.zeros((0, 0, 0, 0), np.float32)
    for numbers, batch in batches(texts, (last, BEFORE_NORM), backend, store, report, say):
        if not found.size:
            found = np.zeros((2, len(index), len(used), batch.hidden.shape[3]), np.float32)
        for place, layer in enumerate((last, BEFORE_NORM)):
            found[place][:, numbers] = at_index(batch, layer, index)
    return found


def dynamics_of(
    states: np.ndarray,
    strata: np.ndarray,
    used: np.ndarray,
    units: np.ndarray,
    report: Report = lambda done, total: None,
) -> Dynamics:
    """Dynamics from (a, s, n, d) states of the rows used, the first step being `LAST_CONTEXT`.

    strata (all rows,): twice the group (0 memorized, 1 half, 2 unmemorized, 3 none) plus whether the generation loops.
    """
    n_steps = states.shape[1]
    means = PairMeans(strata, used, units)
    found: list[list[Any]] = []
    for step in range(n_steps):
        found.append([pair_means(states[place, step], means) for place in range(len(STATES))])
        report(step + 1, n_steps)
    ends = {
        name: np.stack([[each[name] for each in line] for line in found], axis=-1)  # type: ignore[call-overload]
        for name in found[0][0]
    }
    moved = {name: np.moveaxis(ends[name], 0, 1) for name in ("value", "low", "high")}
    return Dynamics(
        step=np.arange(LAST_CONTEXT, n_steps + LAST_CONTEXT, dtype=np.int32),
        **{name: value.astype(np.float32) for name, value in moved.items()},
        **{name: ends[name].astype(np.float32) for name in ("norm", "norm_low", "norm_high")},
        n_rows=means.n_rows,
        n_used=means.n_used,
        width=np.array(states.shape[3], np.int32),
    )


def dynamics_table(found: Dynamics) -> pd.DataFrame:
    """One line a step, measure, state, variant and pair, with its interval and the rows behind it; norms as pairs of
    a group with itself under the measure "norm"."""
    parts = []
    groups = [*GROUPS, "all"]
    for u, measure in enumerate(MEASURES):
        for a, state in enumerate(STATES):
            for v, variant in enumerate(VARIANTS):
                for q, pair in enumerate(PAIRS):
                    ends = [getattr(found, name)[u, a, v, q] for name in ("value", "low", "high")]
                    parts.append(_lines(found, measure, state, variant, v, pair, ends))
    for a, state in enumerate(STATES):
        for v, variant in enumerate(VARIANTS):
            for g, group in enumerate(groups):
                ends = [getattr(found, name)[a, v, g] for name in ("norm", "norm_low", "norm_high")]
                parts.append(_lines(found, "norm", state, variant, v, (group, group), ends))
    return pd.concat(parts, ignore_index=True)


def _lines(
    found: Dynamics, measure: str, state: str, variant: str, v: int, pair: tuple[str, str], ends: list[np.ndarray]
) -> pd.DataFrame:
    groups = [*GROUPS, "all"]
    a, b = (groups.index(name) for name in pair)
    return pd.DataFrame(
        {
            "step": found.step,
            "measure": measure,
            "state": state,
            "variant": variant,
            "a": pair[0],
            "b": pair[1],
            "value": ends[0],
            "low": ends[1],
            "high": ends[2],
            "n_a": int(found.n_rows[v, a]),
            "n_b": int(found.n_rows[v, b]),
            "n_used_a": int(found.n_used[v, a]),
            "n_used_b": int(found.n_used[v, b]),
        }
    )
