"""Geometry of hidden states, by hand, by brute force, and against scikit-learn and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import silhouette_score

from memviz.measures.geometry import (
    centred_gram,
    distances,
    dot_sums,
    knn_overlap,
    linear_cka,
    matrix_sums,
    pair_weights,
    permutations,
    representational_similarity,
    resampled_cka,
    resampled_silhouettes,
    silhouette,
)

RNG = np.random.default_rng(7)


def hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741 - the letters of Song et al.
    """The unbiased estimator as it is written: sums over pairs, triples and quadruples of different rows."""
    n = len(k)
    pairs = list(itertools.permutations(range(n), 2))
    triples = list(itertools.permutations(range(n), 3))
    fours = list(itertools.permutations(range(n), 4))
    first = np.mean([k[i, j] * l[i, j] for i, j in pairs])
    second = np.mean([k[i, j] * l[i, q] for i, j, q in triples])
    third = np.mean([k[i, j] * l[q, r] for i, j, q, r in fours])
    return first - 2 * second + third


def test_cka_is_the_quotient_of_unbiased_hsics() -> None:
    a, b = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 5))
    k, l = a @ a.T, b @ b.T  # noqa: E741
    expected = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
    assert linear_cka(a, b, 10).value == pytest.approx(expected)


def test_cka_by_hand() -> None:
    square = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    # off the diagonal -1 for the opposite corner and 0 for a neighbour; rows sum to -1, centred by +1 and -2/3
    expected = np.full((4, 4), 1 / 3)
    expected[[0, 1, 2, 3], [1, 0, 3, 2]] = -2 / 3
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(centred_gram(square), expected, atol=1e-12)
    crossed = square[[0, 2, 1, 3]]  # opposite corners are now others: -2/3 meets 1/3
    assert linear_cka(square, crossed, 1).value == pytest.approx((8 * -2 / 9 + 4 / 9) / (4 * 4 / 9 + 8 / 9))


def test_cka_knows_a_turned_space_and_is_near_0_by_chance() -> None:
    a = RNG.normal(size=(200, 20))
    turn, _ = np.linalg.qr(RNG.normal(size=(20, 20)))
    assert linear_cka(a, 3 * a @ turn + 5, 50).value == pytest.approx(1)
    found = linear_cka(a, RNG.normal(size=(200, 30)), 200)
    assert abs(found.value) < 0.05 and found.null_low < found.value < found.null_high
    assert np.isnan(linear_cka(a, np.ones((200, 3))).value)
    with pytest.raises(ValueError, match="CKA of 3 rows: take at least 4"):
        linear_cka(a[:3], a[:3])
    with pytest.raises(ValueError, match="200 and 199 rows"):
        linear_cka(a, a[1:])


def test_resampled_cka_of_every_row_once_is_cka() -> None:
    a, b = RNG.normal(size=(30, 4)), RNG.normal(size=(30, 6))
    x, y = centred_gram(a), centred_gram(b)
    weights = np.stack([np.ones(30), np.full(30, 2.0)])
    np.testing.assert_allclose(resampled_cka(x, y, weights), linear_cka(a, b, 1).value)


def test_neighbours_that_both_have() -> None:
    a = np.exp(0.3 * np.arange(12.0))[:, None]
    assert knn_overlap(a, -2 * a, 3, 50).value == 1
    even = np.arange(12.0)[:, None]  # 8 rows inside have two rows for the third place: 2 + 2 (1/2)(1/2) of 3
    same = knn_overlap(even, even, 3, 50)
    assert same.value == pytest.approx((4 + 8 * 2.5 / 3) / 12) and same.ceiling == pytest.approx(same.value)
    assert knn_overlap(a, -2 * a, 3, 50).ceiling == 1 and knn_overlap(a, even, 3, 50).ceiling == same.ceiling
    found = knn_overlap(RNG.normal(size=(100, 5)), RNG.normal(size=(100, 5)), 10, 200)
    assert found.null_mean == pytest.approx(10 / 99, abs=0.01)
    with pytest.raises(ValueError, match="take at least 16"):
        knn_overlap(a, a)


def test_rows_that_are_equally_far_agree_by_chance_alone() -> None:
    generator = np.random.default_rng(3)
    tokens = [generator.normal(size=(10, 4))[generator.integers(0, 10, 120)] for _ in range(2)]
    found = knn_overlap(tokens[0], tokens[1], 5, 50)
    broken = []
    for _ in range(60):  # ties broken at random, in each space by itself
        near = []
        for points in tokens:
            between = distances(points) + generator.uniform(0, 1e-3, (120, 120))
            np.fill_diagonal(between, np.inf)
            near.append(np.argsort(between, axis=1)[:, :5])
        broken.append(np.mean([len(np.intersect1d(a, b)) / 5 for a, b in zip(*near, strict=True)]))
    assert found.value == pytest.approx(np.mean(broken), abs=0.01)
    assert found.null_low < found.value < found.null_high, "the two have nothing to do with each other"
    assert np.isnan(knn_overlap(np.ones((40, 2)), tokens[0][:40], 5).value)


def test_representational_similarity_is_spearmans() -> None:
    a, b = RNG.normal(size=(12, 4)), RNG.normal(size=(12, 4))

    def cosine_distances(points: np.ndarray) -> list[float]:
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        return [1 - unit[i] @ unit[j] for i, j in itertools.combinations(range(12), 2)]

    expected = spearmanr(cosine_distances(a), cosine_distances(b)).statistic
    assert representational_similarity(a, b, 10).value == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_turned_copy_of_few_states_is_the_same_space(dtype: type) -> None:
    states = RNG.normal(size=(3, 8))[RNG.integers(0, 3, 60)].astype(dtype)
    turn = np.linalg.qr(RNG.normal(size=(8, 8)))[0].astype(dtype)
    assert representational_similarity(states, states @ turn, 10).value == pytest.approx(1)


def test_silhouette_is_scikit_learns() -> None:
    points, labels = RNG.normal(size=(60, 5)), RNG.integers(0, 3, 60)
    points[labels == 1] += 2
    found = silhouette(points, labels, 100)
    assert found.value == pytest.approx(silhouette_score(points, labels))
    assert found.null_high < found.value and found.n == 60
    shuffled = silhouette_score(points, labels[permutations(60, 1)[1]])
    assert silhouette(points, labels, 1).null_mean == pytest.approx(shuffled)


def test_silhouette_needs_two_groups_of_two() -> None:
    points = RNG.normal(size=(10, 2))
    assert np.isnan(silhouette(points, np.zeros(10)).value)
    alone = np.array([0] * 5 + [1] * 4 + [2])
    assert silhouette(points, alone).value == pytest.approx(silhouette_score(points[:9], alone[:9]))


def test_a_row_drawn_twice_is_no_neighbour_of_itself() -> None:
    points, labels = RNG.normal(size=(20, 3)), np.repeat([0, 1], 10)
    weight = RNG.integers(0, 3, 20).astype(float)
    drawn = np.repeat(np.arange(20), weight.astype(int))
    between = distances(points)[drawn][:, drawn]
    values = []
    for i, row in enumerate(drawn):
        others = drawn != row
        within = between[i, others & (labels[drawn] == labels[row])].mean()
        beyond = between[i, labels[drawn] != labels[row]].mean()
        values.append((beyond - within) / max(within, beyond))
    (found,) = resampled_silhouettes(points, labels, weight[None])
    assert found == pytest.approx(np.mean(values))


def test_sums_over_pairs_are_those_of_a_loop() -> None:
    vectors, strata = RNG.normal(size=(9, 4)), RNG.integers(0, 3, 9)
    weights = np.stack([np.ones(9), RNG.integers(0, 3, 9)]).astype(np.float32)
    between = distances(vectors)
    expected = np.zeros((3, 2, 3, 3))
    for b, (i, j) in itertools.product(range(2), itertools.permutations(range(9), 2)):
        both = weights[b, i] * weights[b, j]
        for place, value in enumerate((1, vectors[i] @ vectors[j], between[i, j])):
            expected[place, b, strata[i], strata[j]] += both * value
    np.testing.assert_allclose(pair_weights(strata, 3, weights), expected[0])
    np.testing.assert_allclose(dot_sums(vectors, strata, 3, weights), expected[1], atol=1e-5)
    np.testing.assert_allclose(matrix_sums(between, strata, 3, weights), expected[2], rtol=1e-5)


def test_distances_of_doubles_are_0() -> None:
    points = np.repeat(RNG.normal(size=(3, 8)) + 100, 2, axis=0).astype(np.float32)
    found = distances(points)
    assert found[0, 1] < 1e-5 and np.diag(found).tolist() == [0] * 6
    assert found[0, 2] == pytest.approx(np.linalg.norm(points[0].astype(float) - points[2]))
