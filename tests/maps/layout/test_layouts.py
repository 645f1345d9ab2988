"""Neighbours, components, quality, registration and placing, against scikit-learn, brute force and known moves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from memviz.errors import InputError
from memviz.maps.layout import fit_basis, nearest, neighbours, place_among, quality, register_points

RNG = np.random.default_rng(3)


def clouds(n: int = 300, d: int = 12) -> np.ndarray:
    centres = 4 * RNG.normal(size=(5, d))
    return (centres[RNG.integers(0, 5, n)] + RNG.normal(size=(n, d))).astype(np.float32)


def test_neighbours_are_scikit_learns_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clouds()
    found = nearest(points, 7)
    distances, indices = NearestNeighbors(n_neighbors=8, algorithm="brute").fit(points.astype(float)).kneighbors()
    np.testing.assert_array_equal(found.indices, indices[:, :7])
    np.testing.assert_allclose(found.distances, distances[:, :7], rtol=1e-5)
    monkeypatch.setattr(neighbours, "_CELLS", 5000)
    seen: list[int] = []
    again = nearest(points, 7, lambda done, total: seen.append(done))
    np.testing.assert_array_equal(again.indices, found.indices)
    assert len(seen) > 5 and seen[-1] == 300


def test_ties_go_to_the_lower_index() -> None:
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0, 0]], np.float32)
    assert nearest(corners, 3).indices.tolist() == [[4, 1, 2], [0, 3, 4], [0, 3, 4], [1, 2, 0], [0, 1, 2]]


def test_components_are_scikit_learns_up_to_the_sign_which_is_fixed() -> None:
    points = clouds() @ np.diag(np.arange(1, 13)).astype(np.float32)
    basis = fit_basis(points, 4)
    expected = PCA(4, svd_solver="full").fit(points.astype(float))
    np.testing.assert_allclose(basis.variance, expected.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(np.abs(basis.project(points)), np.abs(expected.transform(points)), rtol=1e-2, atol=1e-2)
    assert (basis.components[np.arange(4), np.abs(basis.components).argmax(axis=1)] > 0).all()
    again = fit_basis(points[::-1], 4)
    np.testing.assert_allclose(again.components, basis.components, atol=1e-4)
    with pytest.raises(ValueError, match="width 3, the basis 12"):
        basis.project(points[:, :3])


def test_trustworthiness_is_scikit_learns() -> None:
    points = clouds()
    xy = fit_basis(points, 2).project(points)
    found = quality(points, xy, nearest(points, 20))
    assert float(found.trustworthiness) == pytest.approx(trustworthiness(points, xy, n_neighbors=15), abs=1e-6)
    near = [NearestNeighbors(n_neighbors=15).fit(each).kneighbors(return_distance=False) for each in (points, xy)]
    shared = np.mean([len(set(a) & set(b)) for a, b in zip(*near, strict=True)]) / 15
    assert float(found.neighbour_overlap) == pytest.approx(shared, abs=1e-6)
    assert float(found.overlap_by_chance) == pytest.approx(15 / 299)
    assert float(quality(points[:, :2], points[:, :2]).trustworthiness) == 1


def test_a_sample_of_points_judges_nearly_as_all_do(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clouds(600)
    xy = fit_basis(points, 2).project(points)
    everything = quality(points, xy)
    monkeypatch.setattr("memviz.maps.layout.judging.MOST_JUDGED", 300)
    some = quality(points, xy)
    assert int(some.n_judged) == 300
    assert float(some.trustworthiness) == pytest.approx(float(everything.trustworthiness), abs=0.01)


@pytest.mark.parametrize("mirrored", [False, True])
def test_registration_recovers_a_known_move(mirrored: bool) -> None:
    fixed = RNG.normal(size=(50, 2))
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([1, -1])
    moving = (fixed - [3, -1]) @ turn.T / 2.5
    found = register_points(moving, fixed)
    np.testing.assert_allclose(found.rotation, turn, atol=1e-9)
    assert found.scale == pytest.approx(2.5) and found.residual == pytest.approx(0, abs=1e-12) and found.n == 50
    np.testing.assert_allclose(found.apply(moving), fixed, atol=1e-6)


def test_residual_is_the_share_that_is_left() -> None:
    fixed, moving = RNG.normal(size=(40, 2)), RNG.normal(size=(40, 2))
    found = register_points(moving, fixed)
    left = ((found.apply(moving) - fixed) ** 2).sum() / ((fixed - fixed.mean(axis=0)) ** 2).sum()
    assert found.residual == pytest.approx(left, abs=1e-5) and 0.5 < found.residual <= 1
    with pytest.raises(InputError, match="2 points are shared"):
        register_points(moving[:2], fixed[:2])
    with pytest.raises(InputError, match="all the same"):
        register_points(np.ones((5, 2)), fixed[:5])


def test_a_fixed_points_double_falls_on_it_and_new_points_do_not_see_each_other() -> None:
    points = clouds()
    reduced, xy = fit_basis(points).project(points), RNG.normal(size=(300, 2)).astype(np.float32)
    np.testing.assert_allclose(place_among(reduced, xy, reduced[:9]), xy[:9], atol=1e-4)
    new = reduced[:20] + 0.3
    together = place_among(reduced, xy, new)
    for number in range(20):
        np.testing.assert_array_equal(place_among(reduced, xy, new[number : number + 1])[0], together[number])
    near = np.argsort(((reduced - new[0]) ** 2).sum(axis=1))[:15]
    assert (xy[near].min(axis=0) <= together[0]).all() and (together[0] <= xy[near].max(axis=0)).all()


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (np.zeros((4, 3)), "4 points have fewer than 5 neighbours each: take more rows or steps"),
        (np.ones((9, 3)), "all 9 points are the same"),
        (np.array([[1.0, 2]] * 8 + [[np.nan, 1]]), "1 of 9 points are not finite, the first is number 8"),
        (np.array([[np.inf, 2]] + [[0.0, 1]] * 8), "1 of 9 points are not finite, the first is number 0"),
        (np.zeros(9), "expected \\(n, d\\)"),
    ],
)
def test_points_of_no_use_are_named(points: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        nearest(points, 5)
