"""Where new points fall among points whose places are fixed."""

from __future__ import annotations

import numpy as np

N_PLACED_BY = 15


def place_among(reduced: np.ndarray, xy: np.ndarray, new: np.ndarray, n_neighbours: int = N_PLACED_BY) -> np.ndarray:
    """(b, 2) float32: for each of (b, c) new points the mean place of its nearest fixed points, (n, c) at (n, 2).

    Weights are one over the squared distance, so that a fixed point's double falls on it. An approximation: no new
    point moves another, nor any fixed one, and each is placed as if it were alone.
    """
    q = min(n_neighbours, len(reduced))
    placed = np.zeros((len(new), 2), np.float32)
    tiny = 1e-12 * max(float(np.square(reduced).sum(axis=1).mean()), 1e-30)
    for number, point in enumerate(new):
        squared = np.square(reduced - point).sum(axis=1, dtype=np.float64)
        chosen = np.lexsort((np.arange(len(squared)), squared))[:q]
        weight = 1 / (squared[chosen] + tiny)
        placed[number] = weight @ xy[chosen] / weight.sum()
    return placed
