"""UMAP's weighted graph of neighbours, in numpy: umap-learn's own is the same, and compiles for ten seconds."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

_N_ITERATIONS, _TOLERANCE, _LEAST_SCALE = 64, 1e-5, 1e-3


def fuzzy_graph(indices: np.ndarray, distances: np.ndarray) -> csr_matrix:
    """(n, n) weights 0 to 1 from (n, q) neighbours and distances, the point itself first (McInnes et al. 2018).

    Each point links to its neighbours with exp(-(distance - nearest) / scale), the scale making the weights add up to
    log2 q; two points are linked as either says: a + b - a b.
    """
    n, q = indices.shape
    nearest, scale = _scales(distances.astype(np.float64))
    beyond = np.maximum(distances - nearest[:, None], 0)
    weight = np.exp(-beyond / np.where(scale > 0, scale, 1)[:, None])
    weight[(beyond <= 0) | (scale == 0)[:, None]] = 1
    weight[indices == np.arange(n)[:, None]] = 0
    one = coo_matrix((weight.ravel(), (np.repeat(np.arange(n), q), indices.ravel())), shape=(n, n)).tocsr()
    one.eliminate_zeros()
    both = one + one.T - one.multiply(one.T)
    both.eliminate_zeros()
    return both.astype(np.float32)


def _scales(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) distance to the nearest other place, and (n,) scale by bisection, not below 1e-3 of the mean distance."""
    n, q = distances.shape
    away = np.where(distances > 0, distances, np.inf).min(axis=1)
    nearest = np.where(np.isfinite(away), away, 0)
    beyond = np.maximum(distances[:, 1:] - nearest[:, None], 0)
    low, high, scale = np.zeros(n), np.full(n, np.inf), np.ones(n)
    for _ in range(_N_ITERATIONS):
        excess = np.exp(-beyond / scale[:, None]).sum(axis=1) - np.log2(q)
        open_ = np.abs(excess) >= _TOLERANCE
        high = np.where(open_ & (excess > 0), scale, high)
        low = np.where(open_ & (excess <= 0), scale, low)
        middle = np.where(np.isfinite(high), (low + high) / 2, 2 * scale)
        scale = np.where(open_, middle, scale)
    least = np.where(nearest > 0, distances.mean(axis=1), distances.mean())
    return nearest, np.maximum(scale, _LEAST_SCALE * least)
