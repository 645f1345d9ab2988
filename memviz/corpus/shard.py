"""One shard of an index: which suffixes start with an n-gram, and what is known of their places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from memviz.corpus.files import ShardEntry, read_shard
from memviz.corpus.suffixes import BLOCK, ragged

_COLUMNS, _WIDEST, _CHUNK = 32, 2**14, 2**22


class Shard:
    """A shard's arrays, memory-mapped and never changed.

    A range lo, hi means the suffixes from rank lo to hi - 1; a place is an index of `tokens`.
    """

    to_left: ClassVar[bool] = True
    """Ranges grow by the token before an n-gram, rather than by the one behind it."""

    def __init__(self, folder: Path, entry: ShardEntry) -> None:
        _, arrays = read_shard(folder, entry.key)
        self.entry = entry
        self.tokens, self.suffixes, self.keys = arrays["tokens"], arrays["suffixes"], arrays["keys"]
        self._new_from, self._totals = arrays["new_from"], arrays["totals"]
        self.starts, self.row, self.row_offset = arrays["starts"], arrays["row"], arrays["row_offset"]
        self.row_length, self.step, self._by_row = arrays["row_length"], arrays["step"], arrays["by_row"]

    def places_until(self, step: int | None) -> int:
        """Places before this one belong to exposures of that step and before."""
        if step is None:
            return len(self.tokens)
        return int(self.starts[np.searchsorted(self.step, step, side="right")])

    # Ranges

    def everything(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """n ranges of all suffixes: those of the empty n-gram."""
        return np.zeros(n, np.int64), np.full(n, len(self.tokens), np.int64)

    def longer(self, ids: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(q,), (q,): ranges of the n-grams one token longer to the left, by the ids (q,) of those tokens."""
        base = ids * len(self.tokens)
        found = self.keys.searchsorted(np.concatenate([base + lo, base + hi]))
        return found[: len(ids)], found[len(ids) :]

    def one_longer(self, text: np.ndarray, n: int, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(t - n + 1,) each: ranges of a text's n-grams by their start, from those of one token fewer."""
        return self.longer(text[: len(text) - n + 1], lo[1:], hi[1:])

    def grown(self, ids: np.ndarray, lo: np.ndarray, hi: np.ndarray, held: int) -> tuple[np.ndarray, np.ndarray]:
        """(q,), (q,): ranges of n-grams one token longer, the way that `to_left` says, than those of `held` tokens."""
        return self.longer(ids, lo, hi)

    def ranges(self, ngrams: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(q,), (q,): ranges of n-grams of any lengths."""
        lengths = np.array([len(ngram) for ngram in ngrams])
        lo, hi = self.everything(len(ngrams))
        padded = np.zeros((len(ngrams), max(lengths, default=0)), np.int64)
        for padding, ngram in zip(padded, ngrams, strict=True):
            padding[: len(ngram)] = ngram[::-1]
        for n in range(padded.shape[1]):
            active = np.flatnonzero((lengths > n) & (lo < hi))
            if not len(active):
                break
            lo[active], hi[active] = self.longer(padded[active, n], lo[active], hi[active])
        return lo, hi

    # Counts

    def exposures(self, lo: np.ndarray, hi: np.ndarray, end: int) -> np.ndarray:
        """(q,) int64 places before `end` in each range."""
        if end == len(self.tokens):
            return hi - lo
        pairs = zip(lo.tolist(), hi.tolist(), strict=True)
        return np.array([np.count_nonzero(self.suffixes[a:b] < end) for a, b in pairs], np.int64)

    def new_rows(self, lo: np.ndarray, hi: np.ndarray, n: int, end: int) -> np.ndarray:
        """(q,) int64 places before `end` in each range of n-grams, n <= COUNTED_ORDERS, that are first in their row.

        Added up over the shards this is the number of distinct rows.
        """
        if end == len(self.tokens):
            return self._new_before(hi, n) - self._new_before(lo, n)
        pairs = zip(lo.tolist(), hi.tolist(), strict=True)
        return np.array(
            [np.count_nonzero((self._new_from[a:b] <= n) & (self.suffixes[a:b] < end)) for a, b in pairs], np.int64
        )

    def _new_before(self, ranks: np.ndarray, n: int) -> np.ndarray:
        blocks, rest = np.divmod(ranks, BLOCK)
        columns = np.arange(BLOCK)
        at = np.minimum(blocks[:, None] * BLOCK + columns, len(self._new_from) - 1)
        partial = (self._new_from[at] <= n) & (columns < rest[:, None])
        return self._totals[blocks, n - 1] + np.count_nonzero(partial, axis=1)

    # Places

    def places(self, lo: int, hi: int, end: int) -> np.ndarray:
        """(r,) int32 places before `end` in a range, in the order of their suffixes."""
        found = self.suffixes[lo:hi]
        return found if end == len(self.tokens) else found[found < end]

    def segments(self, places: np.ndarray) -> np.ndarray:
        """(r,) int64 segment of each place."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def rows_of(self, places: np.ndarray) -> np.ndarray:
        """(r,) row of each place."""
        return self.row[self.segments(places)]

    def where(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(r,) each: row, position in the row, step."""
        at = self.segments(places)
        return self.row[at], self.row_offset[at] + places - self.starts[at], self.step[at]

    def text_of(self, segments: np.ndarray) -> np.ndarray:
        """(t,) ids of some segments, each with its sentinel."""
        starts = self.starts[segments]
        return self.tokens[ragged(starts, self.starts[segments + 1] - starts)]

    def n_places(self, segments: np.ndarray) -> int:
        """Of some segments, sentinels included."""
        return int((self.starts[segments + 1] - self.starts[segments]).sum())

    def part_of_row(self, segment: int) -> tuple[int, np.ndarray, int]:
        """Where in its row a segment starts, its ids, and how many the row has."""
        start, end = (int(x) for x in self.starts[segment : segment + 2])
        return int(self.row_offset[segment]), self.tokens[start : end - 1], int(self.row_length[segment])

    def rows_in(self, lo: np.ndarray, hi: np.ndarray, end: int) -> np.ndarray:
        """(r,) int64 distinct rows with a place before `end` in any of the ranges, ascending."""
        found = [np.zeros(0, np.int64)]
        for some in np.array_split(np.arange(len(lo)), 1 + int((hi - lo).sum()) // _CHUNK):
            places = self.suffixes[ragged(lo[some], hi[some] - lo[some])]
            found.append(np.unique(self.row[self.segments(places[places < end])]))
        return np.unique(np.concatenate(found))

    def segments_of(self, rows: np.ndarray, end: int) -> np.ndarray:
        """(g,) int64 segments of these rows that start before place `end`, a row's in stream order."""
        lo = self.row.searchsorted(rows, side="left", sorter=self._by_row)
        hi = self.row.searchsorted(rows, side="right", sorter=self._by_row)
        found = self._by_row[ragged(lo, hi - lo)]
        return found[self.starts[found] < end]

    # The longest match

    def longest_match(self, ids: np.ndarray, end: int, without: np.ndarray) -> np.ndarray:
        """(t,) int64 tokens from each index of a text on that stand somewhere before `end` in rows not in `without`."""
        ranks = np.empty(len(ids), np.int64)
        rank, n = 0, len(self.tokens)
        for i in range(len(ids) - 1, -1, -1):
            rank = ranks[i] = int(self.keys.searchsorted(int(ids[i]) * n + rank))
        return np.maximum(self._match(ids, ranks - 1, -1, end, without), self._match(ids, ranks, 1, end, without))

    def _match(self, ids: np.ndarray, ranks: np.ndarray, way: int, end: int, without: np.ndarray) -> np.ndarray:
        """(t,) int64 tokens shared with the suffix at each rank, or with the next allowed one that way."""
        found, waiting = np.full(len(ids), -1, np.int64), np.arange(len(ids))
        first, last = self.longer(ids, *self.everything(len(ids)))  # outside nothing is shared
        begin, width = 0, 8 if len(without) or end < len(self.tokens) else 1
        while len(waiting):
            at = ranks[waiting, None] + way * np.arange(begin, begin + width)
            inside = (at >= first[waiting, None]) & (at < last[waiting, None])
            places = self.suffixes[np.where(inside, at, 0)]
            allowed = inside & (places < end)
            if len(without):
                allowed &= ~np.isin(self.row[self.segments(places)], without)
            some = allowed.any(axis=1)
            nearest = allowed[some].argmax(axis=1)
            found[waiting[some]] = places[some, nearest]
            waiting = waiting[~some & inside.all(axis=1)]
            begin, width = begin + width, min(2 * width, _WIDEST)
        return self._shared(ids, found)

    def _shared(self, ids: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(t,) int64 tokens from each index of a text on that equal those from its place on; none at place -1."""
        shared, waiting = np.zeros(len(ids), np.int64), np.flatnonzero(places >= 0)
        text = np.append(ids, np.full(_COLUMNS, -1))
        columns = np.arange(_COLUMNS)
        while len(waiting):
            at = shared[waiting, None] + columns
            theirs = self.tokens[np.minimum(places[waiting, None] + at, len(self.tokens) - 1)]
            same = theirs == text[np.minimum(waiting[:, None] + at, len(text) - 1)]
            whole = same.all(axis=1)
            shared[waiting] += np.where(whole, _COLUMNS, same.argmin(axis=1))
            waiting = waiting[whole]
        return shared
