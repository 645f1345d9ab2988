"""Where an entropy curve changes its level."""

from __future__ import annotations

import numpy as np

PENALTY = 3.0
"""Cost of one change point in units of ln p; calibrated on real curves, see docs/decisions.md."""
RESOLUTION = 0.01
"""Nats to which entropies are rounded, so that differences no reader of the curve could see do not count."""
MIN_SIZE = 3
"""Shortest stretch between two change points, in indices."""


def change_points(curve: np.ndarray, penalty: float = PENALTY) -> list[int]:
    """Indices at which a new level of a (p,) entropy curve in nats begins; index 0 may be NaN (no distribution).

    Least-squares segmentation of the standardised ranks (as Lung-Yut-Fong et al. 2015) at a cost of penalty * ln p
    for each change, exact (PELT, Killick et al. 2012; ruptures). Empty for a curve that is constant or too short.
    Raises ValueError for NaN elsewhere, other shapes or a penalty that is not positive.
    """
    if penalty <= 0:
        raise ValueError(f"penalty: got {penalty}, expected more than 0")
    if curve.ndim != 1:
        raise ValueError(f"curve: got shape {curve.shape}, expected (p,), one sequence at a time")
    start = int(len(curve) > 0 and np.isnan(curve[0]))
    values = np.asarray(curve[start:], dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("curve: got NaN or infinity after index 0, expected an entropy at every index")
    # ranks, ties sharing their mean: entropies are skewed and differ by model, while shuffled ranks are always alike,
    # so one penalty means the same rate of false alarms everywhere
    _, level, counts = np.unique(np.round(values / RESOLUTION), return_inverse=True, return_counts=True)
    if len(values) < 2 * MIN_SIZE or len(counts) == 1:
        return []
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[level]
    signal = (ranks - ranks.mean()) / ranks.std()
    import ruptures  # here, because it takes most of a second

    search = ruptures.KernelCPD(kernel="linear", min_size=MIN_SIZE).fit(signal[:, None])
    ends = search.predict(pen=penalty * np.log(len(values)))
    return [start + int(end) for end in ends[:-1]]  # the last is the end of the curve
