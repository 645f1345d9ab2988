"""Groups of near-duplicate rows: rows joined, directly or through others, by a shared run of tokens.

Rows shorter than such a run are joined where they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

WINDOW = 16
"""Rows that share this many tokens in a row count as near-duplicates."""
WINDOWS_AT_ONCE = 2**22
_MIX = np.uint64(0x9E3779B97F4A7C15)


def _hashes(ids: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """(length - 15,) uint64 of each run of 16 tokens; two different ones agree by a chance of about 2^-60.

    A shorter row is one run, of itself and what no row has.
    """
    absent = np.full(max(0, WINDOW - len(ids)), -1, np.int64)
    mixed = np.concatenate([ids, absent]).astype(np.uint64) * _MIX
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX
    windows = np.lib.stride_tricks.sliding_window_view(mixed, WINDOW)
    return (windows * multipliers).sum(axis=1, dtype=np.uint64)


def near_duplicate_groups(read: Callable[[], Iterable[np.ndarray]], n: int, n_windows: int) -> np.ndarray:
    """(n,) int64: for each row the smallest row it is joined with.

    `read` gives the rows' ids anew; it is called once for every `WINDOWS_AT_ONCE` of the `n_windows` runs, so that
    memory holds 8 bytes a row besides.
    """
    multipliers = np.random.default_rng(0).integers(1, 2**63, WINDOW, np.uint64) * np.uint64(2) + np.uint64(1)
    label = np.arange(n)
    n_parts = max(1, -(-n_windows // WINDOWS_AT_ONCE))
    for part in range(n_parts):
        found = list(_of_part(read(), multipliers, part, n_parts))
        if not found:
            continue
        hashes = np.concatenate([hashes for _, hashes in found])
        rows = np.repeat([row for row, _ in found], [len(hashes) for _, hashes in found])
        order = np.argsort(hashes, kind="stable")
        hashes, rows = hashes[order], rows[order]
        same = np.flatnonzero((hashes[1:] == hashes[:-1]) & (rows[1:] != rows[:-1]))
        _join(label, rows[same], rows[same + 1])
    return label


def _of_part(
    rows: Iterable[np.ndarray], multipliers: np.ndarray, part: int, n_parts: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Row and those of its hashes that belong to one part."""
    for row, ids in enumerate(rows):
        hashes = np.unique(_hashes(ids, multipliers))
        yield row, hashes[(hashes >> np.uint64(33)) % np.uint64(n_parts) == part]


def _join(label: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Lower labels, in place, until both ends of every edge carry the same."""
    while True:
        lowest = np.minimum(label[left], label[right])
        before = label.copy()
        for end in (left, right):
            np.minimum.at(label, before[end], lowest)
            np.minimum.at(label, end, lowest)
        while (label[label] != label).any():
            label[:] = label[label]
        if (label == before).all():
            return
