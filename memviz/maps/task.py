"""The map of one model's hidden states: rows chosen, states gathered, laid out, judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.maps.gathering import Chosen, alone, batches, checked_layer, choose
from memviz.maps.layout import UMAP, Basis, fit_basis, nearest, quality, umap_layout, warm_up
from memviz.maps.layout.judging import n_judged_neighbours
from memviz.maps.records import LAST_CONTEXT, EmbeddingMap, PlacedPoints, Silhouettes
from memviz.maps.scope import Scope, ScopedTask, check_seed
from memviz.measures.geometry import silhouette
from memviz.records import BEFORE_NORM
from memviz.sweeps.using import using
from memviz.tasks.base import Context

REDUCERS = ("pca", "umap")
N_POINTS, MOST_POINTS = 10_000, 50_000
"""Points of a map where the number of rows is left open, and at most."""
N_STEPS = 8
N_NEIGHBOURS = 15


def spread_steps(m: int, n: int = N_STEPS) -> tuple[int, ...]:
    """At most n of the steps 0 to m - 1, evenly spread, the first and the last among them."""
    return tuple(sorted({round(step) for step in np.linspace(0, m - 1, min(n, m)).tolist()}))


@dataclass(frozen=True)
class MapTask(ScopedTask[EmbeddingMap]):
    """A map of one model's states at one layer and some decoding steps. Raises InputError for fields of no use.

    `report(done, total)` counts rows read, then points whose neighbours are known, then epochs.
    """

    kind = "map"
    record = EmbeddingMap

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

    @property
    def versions(self) -> dict[str, int]:
        return {"umap": UMAP} if self.reducer == "umap" else {}

    def check(self, cards: Sequence[Card]) -> None:
        super().check(cards)
        checked_layer(cards[0], self.layer)

    def compute(self, cards: Sequence[Card], context: Context) -> EmbeddingMap:
        card, layer = cards[0], checked_layer(cards[0], self.layer)
        chosen = choose(self.scope, self.scope.sweep(), self.model, N_POINTS // len(self.steps))
        if len(chosen.places) * len(self.steps) > MOST_POINTS:
            raise InputError(
                f"{len(chosen.places):,} rows at {len(self.steps)} steps are more than {MOST_POINTS:,} points: "
                "take fewer of either"
            )
        if self.reducer == "umap":
            warm_up()  # it compiles while states are read
        with using(context.settings, Path(self.scope.folder)):
            return self._made(chosen, card, layer, context)

    def _made(self, chosen: Chosen, card: Card, layer: int, context: Context) -> EmbeddingMap:
        steps = np.array(self.steps, np.int32)
        states, entropy = _read(chosen, steps, layer, context)
        points = states.reshape(-1, states.shape[2])
        basis, reduced, xy, judged = _laid_out(points, self, context)
        context.say("comparing groups in full space")
        apart = context.meanwhile(lambda: silhouettes(states, steps, chosen.group, chosen.units))
        return EmbeddingMap(
            **_placed(chosen, np.arange(len(chosen.places)), steps, xy, entropy),
            layer=np.array(layer, np.int32),
            n_passing=np.array(chosen.n_passing, np.int32),
            basis=basis,
            reduced=reduced if self.reducer == "umap" else None,
            quality=judged,
            silhouettes=apart,
        )


def _read(chosen: Chosen, steps: np.ndarray, layer: int, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """(s, n, d) float32 states, and (s, n) entropies; what was read so far is shown on the axes of the first batch."""
    n, read, basis = len(chosen.places), np.zeros(0, np.int64), None
    states, entropy = np.zeros((len(steps), n, 0), np.float32), np.zeros((len(steps), n), np.float32)
    for numbers, batch in batches(chosen, (layer,), steps, context, with_entropy=True):
        assert batch.entropy is not None
        here = batch.of_layer(layer).transpose(1, 0, 2)
        if not len(read):
            states, basis = np.zeros((*states.shape[:2], here.shape[2]), np.float32), _first_axes(here)
        states[:, numbers], entropy[:, numbers] = here, batch.entropy.T
        read = np.sort(np.append(read, numbers))
        if basis is not None:
            xy = basis.project(states[:, read].reshape(-1, states.shape[2]))
            context.show(PlacedPoints(**_placed(chosen, read, steps, xy, entropy[:, read])))
    return states, entropy


def _first_axes(states: np.ndarray) -> Basis | None:
    """Of (s, b, d) states of a first batch; None where they span no plane."""
    try:
        found = fit_basis(states.reshape(-1, states.shape[2]), 2)
    except InputError:
        return None
    return found if len(found.components) == 2 else None


def _placed(
    chosen: Chosen, which: np.ndarray, steps: np.ndarray, xy: np.ndarray, entropy: np.ndarray
) -> dict[str, np.ndarray]:
    """The fields of `PlacedPoints` of some of the chosen rows: their (p, 2) places, and (s, r) entropies."""
    match = np.concatenate([np.ones((len(which), 1), bool), chosen.match[which]], axis=1)[:, steps + 1]
    return {
        "row": np.tile(chosen.rows[which], len(steps)),
        "step": np.repeat(steps, len(which)),
        "xy": xy,
        "hits": np.tile(chosen.hits[which], len(steps)),
        "match": match.T.ravel(),
        "entropy": entropy.ravel(),
        "loop": np.tile(chosen.loop[which], len(steps)),
        "m": np.array(chosen.scope.m, np.int32),
    }


def _laid_out(points: np.ndarray, task: MapTask, context: Context) -> tuple[Any, ...]:
    """Basis, (p, c) coordinates along it, (p, 2) places, quality. Raises InputError for points of no use."""
    try:
        wanted = max(task.n_neighbours - 1, n_judged_neighbours(len(points)))
        context.say("finding neighbours")
        neighbours = nearest(points, wanted, context.report)
        basis = fit_basis(points)
        reduced = basis.project(points)
        xy = np.zeros((len(points), 2), np.float32)
        xy[:, : reduced.shape[1]] = reduced[:, :2]
        if task.reducer == "umap":
            context.say("laying out with UMAP")
            xy = umap_layout(neighbours.first(task.n_neighbours - 1), xy, task.seed, report=context.report)
        context.say("judging the map")
        return basis, reduced, xy, context.meanwhile(lambda: quality(points, xy, neighbours))
    except InputError as error:
        raise InputError(str(error)) from None


def silhouettes(states: np.ndarray, steps: np.ndarray, group: np.ndarray, units: np.ndarray) -> Silhouettes:
    """Of memorized, half-memorized and unmemorized rows at each of s steps, from (s, n, d) states in full space.

    One row of each group of near-duplicates: shuffled labels would tear these apart.
    """
    inside = alone(units) & (group < 3)
    found = [silhouette(each[inside], group[inside]) for each in states]
    names = ("value", "null_mean", "null_low", "null_high")
    numbers = {name: np.array([getattr(each, name) for each in found], np.float32) for name in names}
    return Silhouettes(step=steps, n=np.array([each.n for each in found], np.int32), **numbers)
