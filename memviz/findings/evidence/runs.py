"""How long hits stand together by chance: the longest run of h hits in random order among m positions, exactly."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import comb

import numpy as np


def longest_run(match: np.ndarray) -> np.ndarray:
    """(n,) int: longest run of hits of each row of (n, m) bool."""
    run = np.zeros(len(match), np.int64)
    best = np.zeros(len(match), np.int64)
    for column in match.T:
        run = (run + 1) * column
        best = np.maximum(best, run)
    return best


@cache
def run_distribution(n_hits: int, m: int) -> np.ndarray:
    """(m + 1,) probability that the longest run is r, all orders of the hits being equally likely.

    Hits fall into the m - n_hits + 1 gaps between misses; inclusion and exclusion counts those with at most r in each.
    """
    n_gaps, at_most = m - n_hits + 1, [0]
    for r in range(m + 1):
        ways = (
            (-1) ** i * comb(n_gaps, i) * comb(n_hits - i * (r + 1) + n_gaps - 1, n_gaps - 1)
            for i in range(min(n_gaps, n_hits // (r + 1)) + 1)
        )
        at_most.append(sum(ways))
    return np.array([(b - a) / comb(m, n_hits) for a, b in pairwise(at_most)])


def run_by_chance(n_hits: np.ndarray, m: int) -> np.ndarray:
    """(n,) expected longest run of rows with so many hits in random order."""
    expected = np.array([run_distribution(h, m) @ np.arange(m + 1) for h in range(m + 1)])
    return expected[n_hits]


def mean_runs_by_chance(n_hits: np.ndarray, m: int, n_draws: int, seed: int) -> np.ndarray:
    """(n_draws,) mean longest run over the rows, each row's hits put in random order anew."""
    generator, total = np.random.default_rng([seed, 2]), np.zeros(n_draws)
    for h, n_rows in enumerate(np.bincount(n_hits, minlength=m + 1)):
        total += generator.multinomial(n_rows, run_distribution(h, m), n_draws) @ np.arange(m + 1)
    return total / max(1, len(n_hits))
