"""Measures against scikit-learn and against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from memviz.predictor import metrics


@pytest.fixture
def both() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    probability = generator.random((40, 9))
    return probability, generator.random((40, 9)) < probability


def test_areas_are_scikit_learns(both: tuple[np.ndarray, np.ndarray]) -> None:
    probability, match = both
    assert metrics.auroc(probability, match) == roc_auc_score(match.ravel(), probability.ravel())
    expected = average_precision_score(match.ravel(), probability.ravel())
    assert metrics.average_precision(probability, match) == expected


def test_one_label_alone_has_no_area() -> None:
    assert np.isnan(metrics.auroc(np.ones((2, 2)), np.ones((2, 2), bool)))
    assert np.isnan(metrics.average_precision(np.ones((2, 2)), np.zeros((2, 2), bool)))
    assert metrics.curves(np.ones((2, 2)), np.zeros((2, 2), bool)) == {}


def test_histograms_give_the_areas_of_binned_scores(both: tuple[np.ndarray, np.ndarray]) -> None:
    probability, match = both
    coarse = np.round(probability, 1)  # fewer values than bins: nothing is lost
    counts = metrics.histograms(coarse, match)
    assert counts.shape[0] == 40 and (counts.sum(axis=1) == 9).all()
    total = counts.sum(axis=0).astype(float)
    assert metrics.auroc_of_histograms(total) == pytest.approx(roc_auc_score(match.ravel(), coarse.ravel()))
    expected = average_precision_score(match.ravel(), coarse.ravel())
    assert metrics.precision_of_histograms(total) == pytest.approx(expected)
    weights = np.random.default_rng(1).integers(0, 3, 40)
    weighted = (counts * weights[:, None]).sum(axis=0).astype(float)
    repeated = np.repeat(weights, 9)
    expected = roc_auc_score(match.ravel(), coarse.ravel(), sample_weight=repeated)
    assert metrics.auroc_of_histograms(weighted) == pytest.approx(expected)
    fine = metrics.histograms(probability, match).sum(axis=0).astype(float)
    assert metrics.auroc_of_histograms(fine) == pytest.approx(metrics.auroc(probability, match), abs=2e-3)


def test_reliability_is_scikit_learns(both: tuple[np.ndarray, np.ndarray]) -> None:
    probability, match = both
    found = metrics.reliability(probability, match)
    share, mean = calibration_curve(match.ravel(), probability.ravel(), n_bins=10)
    np.testing.assert_allclose(found[:, 2] / found[:, 0], share)
    np.testing.assert_allclose(found[:, 1] / found[:, 0], mean)
    by_hand = (found[:, 0] / found[:, 0].sum() * np.abs(share - mean)).sum()
    assert metrics.calibration_error(found) == pytest.approx(by_hand)
    assert metrics.reliability(np.array([[1.0, 0.0]]), np.array([[True, False]]))[9, 0] == 1


def test_labels_and_first_divergence_by_hand() -> None:
    match = np.array([[True, True, False, True], [True, True, True, True], [False, True, True, True]])
    assert metrics.divergence(match).tolist() == [2, 4, 0]
    probability = np.array([[0.5, 0.49, 0.1, 0.9]] * 3)
    assert metrics.right(probability, match).tolist() == [
        [True, False, True, True],
        [True, False, False, True],
        [False, False, False, True],
    ]


def test_thinned_curves_keep_their_ends_and_area() -> None:
    generator = np.random.default_rng(0)
    probability = generator.random((300, 20))
    match = generator.random((300, 20)) < probability
    found = metrics.curves(probability, match)
    assert all(len(points) <= metrics.MOST_POINTS for points in found.values())
    roc = found["roc"]
    assert roc[0, :2].tolist() == [0, 0] and roc[-1, :2].tolist() == [1, 1]
    assert auc(roc[:, 0], roc[:, 1]) == pytest.approx(metrics.auroc(probability, match), abs=5e-3)
    recall = found["precision_recall"][:, 0]
    assert (np.diff(recall) >= 0).all() and recall[-1] == 1
    assert np.isfinite(roc).all()
