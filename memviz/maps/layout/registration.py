"""One layout moved onto another: orthogonal Procrustes with scale and shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memviz.errors import InputError


@dataclass(frozen=True)
class Registration:
    """y = scale * (x @ rotation) + shift, the best such move of one layout onto another."""

    rotation: np.ndarray
    """(2, 2) orthogonal; a reflection is allowed."""
    scale: float
    shift: np.ndarray
    """(2,)."""
    residual: float
    """Share of the fixed layout's variance that the moved one does not explain, 0 to 1."""
    n: int
    """Shared points."""

    def apply(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) float32."""
        return (self.scale * (xy.astype(np.float64) @ self.rotation) + self.shift).astype(np.float32)


def register_points(moving: np.ndarray, fixed: np.ndarray) -> Registration:
    """The move of (n, 2) points onto as many fixed ones, in order, that leaves the least sum of squares.

    Raises InputError for fewer than 3 points, or for points that are all the same.
    """
    if moving.shape != fixed.shape or len(moving) < 3:
        raise InputError(f"{len(moving)} points are shared: two maps need at least 3 to be registered")
    a, b = (each.astype(np.float64) - each.mean(axis=0, dtype=np.float64) for each in (moving, fixed))
    size_a, size_b = (a**2).sum(), (b**2).sum()
    if not size_a or not size_b:
        raise InputError("the shared points of a map are all the same: two maps cannot be registered by them")
    left, singular, right = np.linalg.svd(a.T @ b)
    rotation, scale = left @ right, singular.sum() / size_a
    shift = fixed.mean(axis=0, dtype=np.float64) - scale * (moving.mean(axis=0, dtype=np.float64) @ rotation)
    residual = max(0.0, 1 - singular.sum() ** 2 / (size_a * size_b))
    return Registration(rotation, float(scale), shift, float(residual), len(moving))
