from __future__ import annotations

from itertools import combinations, groupby

import numpy as np
import pytest

from memviz.findings.evidence.runs import longest_run, mean_runs_by_chance, run_by_chance, run_distribution


def longest(row: tuple[bool, ...]) -> int:
    return max((len(list(run)) for hit, run in groupby(row) if hit), default=0)


@pytest.mark.parametrize("n_hits", range(8))
def test_distribution_is_that_of_all_orders(n_hits: int) -> None:
    rows = [tuple(i in chosen for i in range(7)) for chosen in combinations(range(7), n_hits)]
    expected = np.bincount([longest(row) for row in rows], minlength=8) / len(rows)
    np.testing.assert_allclose(run_distribution(n_hits, 7), expected, atol=1e-12)
    np.testing.assert_array_equal(longest_run(np.array(rows)), [longest(row) for row in rows])


def test_means_by_chance_are_those_of_shuffled_rows() -> None:
    generator, n_hits = np.random.default_rng(0), np.array([2, 5, 16, 16, 30])
    rows = np.arange(32) < n_hits[:, None]
    shuffled = [longest_run(generator.permuted(rows, axis=1)) for _ in range(3000)]
    np.testing.assert_allclose(run_by_chance(n_hits, 32), np.mean(shuffled, axis=0), rtol=0.05)
    drawn = mean_runs_by_chance(n_hits, 32, 3000, seed=0)
    expected = np.mean(shuffled, axis=1)
    assert (drawn.mean(), drawn.std()) == (
        pytest.approx(expected.mean(), rel=0.02),
        pytest.approx(expected.std(), rel=0.1),
    )
