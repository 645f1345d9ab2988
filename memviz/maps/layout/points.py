"""Points to be projected: what they must be, and the error where they are not."""

from __future__ import annotations

import numpy as np

from memviz.errors import InputError


def check_points(points: np.ndarray, n_neighbours: int = 1) -> None:
    """Raise InputError for (n, d) points that are too few, not finite, or all the same."""
    if points.ndim != 2:
        raise InputError(f"points have shape {points.shape}, expected (n, d)")
    n = len(points)
    if n_neighbours < 1:
        raise InputError(f"{n_neighbours} neighbours were asked for: ask for at least 1")
    if n <= n_neighbours:
        raise InputError(
            f"{n:,} points have fewer than {n_neighbours} neighbours each: take more rows or steps, or fewer neighbours"
        )
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise InputError(
            f"{int(bad.sum()):,} of {n:,} points are not finite, the first is number {int(bad.argmax())}: "
            "leave those rows out, or read the states in float32"
        )
    if not np.ptp(points, axis=0).any():
        raise InputError(f"all {n:,} points are the same: there is nothing to lay out; take other rows or steps")
