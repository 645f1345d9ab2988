"""What choosing rows by their hits does by itself: hits that depend on one quantity and on nothing else.

measures.md, rule 1: with h = P(hit | bin), pooled over positions, a value f has mean E[f h] / E[h] at a hit and
E[f (1 - h)] / E[1 - h] at a miss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memviz.population.intervals import drawn_sums, percentiles

_CELLS = 2**24
"""Cells of one matrix of columns: 128 MB."""


class Selected(NamedTuple):
    """Mean and variance of a value in a group; the first line of the sample itself, then of resampled ones."""

    mean: np.ndarray
    """(1 + n_resamples, t)."""
    variance: np.ndarray
    """(1 + n_resamples, t), of one row."""


def hit_rates(bins: np.ndarray, match: np.ndarray, units: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """(1 + n_resamples, n_bins) P(hit | bin) from (n, m) bins and matches; 0 for a bin that was not drawn."""
    n, m = bins.shape
    n_bins = int(bins.max(initial=0)) + 1
    place = np.repeat(np.arange(n), m) * n_bins + bins.ravel()
    seen = np.bincount(place, minlength=n * n_bins).reshape(n, n_bins)
    hit = np.bincount(place, match.ravel(), n * n_bins).reshape(n, n_bins)
    drawn = drawn_sums(np.concatenate([hit, seen], axis=1), units, n_resamples, seed)
    return drawn[:, :n_bins] / np.maximum(drawn[:, n_bins:], 1)


def at_hits_and_misses(
    values: np.ndarray, bins: np.ndarray, rates: np.ndarray, units: np.ndarray, n_resamples: int, seed: int
) -> np.ndarray:
    """(2, 1 + n_resamples, 2, t): at a hit and at a miss, the mean of (n, t) values and of their squares.

    bins (n, t), `rates` as `hit_rates` gives them. NaN where no hit, or no miss, can be.
    """
    (n, t), n_bins = values.shape, rates.shape[1]
    at_once = max(1, _CELLS // max(1, 3 * n_bins * n))
    parts = []
    for first in range(0, t, at_once):
        value, code = values[:, first : first + at_once].T, bins[:, first : first + at_once].T
        columns = np.zeros((3, *value.shape, n_bins))
        for power in range(3):
            np.put_along_axis(columns[power], code[..., None], (value**power)[..., None], axis=2)
        flat = columns.transpose(2, 0, 1, 3).reshape(n, -1)
        sums = drawn_sums(flat, units, n_resamples, seed).reshape(-1, 3, len(value), n_bins)
        hit = np.einsum("bptc,bc->bpt", sums, rates)
        miss = np.einsum("bptc,bc->bpt", sums, 1 - rates)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.stack([each[:, 1:] / each[:, :1] for each in (hit, miss)]))
    return np.concatenate(parts, axis=3)


def mixed(found: np.ndarray, share: float) -> Selected:
    """Of what `at_hits_and_misses` gives, a group with that share of hits."""
    both = found[0] if share == 1 else found[1] if share == 0 else share * found[0] + (1 - share) * found[1]
    mean, square = both[:, 0], both[:, 1]
    return Selected(mean, square - mean**2)


def band(group: Selected, n_units: int, n_all: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(t,) ends of 95 % of the means that groups of `n_units` of `n_all` rows would have, all rows resampled besides.

    A group varies around its expectation by what it leaves out: nothing where it is all of them.
    """
    if not n_units:
        nothing = np.full(group.mean.shape[1], np.nan)
        return nothing, nothing
    spread = np.sqrt(np.maximum(group.variance[1:], 0) * (1 / n_units - 1 / n_all))
    noise = np.random.default_rng([seed, 1]).standard_normal(spread.shape)
    return percentiles(group.mean[1:] + spread * noise)
