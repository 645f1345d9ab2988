"""How good probabilities are: measures of n rows of m labelled positions, and of histograms of their scores."""

from __future__ import annotations

import numpy as np

BORDER = 0.5
"""Probability from which a position is called memorized."""
N_BINS = 10
MOST_POINTS = 61
"""Of a drawn curve."""


def right(probability: np.ndarray, match: np.ndarray) -> np.ndarray:
    """(n, m) bool: labelled rightly at `BORDER`."""
    return (probability >= BORDER) == match


def divergence(match: np.ndarray) -> np.ndarray:
    """(n,) int: first position that does not match, m where all do."""
    return np.where(match.all(axis=1), match.shape[1], (~match).argmax(axis=1))


def auroc(probability: np.ndarray, match: np.ndarray) -> float:
    """Area under the ROC curve over all positions; NaN where one label is missing."""
    from sklearn.metrics import roc_auc_score  # seconds of imports, which pages do without

    return float(roc_auc_score(match.ravel(), probability.ravel())) if _has_both(match) else float("nan")


def average_precision(probability: np.ndarray, match: np.ndarray) -> float:
    """Over all positions; NaN where one label is missing."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(match.ravel(), probability.ravel())) if _has_both(match) else float("nan")


def _has_both(match: np.ndarray) -> bool:
    return bool(match.any() and not match.all())


def reliability(probability: np.ndarray, match: np.ndarray) -> np.ndarray:
    """(N_BINS, 3): positions, sum of probabilities and hits in each tenth of the probability axis."""
    places = np.minimum((probability.ravel() * N_BINS).astype(int), N_BINS - 1)
    columns = (np.ones(match.size), probability.ravel(), match.ravel())
    return np.column_stack([np.bincount(places, each, N_BINS) for each in columns])


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """(...) expected calibration error of (..., N_BINS, 3) sums as `reliability` gives them. Naeini et al. 2015."""
    return np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1)


def curves(probability: np.ndarray, match: np.ndarray) -> dict[str, np.ndarray]:
    """roc and precision_recall -> (points, 3): x, y, threshold, at most `MOST_POINTS`; empty without both labels."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not _has_both(match):
        return {}
    false, true, at = roc_curve(match.ravel(), probability.ravel())
    precision, recall, limits = precision_recall_curve(match.ravel(), probability.ravel())
    both = {
        "roc": np.column_stack([false, true, np.minimum(at, 1)]),
        "precision_recall": np.column_stack([recall, precision, np.append(limits, 1.0)])[::-1],
    }
    return {name: points[_thinned(points)] for name, points in both.items()}


def _thinned(points: np.ndarray) -> np.ndarray:
    """Places of points about evenly spaced along a curve, the ends among them."""
    way = np.abs(np.diff(points[:, :2], axis=0)).sum(axis=1).cumsum()
    way = np.concatenate([[0.0], way])
    return np.unique(np.searchsorted(way, np.linspace(0, way[-1], MOST_POINTS)).clip(0, len(way) - 1))


def histograms(probability: np.ndarray, match: np.ndarray, n_bins: int = 200) -> np.ndarray:
    """(n, 2 n_bins) positions of each row by bin of score, misses then hits; bins are quantiles of all scores."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, n_bins + 1)[1:-1]))
    places = np.searchsorted(edges, probability, side="right")
    flat = np.arange(len(match))[:, None] * 2 * n_bins + match * n_bins + places
    return np.bincount(flat.ravel(), minlength=len(match) * 2 * n_bins).reshape(len(match), -1)


def auroc_of_histograms(counts: np.ndarray) -> np.ndarray:
    """(...) area under the ROC curve of (..., 2 n_bins) counts; scores of one bin are ties."""
    miss, hit = np.split(counts, 2, axis=-1)
    below = miss.cumsum(axis=-1) - miss / 2
    return (hit * below).sum(axis=-1) / (hit.sum(axis=-1) * miss.sum(axis=-1))


def precision_of_histograms(counts: np.ndarray) -> np.ndarray:
    """(...) average precision of the same."""
    miss, hit = (each[..., ::-1] for each in np.split(counts, 2, axis=-1))
    hits, all_of_them = hit.cumsum(axis=-1), (hit + miss).cumsum(axis=-1)
    return (hit * hits / np.maximum(all_of_them, 1)).sum(axis=-1) / hit.sum(axis=-1)
