"""Which occurrence of an n-gram is the first in its row: what makes counts of distinct rows sums like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memviz.corpus.stream import StreamShard
from memviz.corpus.suffixes import COUNTED_ORDERS, NEVER, ragged

_CHUNK = 2**21


@dataclass(frozen=True)
class Candidates:
    """Segments, old ones first, in which an n-gram may be new to its row; in all others everything was seen."""

    tokens: np.ndarray
    """(c,)"""
    row: np.ndarray
    """(g,)"""
    n_tokens: np.ndarray
    """(g,)"""
    segments: np.ndarray
    """(g,) int64 segment of the shard; -1 for one of an earlier shard."""

    def digest(self) -> bytes:
        """Of what earlier shards contribute."""
        old = self.segments < 0
        parts = (self.tokens[: self.n_tokens[old].sum()], self.row[old], self.n_tokens[old], self.segments[~old])
        return hashlib.sha256(b"|".join(np.asarray(part, np.int64).tobytes() for part in parts)).digest()

    def select(self, which: np.ndarray) -> Candidates:
        """Some of the segments, by number, in the given order."""
        starts = np.cumsum(self.n_tokens) - self.n_tokens
        tokens = self.tokens[ragged(starts[which], self.n_tokens[which])]
        return Candidates(tokens, self.row[which], self.n_tokens[which], self.segments[which])


class Seen:
    """What the stream has shown of each row so far."""

    def __init__(self) -> None:
        self._whole = np.zeros(0, bool)  # rows that were shown in full, after which nothing in them is new
        none = np.zeros(0, np.int64)
        self._parts = Candidates(none.astype(np.uint16), none, none, none)

    def add(self, shard: StreamShard) -> Candidates:
        """Take notice of a shard; its candidates."""
        n_rows = max(len(self._whole), int(shard.row.max()) + 1)
        self._whole = np.concatenate([self._whole, np.zeros(n_rows - len(self._whole), bool)])
        known = self._whole[shard.row]
        n_segments = len(shard.row)
        full = np.flatnonzero(shard.n_tokens == shard.row_length)
        rows, first = np.unique(shard.row[full], return_index=True)
        at = np.searchsorted(rows, shard.row)
        shown_at = np.append(full[first], n_segments)[np.where(np.append(rows, -1)[at] == shard.row, at, len(rows))]
        chosen = np.flatnonzero(~known & (np.arange(n_segments) <= shown_at))
        own = Candidates(shard.tokens, shard.row, shard.n_tokens, np.arange(n_segments)).select(chosen)
        old = self._parts.select(np.flatnonzero(np.isin(self._parts.row, own.row)))
        self._whole[rows] = True
        joined = _join(self._parts, own)
        kept = joined.select(np.flatnonzero(~self._whole[joined.row]))
        self._parts = Candidates(kept.tokens, kept.row, kept.n_tokens, np.full(len(kept.row), -1))
        return _join(old, own)


def _join(a: Candidates, b: Candidates) -> Candidates:
    names = ("tokens", "row", "n_tokens", "segments")
    return Candidates(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in names))


def new_from(candidates: Candidates, starts: np.ndarray) -> np.ndarray:
    """(t,) uint8, t = starts[-1]: the least n <= `COUNTED_ORDERS` whose n-gram at a position is new to its row.

    `NEVER` where there is none. Longer n-grams there are new as well, since they hold the new one.
    """
    found = np.full(starts[-1], NEVER, np.uint8)
    for part in _by_rows(candidates):
        least = _least_new(part)
        own = part.segments >= 0
        from_part = np.repeat(own, part.n_tokens)
        found[ragged(starts[part.segments[own]], part.n_tokens[own])] = least[from_part]
    return found


def _by_rows(candidates: Candidates) -> Iterator[Candidates]:
    """The candidates with the segments of a row together, in chunks that bound the memory."""
    order = np.argsort(candidates.row, kind="stable")
    row, ends = candidates.row[order], np.cumsum(candidates.n_tokens[order])
    last_of_row = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else np.zeros(0, np.int64)
    begin = 0
    while begin < len(order):
        wanted = (ends[begin - 1] if begin else 0) + _CHUNK
        borders = last_of_row[last_of_row >= begin]
        end = int(borders[min(np.searchsorted(ends[borders], wanted), len(borders) - 1)]) + 1
        yield candidates.select(order[begin:end])
        begin = end


def _least_new(part: Candidates) -> np.ndarray:
    """(c,) uint8 for each token of the segments: as `new_from`."""
    tokens, least = part.tokens, np.full(len(part.tokens), NEVER, np.uint8)
    remaining = np.repeat(np.cumsum(part.n_tokens), part.n_tokens) - np.arange(len(tokens))
    base = int(tokens.max()) + 1 if len(tokens) else 1
    positions, classes = np.arange(len(tokens)), np.repeat(part.row, part.n_tokens)
    for n in range(1, COUNTED_ORDERS + 1):
        codes = classes * base + tokens[positions + n - 1]
        order = np.argsort(codes, kind="stable")
        begins = np.append(True, codes[order][1:] != codes[order][:-1])
        firsts = positions[order[begins]]  # stable, so the first in the stream
        least[firsts] = np.minimum(least[firsts], n)
        number = np.cumsum(begins) - 1
        repeated = np.bincount(number)[number] > 1  # an n-gram that stands alone is new, and so are longer ones
        positions, classes = positions[order[repeated]], number[repeated]
        fits = remaining[positions] > n
        positions, classes = positions[fits], classes[fits]
        back = np.argsort(positions)
        positions, classes = positions[back], classes[back]
        if not len(positions):
            break
    return least
