"""How much of a neighbourhood a map keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memviz.maps.layout.neighbours import Neighbours, nearest, squared_distances

N_JUDGED = 15
"""Neighbours looked at, fewer where there are too few points."""
MOST_JUDGED = 10_000
"""Points whose neighbourhoods are looked at; above that a random sample of them, seed 0."""
_CELLS = 2**24


@dataclass(frozen=True)
class Quality:
    """What a layout in the plane keeps of the neighbourhoods in full space."""

    trustworthiness: np.ndarray
    """() float32, 0 to 1; 1 where every neighbour in the plane is one in full space (Venna and Kaski 2001)."""
    neighbour_overlap: np.ndarray
    """() float32, mean share of the nearest in full space that are among the nearest in the plane."""
    overlap_by_chance: np.ndarray
    """() float32, the same expected of a random layout: q / (n - 1)."""
    n_neighbours: np.ndarray
    """() int32, q."""
    n_judged: np.ndarray
    """() int32, points looked at."""


def n_judged_neighbours(n: int) -> int:
    """q for n points: `N_JUDGED`, and below n / 2, for which trustworthiness is defined."""
    return max(1, min(N_JUDGED, (n - 1) // 2))


def quality(points: np.ndarray, xy: np.ndarray, neighbours: Neighbours | None = None) -> Quality:
    """Quality of the layout (n, 2) of (n, d) points; `neighbours` spares their search where it has q or more.

    Raises InputError as `check_points`.
    """
    n = len(points)
    q = n_judged_neighbours(n)
    if neighbours is None or neighbours.indices.shape[1] < q:
        neighbours = nearest(points, q)
    full, plane = neighbours.indices[:, :q], nearest(xy, q).indices
    judged = np.arange(n)
    if n > MOST_JUDGED:
        judged = np.sort(np.random.default_rng(0).choice(n, MOST_JUDGED, replace=False))
    kept = (plane[judged, :, None] == full[judged, None, :]).any(axis=2)
    excess = _excess(points, plane[judged], kept, judged)
    return Quality(
        trustworthiness=np.array(1 - 2 * excess / (len(judged) * q * (2 * n - 3 * q - 1)), np.float32),
        neighbour_overlap=np.array(kept.mean(), np.float32),
        overlap_by_chance=np.array(q / (n - 1), np.float32),
        n_neighbours=np.array(q, np.int32),
        n_judged=np.array(len(judged), np.int32),
    )


def _excess(points: np.ndarray, plane: np.ndarray, kept: np.ndarray, judged: np.ndarray) -> float:
    """Sum over neighbours in the plane that are none in full space of their rank there, less q."""
    centred = np.ascontiguousarray(points - points.mean(axis=0, dtype=np.float64), np.float32)
    n, q = len(points), plane.shape[1]
    total, size = 0, max(1, _CELLS // n)
    for start in range(0, n, size):
        block = slice(start, min(start + size, n))
        far = squared_distances(centred, block)
        for number in range(*np.searchsorted(judged, (block.start, block.stop))):
            here = far[judged[number] - start]
            reached = here[plane[number][~kept[number]]]
            rank = 1 + (here < reached[:, None]).sum(axis=1)
            total += int(np.maximum(rank - q, 0).sum())
    return float(total)
