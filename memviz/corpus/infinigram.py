"""Indexes of the package infini-gram, read in place: the same questions to suffix arrays that were built elsewhere.

A shard is `tokenized.S` (ids of a fixed width, a separator of all ones before each document), `table.S` (places of the
suffixes in bytes, ascending by their bytes), `offset.S` (uint64 places of the documents) and, where there is metadata,
`metadata.S` and `metaoff.S` (lines of JSON, and uint64 places of the lines). A document is one row, exposed once.
https://infini-gram.readthedocs.io, and Liu et al. 2024 (arXiv 2401.17377).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memviz.corpus.files import ShardEntry, damaged
from memviz.corpus.shard import Shard
from memviz.corpus.suffixes import ragged
from memviz.errors import InputError

DTYPES = {"uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32}
_SAMPLED = 512
"""Neighbouring suffixes that must be in order, to believe that the ids are as wide as said."""
_CHUNK = 2**20


class InfiniShard(Shard):
    """One shard. A place counts tokens after the first separator, so that each document is followed by one."""

    to_left = False

    def __init__(self, folder: Path, number: str, dtype: str, sentinel: int, first_row: int) -> None:
        """Raises InputError where a file is missing, damaged, or of ids of another width."""
        self._folder, self._number, self._first_row = folder, number, first_row
        width = np.dtype(DTYPES[dtype]).itemsize
        whole = self._mapped("tokenized")
        if len(whole) % width or not len(whole):
            raise damaged(folder / f"tokenized.{number}", f"{len(whole)} bytes are no ids of {dtype}")
        self._raw, self._width, self._sentinel = whole.view(DTYPES[dtype])[1:], width, sentinel
        table, n = self._mapped("table"), len(whole) // width
        if len(table) % n or not 1 <= len(table) // n <= 8:
            raise damaged(folder / f"table.{number}", f"{len(table)} bytes are no places of {n:,} ids of {dtype}")
        self._table = table.reshape(n, -1)
        offsets = self._mapped("offset")
        if len(offsets) % 8:
            raise damaged(folder / f"offset.{number}", f"{len(offsets)} bytes are no places of documents")
        self._offsets = offsets.view(np.uint64)
        self.entry = ShardEntry(f"{int(number):016x}", n - len(self._offsets), len(self._offsets), 0, 0)
        self._check_order(dtype)

    def _mapped(self, name: str) -> np.ndarray:
        path = self._folder / f"{name}.{self._number}"
        try:
            return np.asarray(np.memmap(path, np.uint8, "r"))
        except (OSError, ValueError) as error:
            raise damaged(path, error) from None

    def _check_order(self, dtype: str) -> None:
        n = len(self._table)
        at = np.unique(np.linspace(0, max(0, n - 2), min(_SAMPLED, n)).astype(np.int64))
        here, after = (self._keys_at(self._places(ranks), 16) for ranks in (at, np.minimum(at + 1, n - 1)))
        differ = here != after
        first = differ.argmax(axis=1)[:, None]
        wrong = np.take_along_axis(here, first, 1) > np.take_along_axis(after, first, 1)
        starts = self._offsets[:_SAMPLED].astype(np.int64) // self._width - 1
        separators = self._raw[starts[starts >= 0]] == np.iinfo(self._raw.dtype).max
        if wrong.any() or not separators.all() or (len(starts) and starts[0] != -1):
            raise InputError(f"{self._folder} holds no ids of {dtype} in this order: give the width it was built with")

    # Reading the files

    def _places(self, ranks: np.ndarray) -> np.ndarray:
        """Places of the suffixes of some ranks; -1 is the first separator."""
        found = np.zeros((*np.shape(ranks), 8), np.uint8)
        found[..., : self._table.shape[1]] = self._table[ranks]
        return found.view(np.int64)[..., 0] // self._width - 1

    def _keys_at(self, places: np.ndarray, n: int) -> np.ndarray:
        """(..., n) int64 that are ordered as the bytes of the n ids from some places on are; -1 behind the end."""
        at = np.asarray(places)[..., None] + np.arange(n)
        ids = self._raw[np.clip(at, 0, len(self._raw) - 1)]
        keys = np.where(at < 0, np.iinfo(self._raw.dtype).max, ids.byteswap()).astype(np.int64)
        return np.where(at < len(self._raw), keys, -1)

    def _swapped(self, ids: np.ndarray) -> np.ndarray:
        """Ids as keys; what no id of this width is, is no key."""
        fits = (ids >= 0) & (ids < np.iinfo(self._raw.dtype).max)
        return np.where(fits, np.where(fits, ids, 0).astype(self._raw.dtype).byteswap().astype(np.int64), 2**40)

    def text_of(self, segments: np.ndarray) -> np.ndarray:
        """(t,) int64 ids of some documents, each with its sentinel."""
        begin = self._starts(segments)
        at = ragged(begin, self._starts(segments + 1) - begin)
        ids = self._raw[np.minimum(at, len(self._raw) - 1)].astype(np.int64)
        return np.where((at == len(self._raw)) | (ids == np.iinfo(self._raw.dtype).max), self._sentinel, ids)

    def about(self, row: int) -> dict[str, Any]:
        """What the metadata says of a row: source and line, where there is any."""
        if not (self._folder / f"metaoff.{self._number}").is_file():
            return {}
        offsets, lines = self._mapped("metaoff").view(np.uint64), self._mapped("metadata")
        at = row - self._first_row
        end = int(offsets[at + 1]) if at + 1 < len(offsets) else len(lines)
        try:
            said = json.loads(lines[int(offsets[at]) : end].tobytes())
            return {"source": said["path"], "line": said["linenum"] + 1}
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(self._folder / f"metadata.{self._number}", error) from None

    def check_ids(self, n_ids: int) -> None:
        """Raise InputError where the first million tokens are not ids of a tokenizer with so many."""
        some = self._raw[:_CHUNK]
        largest = int(some[some != np.iinfo(some.dtype).max].max(initial=0))
        if largest >= n_ids:
            raise InputError(
                f"{self._folder} holds id {largest:,}, and the model's tokenizer has ids up to {n_ids - 1:,}: it was "
                "built with another tokenizer, or with another --dtype"
            )

    def part_of_row(self, segment: int) -> tuple[int, np.ndarray, int]:
        ids = self.text_of(np.array([segment]))[:-1]
        return 0, ids, len(ids)

    def n_places(self, segments: np.ndarray) -> int:
        return int((self._starts(segments + 1) - self._starts(segments)).sum())

    def _starts(self, segments: np.ndarray) -> np.ndarray:
        """Places where documents start; of one more than there are, where one would."""
        inside = segments < len(self._offsets)
        found = self._offsets[np.where(inside, segments, 0)].astype(np.int64) // self._width
        return np.where(inside, found, len(self._raw) + 1)

    # Ranges, grown to the right

    def places_until(self, step: int | None) -> int:
        return len(self._raw)

    def everything(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(n, np.int64), np.full(n, len(self._table), np.int64)

    def one_longer(self, text: np.ndarray, n: int, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.grown(text[n - 1 :], lo[:-1], hi[:-1], n - 1)

    def grown(self, ids: np.ndarray, lo: np.ndarray, hi: np.ndarray, held: int) -> tuple[np.ndarray, np.ndarray]:
        """(q,), (q,): ranges of the n-grams one token longer to the right than those of `held` tokens."""
        keys = self._swapped(np.asarray(ids))
        return self._bound(keys, lo, hi, held), self._bound(keys + 1, lo, hi, held)

    def _bound(self, keys: np.ndarray, lo: np.ndarray, hi: np.ndarray, held: int) -> np.ndarray:
        """(q,) the first rank of each range whose id after `held` has a key that is no smaller."""
        lo, hi = np.array(lo, np.int64), np.array(hi, np.int64)
        active = np.flatnonzero(lo < hi)
        while len(active):
            middle = (lo[active] + hi[active]) // 2
            below = self._keys_at(self._places(middle) + held, 1)[:, 0] < keys[active]
            lo[active[below]] = middle[below] + 1
            hi[active[~below]] = middle[~below]
            active = active[lo[active] < hi[active]]
        return lo

    def ranges(self, ngrams: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(ngram) for ngram in ngrams])
        lo, hi = self.everything(len(ngrams))
        for held in range(int(max(lengths, default=0))):
            active = np.flatnonzero((lengths > held) & (lo < hi))
            ids = np.array([ngrams[i][held] for i in active.tolist()], np.int64)
            lo[active], hi[active] = self.grown(ids, lo[active], hi[active], held)
        return lo, hi

    # Counts and places

    def exposures(self, lo: np.ndarray, hi: np.ndarray, end: int) -> np.ndarray:
        return hi - lo

    def new_rows(self, lo: np.ndarray, hi: np.ndarray, n: int, end: int) -> np.ndarray:
        """Documents that hold each n-gram: every place is looked at."""
        pairs = zip(lo.tolist(), hi.tolist(), strict=True)
        return np.array([len(self._rows_between(a, b)) for a, b in pairs], np.int64)

    def places(self, lo: int, hi: int, end: int) -> np.ndarray:
        return self._places(np.arange(lo, hi))

    def segments(self, places: np.ndarray) -> np.ndarray:
        return self._offsets.searchsorted((np.asarray(places) * self._width).astype(np.uint64), side="right") - 1

    def segments_of(self, rows: np.ndarray, end: int) -> np.ndarray:
        found = np.asarray(rows, np.int64) - self._first_row
        return found[(found >= 0) & (found < len(self._offsets))]

    def rows_of(self, places: np.ndarray) -> np.ndarray:
        return self.segments(places) + self._first_row

    def where(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        segments = self.segments(places)
        return segments + self._first_row, places - self._starts(segments), np.zeros(len(places), np.int64)

    def rows_in(self, lo: np.ndarray, hi: np.ndarray, end: int) -> np.ndarray:
        found = [self._rows_between(a, b) for a, b in zip(lo.tolist(), hi.tolist(), strict=True)]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def _rows_between(self, lo: int, hi: int) -> np.ndarray:
        """Rows of a range of ranks, ascending."""
        chunks: Iterator[int] = iter(range(lo, hi, _CHUNK))
        found = [np.unique(self.rows_of(self._places(np.arange(at, min(at + _CHUNK, hi))))) for at in chunks]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    # The longest match

    def longest_match(self, ids: np.ndarray, end: int, without: np.ndarray) -> np.ndarray:
        """As `Shard.longest_match`: ranges grow until nothing is in them, or nothing of other rows."""
        longest = np.zeros(len(ids), np.int64)
        lo, hi = self.everything(len(ids))
        active = np.arange(len(ids))
        own = self.segments_of(without, end)
        n_own = self.n_places(own)
        for held in range(len(ids)):
            active = active[active + held < len(ids)]
            lo[active], hi[active] = self.grown(ids[active + held], lo[active], hi[active], held)
            active = active[[self._holds_others(lo[i], hi[i], n_own, without) for i in active]]
            if not len(active):
                break
            longest[active] = held + 1
        return longest

    def _holds_others(self, lo: int, hi: int, n_own: int, without: np.ndarray) -> bool:
        """Whether a place of a range is in a row not in `without`, whose rows have `n_own` places."""
        if hi - lo > n_own or not n_own:
            return bool(lo < hi)
        return bool((~np.isin(self.rows_of(self._places(np.arange(lo, hi))), without)).any())


def shard_numbers(folder: Path) -> list[str]:
    """Shards of a folder, in the package's own order: as their names sort. Raises InputError where there are none."""
    found = sorted(path.suffix[1:] for path in folder.glob("tokenized.*") if path.suffix[1:].isdecimal())
    if not found:
        raise InputError(f"{folder} holds no infini-gram index: tokenized.0, table.0 and offset.0 are expected there")
    return found
