"""Hidden states of the same rows under weights that had read them and under weights that had not yet.

What makes a row's tokens easy is the same on both sides; that the later weights' hits make the groups is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from memviz.catalog import Card
from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.maps.gathering import Chosen, batches, choose, gather, last_layer
from memviz.maps.layout import fit_basis
from memviz.maps.pairs import N_STRATA, Pairs, apart
from memviz.maps.records import LAST_CONTEXT, PAIRS, STATES, VARIANTS, PairedStates
from memviz.maps.scope import Scope, TwoModelsTask
from memviz.measures.geometry import dot_sums, resampled_silhouettes, unit_vectors
from memviz.population.counterfactual import first_steps, read_between
from memviz.population.intervals import percentiles
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.using import using
from memviz.tasks.base import Context

MEMORIZED, UNMEMORIZED = 0, 2
"""Groups of `Chosen`."""
COMPARED = (PAIRS[0], PAIRS[2], PAIRS[4])
"""Axis q of `PairedStates`."""
_PLACES = [PAIRS.index(pair) for pair in COMPARED]


@dataclass(frozen=True)
class PairedTask(TwoModelsTask[PairedStates]):
    """Two models' states of rows that the first had read and the second had not, at every step, at the last layer.

    Only of the bundled suite, whose order of training is known. Raises InputError. `report(done, total)` counts rows of
    one model, then of the other.
    """

    kind = "paired"
    record = PairedStates

    models: tuple[str, str]
    """The later weights, and an earlier checkpoint of the same training run."""
    scope: Scope

    def __post_init__(self) -> None:
        if self.scope.free_running:
            raise InputError("the same rows are compared as both models read the rows' own tokens: teacher-forced")

    def compute(self, cards: Sequence[Card], context: Context) -> PairedStates:
        with using(context.settings, Path(self.scope.folder)):
            chosen = self._chosen()
            states = []
            for each, card in zip(chosen, cards, strict=True):
                layer, steps = last_layer(card), np.arange(LAST_CONTEXT, self.scope.m)
                states.append(gather(batches(each, (layer,), steps, context), len(each.places), layer))
        context.say("comparing sequences step by step")
        rows = chosen[0]
        return context.meanwhile(
            lambda: paired_states(states[0], states[1], rows.group == MEMORIZED, rows.units, rows.rows)
        )

    def _chosen(self) -> list[Chosen]:
        """The same rows under both. Raises InputError where a group has fewer than two."""
        sweep = self.scope.sweep()
        if sweep.task.rows.source != SUITE:
            raise InputError("which rows weights had read is known of the bundled suite alone")
        chosen = choose(self.scope, sweep, self.models[0], len(sweep.rows))
        wanted = np.isin(chosen.rows, read_between(sweep, *self.models, first_steps(read_data())))
        wanted &= np.isin(chosen.group, (MEMORIZED, UNMEMORIZED))
        later = replace(chosen, places=chosen.places[wanted], units=chosen.units[wanted])
        counts = np.bincount(later.group, minlength=3)[[MEMORIZED, UNMEMORIZED]]
        if counts.min() < 2:
            raise InputError(
                f"of the rows that {self.models[1]} had not read, {counts[0]} are memorized and {counts[1]} "
                "unmemorized, and two of each are needed: take more rows, or an earlier checkpoint"
            )
        return [later, replace(later, texts=replace(later.texts, model=self.models[1]))]


def paired_states(
    later: np.ndarray, before: np.ndarray, memorized: np.ndarray, units: np.ndarray, rows: np.ndarray
) -> PairedStates:
    """From (s, n, d) and (s, n, e) states of the same rows, the first step being `LAST_CONTEXT`."""
    strata = 2 * np.where(memorized, MEMORIZED, UNMEMORIZED)
    pairs = Pairs(strata, units)
    drawn = np.stack([[_cosines(pairs, step) for step in states] for states in (later, before)])  # (w, s, 1 + b, q)
    ends = percentiles(np.moveaxis(drawn[:, :, 1:], 2, 0))
    value, low, high = (each.swapaxes(1, 2).astype(np.float32) for each in (drawn[:, :, 0], *ends))
    silhouettes = [resampled_silhouettes(states[-1], ~memorized, pairs.weights) for states in (later, before)]
    return PairedStates(
        step=np.arange(LAST_CONTEXT, len(later) + LAST_CONTEXT, dtype=np.int32),
        value=value,
        low=low,
        high=high,
        apart=apart(drawn[:, 1:]).mean(axis=1).T.astype(np.float32),
        silhouette=np.stack(silhouettes, axis=1).astype(np.float32),
        xy=np.stack([fit_basis(states[-1], 2).project(states[-1]) for states in (later, before)]),
        row=rows,
        memorized=memorized,
        n_units=np.array(len(np.unique(units)), np.int32),
    )


def _cosines(pairs: Pairs, states: np.ndarray) -> np.ndarray:
    """(1 + b, q) mean cosines of `COMPARED` from (n, d) states of one step."""
    return pairs.means(dot_sums(unit_vectors(states), pairs.strata, N_STRATA, pairs.weights))[:, 0, _PLACES]


def paired_tables(found: PairedStates, names: tuple[str, str]) -> dict[str, pd.DataFrame]:
    """Name of the weights -> one line a step and pair, in the columns of `dynamics_table`."""
    n = {"memorized": int(found.memorized.sum()), "unmemorized": int((~found.memorized).sum())}
    tables = {}
    about = {"measure": "cosine", "state": STATES[0], "variant": VARIANTS[0]}
    for w, name in enumerate(names):
        parts = []
        for q, (a, b) in enumerate(COMPARED):
            ends = {end: getattr(found, end)[w, q] for end in ("value", "low", "high")}
            parts.append(pd.DataFrame({"step": found.step, **about, "a": a, "b": b, **ends, "n_a": n[a], "n_b": n[b]}))
        tables[name] = pd.concat(parts, ignore_index=True)
    return tables


def paired_numbers(found: PairedStates) -> pd.DataFrame:
    """quantity, now, before, difference, low, high (95 %, rows resampled, the same ones on both sides): two lines."""
    lines = []
    quantities = {"cosine within less between, mean over steps": found.apart, "silhouette, last step": found.silhouette}
    for name, drawn in quantities.items():
        difference = drawn[:, 0] - drawn[:, 1]
        low, high = (float(end) for end in percentiles(difference[1:]))
        values = {"now": drawn[0, 0], "before": drawn[0, 1], "difference": difference[0]}
        lines.append(
            {"quantity": name} | {key: float(value) for key, value in values.items()} | {"low": low, "high": high}
        )
    return pd.DataFrame(lines)
