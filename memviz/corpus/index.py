"""Questions to an index. Reading is thread-safe; nothing is changed after opening."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import psutil
import pyarrow as pa

from memviz.corpus import files
from memviz.corpus.added import opened
from memviz.corpus.added import read as read_added
from memviz.corpus.answers import Occurrence, Occurrences, Span
from memviz.corpus.files import Manifest
from memviz.corpus.infinigram import InfiniShard
from memviz.corpus.shard import Shard
from memviz.corpus.suffixes import COUNTED_ORDERS
from memviz.errors import InputError

Kind = Literal["stream", "rows", "other"]
"""stream: every exposure; rows: distinct rows; other: exposures of rows other than the text's own."""
Ids = Sequence[int] | np.ndarray
ORDERS = (1, 2, 3, 4, 5)
UNDEFINED = -1
"""Count where the text has no n-gram of that order that ends there."""
WINDOW = 16
"""Tokens of a window that two near-duplicates share."""
_CHUNK = 2**22


class Corpus:
    """An index on disk, memory-mapped."""

    def __init__(self, folder: Path, manifest: Manifest, shards: Sequence[Shard]) -> None:
        self.folder, self.manifest = folder, manifest
        self._shards = tuple(shards)

    @classmethod
    def open(cls, folder: Path, tokenizer_hash: str | None = None) -> Corpus:
        """Open an index. Raises InputError where it is missing or damaged or, given a hash, of another tokenizer."""
        added = read_added(folder)
        about = files.read_manifest(folder) if added is None else added
        if tokenizer_hash is not None and tokenizer_hash != about.tokenizer_hash:
            raise InputError(
                f"the index {about.name} was built with tokenizer {about.tokenizer_hash[:12]}, the model's is "
                f"{tokenizer_hash[:12]}: their ids mean different texts; build an index for this model"
            )
        if added is not None:
            return cls(folder, *opened(added))
        manifest = files.read_manifest(folder)
        return cls(folder, manifest, [Shard(folder, entry) for entry in manifest.shards])

    def verify(self) -> list[str]:
        """Read every file again: a sentence for each that is not what was written."""
        return [] if isinstance(self._shards[0], InfiniShard) else files.verify(self.folder, self.manifest)

    @cached_property
    def rows(self) -> pa.Table:
        """The table of rows as it was given; the row's number is its index."""
        return files.read_rows(self.folder, self.manifest.rows)

    def about(self, row: int) -> dict[str, Any]:
        """What is known of a row, for instance source and line."""
        for shard in self._shards:
            if isinstance(shard, InfiniShard):
                if len(shard.segments_of(np.array([row]), 0)):
                    return shard.about(row)
            else:
                return {name: column[row].as_py() for name, column in self._columns.items()}
        return {}

    @cached_property
    def _columns(self) -> dict[str, pa.ChunkedArray]:
        return {name: self.rows[name] for name in self.rows.column_names}

    def row_ids(self, row: int) -> np.ndarray:
        """(n,) int64 tokens of a row. Raises InputError where the row was never exposed, or not in full."""
        tokens: np.ndarray | None = None
        for shard in self._shards:
            for segment in shard.segments_of(np.array([row]), shard.places_until(None)).tolist():
                offset, part, length = shard.part_of_row(segment)
                if tokens is None:
                    tokens = np.full(length, UNDEFINED, np.int64)
                tokens[offset : offset + len(part)] = part
                if (tokens >= 0).all():
                    return tokens
        raise InputError(f"row {row} is not in the index {self.manifest.name} in full: it was never exposed whole")

    # Counts

    def counts(
        self,
        ids: Ids,
        orders: Sequence[int] = ORDERS,
        kind: Kind = "other",
        until_step: int | None = None,
        own_rows: Ids | None = None,
    ) -> np.ndarray:
        """(n_orders, n_ids) int64 counts of the n-gram that ends at each index, `UNDEFINED` where none does.

        `until_step` counts exposures of that step and before. `own_rows` default to `self.own_rows(ids)`.
        """
        text = self._text(ids)
        _check(kind, orders)
        wanted = {n: place for place, n in enumerate(orders)}
        found = np.full((len(orders), len(text)), UNDEFINED, np.int64)
        for n in orders:
            found[wanted[n], n - 1 :] = 0
        far: dict[tuple[int, int], list[np.ndarray]] = {}
        for shard, end in self._until(until_step):
            lo, hi = shard.everything(len(text) + 1)
            for n in range(1, min(max(orders), len(text)) + 1):
                lo, hi = shard.one_longer(text, n, lo, hi)
                if n in wanted and kind == "rows" and n > COUNTED_ORDERS:
                    for i in np.flatnonzero(hi > lo):
                        _expect_memory(int(hi[i] - lo[i]))
                        rows = shard.rows_in(lo[i : i + 1], hi[i : i + 1], end)
                        far.setdefault((wanted[n], int(i) + n - 1), []).append(rows)
                elif n in wanted:
                    count = shard.new_rows(lo, hi, n, end) if kind == "rows" else shard.exposures(lo, hi, end)
                    found[wanted[n], n - 1 :] += count
                if not (lo < hi).any():
                    break
        for place, parts in far.items():
            found[place] = len(np.unique(np.concatenate(parts)))
        if kind == "other":
            rows = self._own(text, own_rows)
            for n, count in self._counts_within(text, orders, rows, until_step).items():
                found[wanted[n], n - 1 :] -= count
        return found

    def longest_suffix(
        self, ids: Ids, kind: Kind = "other", until_step: int | None = None, own_rows: Ids | None = None
    ) -> np.ndarray:
        """(n_ids,) int64 tokens of the longest n-gram ending at each index that the corpus holds, 0 where none."""
        text = self._text(ids)
        _check(kind)
        without = self._own(text, own_rows) if kind == "other" else np.zeros(0, np.int64)
        ends = np.arange(len(text)) + self._longest_match(text, until_step, without)
        after = np.arange(1, len(text) + 1)
        return after - np.searchsorted(ends, after)

    def own_rows(self, ids: Ids) -> np.ndarray:
        """(r,) int64 rows that share `WINDOW` tokens in a row with a text, ascending; a shorter text: all of it."""
        text = self._text(ids)
        size = min(WINDOW, len(text))
        found = [np.zeros(0, np.int64)]
        for shard in self._shards if size else ():
            lo, hi = shard.everything(len(text) - size + 1)
            windows = np.arange(len(lo))
            for held in range(size):
                lo, hi = shard.grown(text[windows + (size - 1 - held if shard.to_left else held)], lo, hi, held)
                found_here = lo < hi
                windows, lo, hi = windows[found_here], lo[found_here], hi[found_here]
            found.append(shard.rows_in(lo, hi, shard.places_until(None)))
        return np.unique(np.concatenate(found))

    # Places

    def spans(self, ids: Ids, n_min: int = 8, until_step: int | None = None, without_rows: Ids = ()) -> list[Span]:
        """The longest verbatim spans of at least `n_min` tokens, by start; none lies within another."""
        if n_min < 1:
            raise InputError(f"spans of {n_min} tokens cannot be looked for: give at least 1")
        text, without = self._text(ids), np.unique(np.asarray(without_rows, np.int64))
        longest = self._longest_match(text, until_step, without)
        ends = np.arange(len(text)) + longest
        maximal = (longest >= n_min) & (np.diff(ends, prepend=0) > 0)
        starts = np.flatnonzero(maximal)
        counts, rows = np.zeros(len(starts), np.int64), [[np.zeros(0, np.int64)] for _ in starts]
        for shard, end in self._until(until_step) if len(starts) else ():
            lo, hi = shard.ranges([text[start : ends[start]] for start in starts])
            for i in np.flatnonzero(lo < hi).tolist():
                _expect_memory(int(hi[i] - lo[i]))
                held, times = np.unique(shard.rows_of(shard.places(int(lo[i]), int(hi[i]), end)), return_counts=True)
                kept = ~np.isin(held, without)
                counts[i] += times[kept].sum()
                rows[i].append(held[kept])
        return [
            Span(int(start), int(longest[start]), int(counts[i]), np.unique(np.concatenate(rows[i])))
            for i, start in enumerate(starts)
        ]

    def occurrences(self, ngram: Ids, limit: int | None = 100, until_step: int | None = None) -> Occurrences:
        """Where an n-gram stands, the first `limit` places by row and position; the totals are of all."""
        text = self._text(ngram)
        if not len(text):
            raise InputError("the n-gram has 0 tokens: give at least 1")
        parts = [np.zeros((3, 0), np.int64)]
        for shard, end in self._until(until_step):
            (lo,), (hi,) = shard.ranges([text])
            _expect_memory(int(hi - lo))
            parts.append(np.stack(shard.where(shard.places(int(lo), int(hi), end))))
        row, position, step = np.concatenate(parts, axis=1)
        order = np.lexsort((step, position, row))
        row, position, step = row[order], position[order], step[order]
        begins = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(position, prepend=-1) != 0))
        ends = np.append(begins, len(row))[1:]
        listed = tuple(
            Occurrence(int(row[a]), int(position[a]), int(b - a), step[a:b])
            for a, b in zip(begins[:limit], ends[:limit], strict=True)
        )
        return Occurrences(listed, len(begins), len(np.unique(row)), len(row))

    # Inside

    def _text(self, ids: Ids) -> np.ndarray:
        """(t,) int64 ids; those the corpus cannot hold become one that is neither an id nor the sentinel."""
        text = np.asarray(ids)
        if text.ndim != 1 or (len(text) and text.dtype.kind not in "ui"):
            raise InputError(f"the text is {text.dtype} of shape {text.shape}: give a row of whole numbers")
        text = text.astype(np.int64)
        if len(text) and text.min() < 0:
            raise InputError(f"token id {int(text.min())} is below 0: token ids are whole numbers from 0")
        return np.where(text < self.manifest.vocab_size, text, self.manifest.vocab_size + 1)

    def _own(self, text: np.ndarray, own_rows: Ids | None) -> np.ndarray:
        return self.own_rows(text) if own_rows is None else np.unique(np.asarray(own_rows, np.int64))

    def _until(self, step: int | None) -> Iterator[tuple[Shard, int]]:
        """Each shard with exposures of that step and before, and the place where those end."""
        for shard in self._shards:
            if step is None or shard.entry.first_step <= step:
                yield shard, shard.places_until(step)

    def _longest_match(self, text: np.ndarray, until_step: int | None, without: np.ndarray) -> np.ndarray:
        longest = np.zeros(len(text), np.int64)
        for shard, end in self._until(until_step):
            np.maximum(longest, shard.longest_match(text, end, without), out=longest)
        return longest

    def _stretches(self, rows: np.ndarray, until_step: int | None) -> Iterator[np.ndarray]:
        """The exposures of some rows, each with its sentinel, joined up to a few million tokens at a time."""
        parts: list[np.ndarray] = []
        for shard, end in self._until(until_step):
            segments = shard.segments_of(rows, end)
            for some in np.array_split(segments, 1 + shard.n_places(segments) // _CHUNK):
                parts.append(shard.text_of(some))
                if sum(map(len, parts)) >= _CHUNK:
                    yield np.concatenate(parts)
                    parts = []
        if parts:
            yield np.concatenate(parts)

    def _counts_within(
        self, text: np.ndarray, orders: Sequence[int], rows: np.ndarray, until_step: int | None
    ) -> dict[int, np.ndarray]:
        """For each n the (t - n + 1,) int64 counts of the text's n-grams in the exposures of some rows."""
        counts = {n: np.zeros(len(text) - n + 1, np.int64) for n in orders if n <= len(text)}
        for tokens in self._stretches(rows, until_step) if len(rows) and counts else ():
            numbers = np.full(self.manifest.vocab_size + 2, -1, np.int64)
            used, of_text = np.unique(text, return_inverse=True)
            numbers[used] = np.arange(len(used))
            ids = numbers[tokens]
            ends = np.flatnonzero(ids >= 0)
            theirs, ours = ids[ends], of_text  # the number of the n-gram that ends at each place, and in the text
            for n in range(1, max(counts) + 1):
                if n > 1:  # an n-gram is the one before it, one token shorter, and its last token
                    codes, ours = np.unique(ours[:-1] * len(used) + of_text[n - 1 :], return_inverse=True)
                    follows = np.append(np.diff(ends) == 1, False)
                    following = np.flatnonzero(follows) + 1
                    wanted = theirs[follows] * len(used) + ids[ends[following]]
                    at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
                    same = codes[at] == wanted
                    ends, theirs = ends[following[same]], at[same]
                if n in counts:
                    counts[n] += np.bincount(theirs, minlength=int(ours.max()) + 1)[ours]
                if not len(ends):
                    break
        return counts


def _check(kind: str, orders: Sequence[int] = ORDERS) -> None:
    if kind not in get_args(Kind):
        raise InputError(f"kind {kind!r} is unknown: use one of {', '.join(get_args(Kind))}")
    if not len(orders) or min(orders) < 1 or len(set(orders)) < len(orders):
        raise InputError(f"orders {tuple(orders)} cannot be counted: give different whole numbers from 1")


def _expect_memory(n_places: int) -> None:
    needed, free = 64 * n_places, psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{n_places:,} places need about {needed / 1e9:.1f} GB to be listed; {free / 1e9:.1f} GB are free: "
            "ask for a longer n-gram"
        )
