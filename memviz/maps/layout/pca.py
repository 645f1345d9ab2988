"""Principal components with a fixed sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from memviz.maps.layout.points import check_points

N_COMPONENTS = 64
"""Kept for placing new points; a map draws the first two."""
_BLOCK = 4096


@dataclass(frozen=True)
class Basis:
    """Mean and leading principal components of n points of width d; c of them, by falling variance."""

    mean: np.ndarray
    """(d,) float32."""
    components: np.ndarray
    """(c, d) float32, orthonormal; the coordinate of largest size of each is positive."""
    variance: np.ndarray
    """(c,) float32, share of the variance along each, 0 to 1."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """(n, c) float32 coordinates of (n, d) points. Raises ValueError for points of another width."""
        if points.shape[-1] != len(self.mean):
            raise ValueError(f"points have width {points.shape[-1]}, the basis {len(self.mean)}")
        return (points.astype(np.float32) - self.mean) @ self.components.T


def fit_basis(points: np.ndarray, n_components: int = N_COMPONENTS) -> Basis:
    """The leading components of (n, d) points, at most n - 1 and d of them, from the covariance in float64.

    Raises InputError as `check_points`.
    """
    check_points(points)
    n, d = points.shape
    mean = points.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((d, d))
    for start in range(0, n, _BLOCK):
        part = points[start : start + _BLOCK] - mean
        covariance += part.T @ part
    n_components = min(n_components, d, max(n - 1, 1))
    variance, vectors = eigh(covariance, subset_by_index=(d - n_components, d - 1))
    components = vectors[:, ::-1].T
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(n_components), largest])[:, None]
    share = np.clip(variance[::-1], 0, None) / np.trace(covariance)
    return Basis(mean.astype(np.float32), components.astype(np.float32), share.astype(np.float32))
