import subprocess
import sys
import time
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from memviz.measures.boundary import entropy_curve
from memviz.measures.changepoints import MIN_SIZE, change_points


def planted(p: int, at: int, seed: int = 0) -> np.ndarray:
    """High entropies up to index `at`, low ones from there, NaN at index 0."""
    generator = np.random.default_rng(seed)
    high, low = generator.gamma(4, 0.75, at), generator.gamma(1, 0.05, p - at)
    curve = np.concatenate([high, low])
    curve[0] = np.nan
    return curve


@pytest.mark.parametrize(("p", "at"), [(16, 8), (64, 32), (64, 50), (256, 30), (1000, 700)])
def test_a_planted_boundary_is_found_alone_and_within_two(p, at):
    (found,) = change_points(planted(p, at))
    assert abs(found - at) <= 2


def test_indices_do_not_depend_on_a_missing_first_value():
    curve = planted(64, 32)
    whole = np.concatenate([[3.0], curve[1:]])
    assert change_points(whole) == change_points(curve) == [32]
    assert change_points(curve[1:]) == [31]


def test_against_every_segmentation():
    generator = np.random.default_rng(3)
    for penalty in (0.3, 0.6, 1.2):
        curve = generator.gamma(2, 1, 14)
        curve[4:7] = 0.5  # ties
        signal = stats.zscore(stats.rankdata(np.round(curve, 2)))

        def cost(ends, signal=signal, penalty=penalty):
            parts = np.split(signal, ends)
            squares = sum(((part - part.mean()) ** 2).sum() for part in parts)
            return squares + penalty * np.log(14) * len(ends)

        options = [ends for r in range(4) for ends in combinations(range(1, 14), r)]
        allowed = [ends for ends in options if min(np.diff([0, *ends, 14])) >= MIN_SIZE]
        assert change_points(curve, penalty) == list(min(allowed, key=cost))


def test_shuffled_curves_rarely_have_any():
    generator = np.random.default_rng(4)
    found = [change_points(generator.gamma(2.6, 1, 256)) for _ in range(100)]
    assert sum(map(len, found)) <= 5


@pytest.mark.parametrize(
    "curve",
    [[], [np.nan], [np.nan, 1.0], [1, 1, 1, 9, 9], np.full(50, 2.0), np.zeros(50), np.linspace(0, 0.004, 50)],
)
def test_short_and_constant_curves_have_none(curve):
    assert change_points(np.array(curve)) == []


def test_a_thousand_tokens_take_less_than_half_a_second():
    curve = planted(1000, 500)
    change_points(curve)
    start = time.perf_counter()
    change_points(curve)
    assert time.perf_counter() - start < 0.5


def test_ruptures_is_not_imported_with_the_measures():
    code = "import memviz.measures.changepoints, sys; sys.exit('ruptures' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_entropy_curve_crosses_the_boundary(make_trace):
    trace = make_trace(
        [[0, 0]],
        [[0, 0]],
        context_entropy=[[0, 2, 3]],
        free_running={"entropy": np.array([[4.0, 5.0]])},
        teacher_forced={"entropy": np.array([[4.0, 6.0]])},
    )
    np.testing.assert_array_equal(entropy_curve(trace, "free_running"), [[np.nan, 2, 3, 4, 5]])
    np.testing.assert_array_equal(entropy_curve(trace, "teacher_forced"), [[np.nan, 2, 3, 4, 6]])


@pytest.mark.parametrize(
    ("curve", "penalty", "message"),
    [
        ([1.0, np.nan, 2.0], 1, "curve: got NaN or infinity after index 0, expected an entropy at every index"),
        ([[1.0, 2.0]], 1, r"curve: got shape \(1, 2\), expected \(p,\), one sequence at a time"),
        ([1.0, 2.0], 0, "penalty: got 0, expected more than 0"),
    ],
)
def test_errors(curve, penalty, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        change_points(np.array(curve), penalty)
