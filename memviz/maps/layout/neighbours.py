"""Exact nearest neighbours in blocks: the same answer each time, whatever the block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memviz.maps.layout.points import check_points

_SLACK = 8
"""Candidates beyond those wanted, whose distances are computed again without rounding away small ones."""
_CELLS = 2**24
"""Numbers of one block: 64 MB."""


@dataclass(frozen=True)
class Neighbours:
    """The q nearest other points of each of n points, nearest first; ties go to the lower index."""

    indices: np.ndarray
    """(n, q) int32."""
    distances: np.ndarray
    """(n, q) float32, Euclidean."""

    def first(self, q: int) -> Neighbours:
        """The q nearest of each."""
        return Neighbours(self.indices[:, :q], self.distances[:, :q])


def nearest(
    points: np.ndarray, n_neighbours: int, report: Callable[[int, int], None] = lambda done, total: None
) -> Neighbours:
    """Exact Euclidean neighbours of (n, d) points among themselves, a point itself left out.

    `report(done, total)` counts points and may raise to stop. Raises InputError as `check_points`.
    """
    check_points(points, n_neighbours)
    centred = np.ascontiguousarray(points - points.mean(axis=0, dtype=np.float64), np.float32)
    n, d = centred.shape
    n_candidates = min(n - 1, n_neighbours + _SLACK)
    size = max(1, _CELLS // max(n, n_candidates * d))
    indices = np.zeros((n, n_neighbours), np.int32)
    distances = np.zeros((n, n_neighbours), np.float32)
    for start in range(0, n, size):
        block = slice(start, min(start + size, n))
        indices[block], distances[block] = _of_block(centred, block, n_candidates, n_neighbours)
        report(block.stop, n)
    return Neighbours(indices, distances)


def squared_distances(points: np.ndarray, block: slice) -> np.ndarray:
    """(b, n) float32 squared distances of a block of (n, d) centred points to all, infinite to themselves."""
    chosen = points[block]
    squares = np.einsum("nd,nd->n", points, points)
    found = chosen @ points.T
    found *= -2
    found += squares
    found += squares[block, None]
    found[np.arange(len(chosen)), np.arange(block.start, block.stop)] = np.inf
    return found


def _of_block(points: np.ndarray, block: slice, n_candidates: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    import torch  # its selection is five times as fast as numpy's; what it selects is sorted again below

    rough = torch.from_numpy(squared_distances(points, block))
    candidates = torch.topk(rough, n_candidates, largest=False, sorted=False).indices.numpy()
    exact = np.square(points[candidates] - points[block, None]).sum(axis=2, dtype=np.float64)
    order = np.lexsort((candidates, exact), axis=1)[:, :wanted]
    indices = np.take_along_axis(candidates, order, axis=1)
    return indices.astype(np.int32), np.sqrt(np.take_along_axis(exact, order, axis=1)).astype(np.float32)
