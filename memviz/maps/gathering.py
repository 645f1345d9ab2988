"""The texts that a scope means, and their states at some steps; memory holds what was asked for and one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.maps.scope import Scope
from memviz.measures.templates import repeating
from memviz.records import BEFORE_NORM, Points
from memviz.sweeps.results import Sweep
from memviz.sweeps.states import Texts, points_of, texts_of
from memviz.tasks.base import Context
from memviz.weights import depth_and_width


@dataclass(frozen=True)
class Chosen:
    """The n rows of a scope under one model."""

    scope: Scope
    texts: Texts
    places: np.ndarray
    """(n,) int64 among `texts.rows`, ascending."""
    n_passing: int
    """Rows that pass the filters, of which n are drawn."""
    units: np.ndarray
    """(n,) int64 group of near-duplicates."""

    @property
    def rows(self) -> np.ndarray:
        """(n,) int64 row numbers."""
        return self.texts.rows[self.places]

    @property
    def match(self) -> np.ndarray:
        """(n, m) bool, free-running."""
        return self.texts.match[self.places]

    @property
    def hits(self) -> np.ndarray:
        """(n,) int32, 0 to m."""
        return self.match.sum(axis=1).astype(np.int32)

    @property
    def loop(self) -> np.ndarray:
        """(n,) bool: the generation loops, see `loops`."""
        return loops(self.texts.generated_ids[self.places, self.texts.k :])

    @property
    def group(self) -> np.ndarray:
        """(n,) int64: 0 memorized, 1 half-memorized, 2 unmemorized, 3 none of these."""
        m, hits = self.scope.m, self.hits
        return np.select([hits == m, 2 * hits == m, hits == 0], [0, 1, 2], 3)


def alone(units: np.ndarray) -> np.ndarray:
    """(n,) bool: the first row of each group of near-duplicates."""
    first = np.zeros(len(units), bool)
    first[np.unique(units, return_index=True)[1]] = True
    return first


def loops(generated_ids: np.ndarray) -> np.ndarray:
    """(n,) bool from (n, m) generated ids: copies of a chunk, at least two, end the generation.

    They start in its first half, the last may be cut, and up to two tokens may follow: the rule for repeating rows.
    """
    return repeating(generated_ids) if generated_ids.shape[1] >= 2 else np.zeros(len(generated_ids), bool)


def choose(scope: Scope, sweep: Sweep, model: str, most: int) -> Chosen:
    """The rows of a scope: those that pass and are long enough, and of these at most `most`, or as many as it names.

    Raises InputError where none pass, or fewer than were asked for.
    """
    texts = texts_of(sweep, model, scope.k, scope.m, scope.mode)
    about = sweep.rows[sweep.rows["row"].isin(texts.rows)].sort_values("row")
    passing = np.flatnonzero(scope.filters.keep(about))
    if not len(passing):
        raise InputError(f"none of the {len(about):,} rows passes the filters: loosen them")
    wanted = min(most, len(passing)) if scope.n_rows is None else scope.n_rows
    if wanted > len(passing):
        raise InputError(f"{wanted:,} rows were asked for, {len(passing):,} pass the filters: ask for fewer")
    drawn = np.random.default_rng(scope.seed).permutation(passing)[:wanted]
    places = np.sort(drawn)
    return Chosen(scope, texts, places, len(passing), about["group"].to_numpy(np.int64)[places])


def last_layer(card: Card) -> int:
    """The number of a model's last layer, from its configuration. Raises InputError where it does not say."""
    found, _ = depth_and_width(Path(card.folder))
    if found is None:
        raise InputError(f"the configuration of {card.name} does not say how many layers it has: name the layer")
    return found


def checked_layer(card: Card, layer: int | None) -> int:
    """The layer meant; None is the last. Raises InputError where the model has no such layer."""
    last = last_layer(card)
    if layer is not None and not BEFORE_NORM <= layer <= last:
        raise InputError(
            f"{card.name} has no layer {layer}: give 0 (embedding) to {last} (last, after the final norm), "
            f"or {BEFORE_NORM} (last, before it)"
        )
    return last if layer is None else layer


def batches(
    chosen: Chosen, layers: tuple[int, ...], steps: np.ndarray, context: Context, with_entropy: bool = False
) -> Iterator[tuple[np.ndarray, Points]]:
    """Numbers (b,) among the chosen rows and their states at decoding steps (s,), batch by batch, in random order."""
    scope, index = chosen.scope, chosen.scope.k + steps
    yield from points_of(
        chosen.texts, chosen.places, layers, index, scope.dtype, context, scope.free_running, with_entropy
    )


def gather(found: Iterator[tuple[np.ndarray, Points]], n: int, layer: int) -> np.ndarray:
    """(s, n, d) float32 states of one layer."""
    states: np.ndarray | None = None
    for numbers, batch in found:
        here = batch.of_layer(layer).transpose(1, 0, 2)
        if states is None:
            states = np.zeros((here.shape[0], n, here.shape[2]), np.float32)
        states[:, numbers] = here
    assert states is not None
    return states


@dataclass(frozen=True)
class KeptStates:
    """States of n rows at s indices and a few layers, in float16 in a file."""

    hidden: np.ndarray
    """(layers, s, n, d) float16, on disk."""
    scale: np.ndarray
    """(layers, n) float32."""

    @property
    def n_steps(self) -> int:
        return self.hidden.shape[1]

    @property
    def width(self) -> int:
        return self.hidden.shape[3]

    def at(self, place: int, step: int) -> np.ndarray:
        """(n, d) float32 of one layer and one index."""
        return self.hidden[place, step].astype(np.float32) * self.scale[place, :, None]


def kept_states(
    found: Iterator[tuple[np.ndarray, Points]], n: int, layers: tuple[int, ...], file: IO[bytes]
) -> KeptStates:
    """States of n rows at s steps, written to a file batch by batch."""
    kept: KeptStates | None = None
    for numbers, batch in found:
        if kept is None:
            shape = (len(layers), len(batch.index), n, batch.hidden.shape[3])
            kept = KeptStates(np.memmap(file, np.float16, "w+", shape=shape), np.ones((len(layers), n), np.float32))
        for place, layer in enumerate(layers):
            at = int(np.flatnonzero(batch.layers == layer)[0])
            kept.hidden[place][:, numbers] = batch.hidden[:, :, at].transpose(1, 0, 2)
            kept.scale[place, numbers] = batch.scale[:, at]
    assert kept is not None
    return kept
