"""Groups of near-duplicate rows: rows joined, directly or through others, by a shared run of tokens.

Rows shorter than such a run are joined where they are equal. Hashes of all runs are written once, into buckets on disk
by their first bits; each bucket is then sorted by itself, so that time is linear and memory does not grow.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from memviz.errors import InputError

WINDOW = 16
"""Rows that share this many tokens in a row count as near-duplicates."""
AT_ONCE = 2**20
"""Hashes that are sorted in memory before they are written."""
IN_BUCKET = 2**20
"""Hashes of a bucket, at most about: no more than are sorted at once before, so that memory is the same throughout."""
_ROWS_AT_ONCE = 2**16
"""Rows that are numbered together: few, so that a million need no more memory than these."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.random.default_rng(0).integers(1, 2**63, WINDOW, np.uint64) * np.uint64(2) + np.uint64(1)
Block = tuple[np.ndarray, np.ndarray]
"""(t,) ids of some rows, one after the other, and (n,) how many each has."""


def hashes_of(ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(w,) uint64 of each run of 16 tokens and (w,) its row; different runs agree by a chance of about 2^-60.

    A shorter row is one run, of itself and what no row has.
    """
    room = np.maximum(lengths, WINDOW)
    row = np.repeat(np.arange(len(room)), room)
    filled = np.full(len(row), -1, np.int64)
    starts = room.cumsum() - room
    filled[np.arange(len(ids)) + np.repeat(starts - (lengths.cumsum() - lengths), lengths)] = ids
    mixed = filled.astype(np.uint64) * _MIX
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX
    n = len(mixed) - WINDOW + 1
    hashes = np.zeros(max(n, 0), np.uint64)
    for place, multiplier in enumerate(_MULTIPLIERS):
        hashes += mixed[place : place + n] * multiplier
    whole = row[:n] == row[WINDOW - 1 :]
    return hashes[whole], row[:n][whole]


def near_duplicate_groups(
    blocks: Iterable[Block], n: int, n_windows: int, folder: Path, watch: Callable[[float], None] = lambda part: None
) -> np.ndarray:
    """(n,) whole numbers, a file of `folder`: for each row the smallest row it is joined with.

    `n_windows` is about how many runs the rows have. `watch` is told how much is done, from 0 to 1. Raises InputError
    where the disk has no room, OSError.
    """
    label = np.memmap(folder / "labels", np.int32 if n < 2**31 else np.int64, "w+", shape=(n,))
    for start in range(0, n, _ROWS_AT_ONCE):
        label[start : start + _ROWS_AT_ONCE] = np.arange(start, min(n, start + _ROWS_AT_ONCE))
    buckets = _Buckets(folder, n, n_windows)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    n_waiting = first = 0
    for ids, lengths in blocks:
        hashes, row = hashes_of(ids, lengths)
        waiting.append((hashes, row + first))
        n_waiting, first = n_waiting + len(hashes), first + len(lengths)
        if n_waiting >= AT_ONCE:
            buckets.add(*_joined(label, waiting))
            waiting, n_waiting = [], 0
        watch(0.5 * first / n)
    if waiting:
        buckets.add(*_joined(label, waiting))
    for bucket in range(buckets.n):
        _joined(label, [buckets.take(bucket)])
        watch(0.5 + 0.5 * (bucket + 1) / buckets.n)
    for start in range(0, n, _ROWS_AT_ONCE):
        roots_of(label, np.arange(start, min(n, start + _ROWS_AT_ONCE)))
    return label


def _joined(label: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join rows of equal hashes; the hashes, rising, each once with the first of its rows."""
    hashes = np.concatenate([part[0] for part in parts])
    order = np.argsort(hashes, kind="stable")
    hashes, rows = hashes[order], np.concatenate([part[1] for part in parts])[order].astype(np.int64)
    again = hashes[1:] == hashes[:-1]
    _join(label, rows[1:][again], rows[:-1][again])
    first = np.concatenate([[True], ~again]) if len(hashes) else np.zeros(0, bool)
    return hashes[first], rows[first]


def _join(label: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Hang the larger root of every pair onto the smaller, in place, until both have the same."""
    while len(left):
        a, b = roots_of(label, left), roots_of(label, right)
        differ = a != b
        left, right, a, b = left[differ], right[differ], a[differ], b[differ]
        np.minimum.at(label, np.maximum(a, b), np.minimum(a, b))


def roots_of(label: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(r,) the last row that labels lead to from each of (r,) rows, which are then labelled so."""
    roots = label[rows]
    while not np.array_equal(up := label[roots], roots):
        roots = up
    label[rows] = roots
    return roots


class _Buckets:
    """Hashes with their rows on disk, by the first bits of the hash."""

    def __init__(self, folder: Path, n_rows: int, n_windows: int) -> None:
        self.folder = folder
        self._entry = np.dtype([("hash", np.uint64), ("row", np.uint32 if n_rows < 2**32 else np.int64)])
        self._bits = max(0, (n_windows // IN_BUCKET).bit_length())
        needed, free = n_windows * self._entry.itemsize, shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"finding near-duplicates among {n_rows:,} rows takes about {needed / 1e9:.1f} GB in {folder.parent}; "
                f"{free / 1e9:.1f} GB are free: make room, or leave it out with --groups none"
            )

    @property
    def n(self) -> int:
        return 2**self._bits

    def add(self, hashes: np.ndarray, rows: np.ndarray) -> None:
        """Rising hashes."""
        entries = np.empty(len(hashes), self._entry)
        entries["hash"], entries["row"] = hashes, rows
        last = np.arange(1, self.n, dtype=np.uint64) << np.uint64(
            64 - self._bits or 1
        )  # none where there is one bucket
        start = 0
        for bucket, end in enumerate([*np.searchsorted(hashes, last).tolist(), len(hashes)]):
            if end > start:
                with (self.folder / f"bucket-{bucket}").open("ab") as file:
                    file.write(entries[start:end].data)
            start = end

    def take(self, bucket: int) -> tuple[np.ndarray, np.ndarray]:
        """What is in a bucket, which is emptied."""
        path = self.folder / f"bucket-{bucket}"
        entries = np.fromfile(path, self._entry) if path.exists() else np.empty(0, self._entry)
        path.unlink(missing_ok=True)
        return entries["hash"], entries["row"]
