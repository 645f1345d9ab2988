"""Similarity and distance between sequences, step by step while they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.maps.gathering import KeptStates, batches, choose, kept_states, last_layer
from memviz.maps.pairs import Pairs, apart, course
from memviz.maps.records import GROUPS, LAST_CONTEXT, MEASURES, PAIRS, STATES, VARIANTS, Dynamics, Separation
from memviz.maps.scope import Scope, ScopedTask
from memviz.population.intervals import percentiles
from memviz.records import BEFORE_NORM
from memviz.sweeps.using import using
from memviz.tasks.base import Context
from memviz.tasks.context import Report

_NORMS = ("norm", "norm_low", "norm_high")
_SEPARATING = [PAIRS.index(pair) for pair in (("memorized",) * 2, ("unmemorized",) * 2, ("memorized", "unmemorized"))]
FORMAT = 2
"""Raised when the record or its numbers change, so that older results are computed anew."""
MOST_ROWS = 3_000
"""Rows compared; where more pass, a random sample of them by the scope's seed."""


@dataclass(frozen=True)
class DynamicsTask(ScopedTask[Dynamics]):
    """One model's states of a scope's rows at every step, at the last layer. Raises InputError for fields of no use.

    `report(done, total)` counts rows read, then steps.
    """

    kind = "dynamics"
    record = Dynamics

    model: str
    scope: Scope

    def __post_init__(self) -> None:
        if self.scope.n_rows is not None and self.scope.n_rows > MOST_ROWS:
            raise InputError(f"{self.scope.n_rows:,} rows were asked for: at most {MOST_ROWS:,} are compared")

    @property
    def versions(self) -> dict[str, int]:
        return {"dynamics": FORMAT}

    def compute(self, cards: Sequence[Card], context: Context) -> Dynamics:
        chosen = choose(self.scope, self.scope.sweep(), self.model, MOST_ROWS)
        layers = (last_layer(cards[0]), BEFORE_NORM)
        used = using(context.settings, Path(self.scope.folder))
        with used, TemporaryFile(dir=context.settings.cache) as file:
            read = batches(chosen, layers, np.arange(LAST_CONTEXT, self.scope.m), context)
            states = kept_states(read, len(chosen.places), layers, file)
            context.say("comparing sequences step by step")
            strata = 2 * chosen.group + chosen.loop
            return dynamics_of(states, strata, chosen.units, chosen.n_passing, context.report)


def dynamics_of(
    states: KeptStates,
    strata: np.ndarray,
    units: np.ndarray,
    n_passing: int,
    report: Report = lambda done, total: None,
) -> Dynamics:
    """Dynamics from the states of n rows, the first step being `LAST_CONTEXT`.

    strata (n,): twice the group (0 memorized, 1 half, 2 unmemorized, 3 none) plus whether the generation loops.
    """
    pairs, n_steps = Pairs(strata, units), states.n_steps
    ends: dict[str, list[np.ndarray]] = {name: [] for name in ("value", "low", "high", *_NORMS)}
    over_steps: np.ndarray | float = 0.0
    cosines, shuffled = [], []
    for step in range(n_steps):
        found = [pairs.at(states.at(place, step)) for place in range(len(STATES))]
        every, norm = (np.stack([getattr(each, name) for each in found], axis=-1) for name in ("every", "norm"))
        every, norm = np.moveaxis(every, -1, 2), np.moveaxis(norm, -1, 1)
        for names, each in ((("value", "low", "high"), every), (_NORMS, norm)):
            for name, end in zip(names, (each[0], *percentiles(each[1:])), strict=True):
                ends[name].append(end.astype(np.float32))
        if step > 0:  # after the last context token come the generated ones
            over_steps = over_steps + every[..., 0, :] / (n_steps - 1)
            cosines.append(every[:, 0, 0][..., _SEPARATING])
            shuffled.append(found[0].shuffled)
        report(step + 1, n_steps)
    return Dynamics(
        step=np.arange(LAST_CONTEXT, n_steps + LAST_CONTEXT, dtype=np.int32),
        **{name: np.stack(each, axis=-1) for name, each in ends.items()},
        over_steps=np.asarray(over_steps, np.float32),
        separation=_separation(np.stack(cosines), np.stack(shuffled)),
        n_rows=pairs.n_rows.astype(np.int32),
        n_passing=np.array(n_passing, np.int32),
        n_units=np.array(len(np.unique(units)), np.int32),
        width=np.array(states.width, np.int32),
    )


def _separation(cosines: np.ndarray, shuffled: np.ndarray) -> Separation:
    """From (s, 1 + b, v, 3) and (s, p, v, 3) cosines within memorized, within unmemorized, and between."""
    numbers = []
    for each in (cosines, shuffled):
        numbers += [apart(each).mean(axis=0), course(each[..., 0] - each[..., 1])]
    return Separation(*(each.astype(np.float32) for each in (numbers[0], numbers[2], numbers[1], numbers[3])))


def dynamics_table(found: Dynamics) -> pd.DataFrame:
    """One line a step, measure, state, variant and pair, with its interval and the rows behind it; norms as pairs of
    a group with itself under the measure "norm"."""
    groups, about, ends = [*GROUPS, "all"], list[tuple[object, ...]](), list[list[np.ndarray]]()

    def add(kind: str, state: str, v: int, pair: tuple[str, str], *where: int) -> None:
        n = [int(found.n_rows[v, groups.index(name)]) for name in pair]
        about.append((kind, state, VARIANTS[v], *pair, *n))
        names = ("norm", "norm_low", "norm_high") if kind == "norm" else ("value", "low", "high")
        ends.append([getattr(found, name)[where] for name in names])

    for u, measure in enumerate(MEASURES):
        for a, state in enumerate(STATES):
            for v in range(len(VARIANTS)):
                for q, pair in enumerate(PAIRS):
                    add(measure, state, v, pair, u, a, v, q)
    for a, state in enumerate(STATES):
        for v in range(len(VARIANTS)):
            for g, group in enumerate(groups):
                add("norm", state, v, (group, group), a, v, g)
    table = pd.DataFrame(about, columns=["measure", "state", "variant", "a", "b", "n_a", "n_b"])
    table = table.loc[np.repeat(np.arange(len(about)), len(found.step))].reset_index(drop=True)
    table.insert(0, "step", np.tile(found.step, len(about)))
    for place, (name, values) in enumerate(zip(("value", "low", "high"), np.concatenate(ends, axis=1), strict=True)):
        table.insert(6 + place, name, values)
    return table
