"""How alike two models' states of the same rows are: a task of its own, for it needs no map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.maps.gathering import alone, batches, checked_layer, choose, gather
from memviz.maps.records import LAST_CONTEXT, Agreement, Similarity
from memviz.maps.scope import Scope, TwoModelsTask
from memviz.maps.task import spread_steps
from memviz.measures.geometry import (
    MOST_ROWS,
    N_NEIGHBOURS,
    N_PERMUTATIONS,
    Permuted,
    knn_overlap,
    linear_cka,
    representational_similarity,
)
from memviz.sweeps.using import using
from memviz.tasks.base import Context

N_SIMILAR_STEPS = 4


@dataclass(frozen=True)
class SimilarityTask(TwoModelsTask[Similarity]):
    """Two models' states of the same rows at some steps. Raises InputError for fields of no use.

    `report(done, total)` counts the rows of one model, then of the other.
    """

    kind = "similarity"
    record = Similarity

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

    def check(self, cards: Sequence[Card]) -> None:
        super().check(cards)
        for card, layer in zip(cards, self.layers, strict=True):
            checked_layer(card, layer)

    def compute(self, cards: Sequence[Card], context: Context) -> Similarity:
        with using(context.settings, Path(self.scope.folder)):
            return self._compared(cards, context)

    def _compared(self, cards: Sequence[Card], context: Context) -> Similarity:
        sweep, states, rows = self.scope.sweep(), [], []
        for card, wanted in zip(cards, self.layers, strict=True):
            layer = checked_layer(card, wanted)
            chosen = choose(self.scope, sweep, card.name, MOST_ROWS)
            read = batches(chosen, (layer,), np.array(self.steps), context)
            states.append(gather(read, len(chosen.places), layer))
            rows.append(chosen.rows)
        if not np.array_equal(rows[0], rows[1]):
            raise InputError(f"{self.model} were not asked about the same rows: sweep them together")
        once = alone(chosen.units)  # permuted rows would tear near-duplicates apart
        return _compare(states[0][:, once], states[1][:, once], np.array(self.steps, np.int32), context)


def _compare(a: np.ndarray, b: np.ndarray, steps: np.ndarray, context: Context) -> Similarity:
    """(s, n, d) and (s, n, e) states of the same rows. Raises InputError for too few rows."""
    context.say("comparing the two spaces")
    measures: dict[str, Callable[..., Permuted]] = {
        "cka": linear_cka,
        "knn_overlap": knn_overlap,
        "rsa": representational_similarity,
    }
    found: dict[str, list[Permuted]] = {name: [] for name in measures}
    for number in range(len(steps)):
        for name, measure in measures.items():
            try:
                found[name].append(context.meanwhile(partial(measure, a[number], b[number])))
            except ValueError as error:
                raise InputError(str(error)) from None
        context.report(number + 1, len(steps))
    values = {name: _agreement(each) for name, each in found.items()}
    numbers = (a.shape[1], N_NEIGHBOURS, N_PERMUTATIONS)
    n, q, n_permutations = (np.array(each, np.int32) for each in numbers)
    ceiling = np.array([each.ceiling for each in found["knn_overlap"]], np.float32)
    return Similarity(steps, **values, n=n, n_neighbours=q, n_permutations=n_permutations, knn_ceiling=ceiling)


def _agreement(found: list[Permuted]) -> Agreement:
    names = ("value", "null_mean", "null_low", "null_high")
    return Agreement(**{name: np.array([getattr(each, name) for each in found], np.float32) for name in names})
