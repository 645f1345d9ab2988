"""What choosing rows by their hits does by itself: hits that depend on one quantity and on the position alone.

measures.md, rule 1: with h_t = P(hit at t | bin), a value f at t has the mean E[f h_t] / E[h_t] at a hit and
E[f (1 - h_t)] / E[1 - h_t] at a miss. Pooled over positions h would be wrong: hits of free-running decoding decay.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memviz.population.intervals import drawn_sums, percentiles

SMOOTHING = 0.4
"""Standard deviation, in bins, of the normal kernel that smooths h_t over its bins."""
_CELLS = 2**24
"""Cells of one matrix of columns: 128 MB."""


class Selected(NamedTuple):
    """Mean and variance of a value in a group; the first line of the sample itself, then of resampled ones."""

    mean: np.ndarray
    """(1 + n_resamples, t)."""
    variance: np.ndarray
    """(1 + n_resamples, t), of one row."""


def coded(*bins: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """(c, c) kernel between the bins that occur in any of several arrays, and the arrays as numbers of those bins.

    Bins are ordered whole numbers; -inf, none at all, counts as the one below the lowest.
    """
    levels, codes = np.unique(np.concatenate([each.ravel() for each in bins]), return_inverse=True)
    if len(levels) > 1 and np.isneginf(levels[0]):
        levels[0] = levels[1] - 1
    near = kernel(levels) if len(levels) > 1 else np.ones((1, 1))
    parts = np.split(codes.ravel(), np.cumsum([each.size for each in bins])[:-1])
    return near, [part.reshape(each.shape) for part, each in zip(parts, bins, strict=True)]


def kernel(levels: np.ndarray) -> np.ndarray:
    """(c, c) how much each of (c,) bins counts for each."""
    return np.exp(-(((levels[:, None] - levels) / SMOOTHING) ** 2) / 2)


def hit_rates(
    codes: np.ndarray, match: np.ndarray, near: np.ndarray, units: np.ndarray, n_resamples: int, seed: int
) -> np.ndarray:
    """(1 + n_resamples, t, c) P(hit at t | bin) from (n, t) bins and matches, smoothed by the kernel `near` (c, c)."""
    (n, t), c = codes.shape, len(near)
    rates = []
    for place in range(t):
        seen = np.zeros((n, c))
        seen[np.arange(n), codes[:, place]] = 1
        both = np.concatenate([seen * match[:, [place]], seen], axis=1)
        drawn = drawn_sums(both, units, n_resamples, seed)
        rates.append(smoothed(drawn[:, :c], drawn[:, c:], near))
    return np.stack(rates, axis=1)


def smoothed(hits: np.ndarray, seen: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(..., c) rates of (..., c) numbers of hits and of what was seen in each bin, smoothed by (c, c) `near`."""
    hits, seen = hits @ near, seen @ near
    with np.errstate(over="ignore"):
        found = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return np.clip(found, 0, 1)  # `part_sums` may draw fewer than none of what is rare


def at_hits_and_misses(
    values: np.ndarray, bins: np.ndarray, rates: np.ndarray, units: np.ndarray, n_resamples: int, seed: int
) -> np.ndarray:
    """(2, 1 + n_resamples, 2, t): at a hit and at a miss, the mean of (n, t) values and of their squares.

    bins (n, t), `rates` as `hit_rates` gives them, of these or of other rows. NaN where no hit, or no miss, can be.
    """
    (n, t), n_bins = values.shape, rates.shape[2]
    at_once = max(1, _CELLS // max(1, 3 * n_bins * n))
    parts = []
    for first in range(0, t, at_once):
        value, code = values[:, first : first + at_once].T, bins[:, first : first + at_once].T
        columns = np.zeros((3, *value.shape, n_bins))
        for power in range(3):
            np.put_along_axis(columns[power], code[..., None], (value**power)[..., None], axis=2)
        flat = columns.transpose(2, 0, 1, 3).reshape(n, -1)
        sums = drawn_sums(flat, units, n_resamples, seed).reshape(-1, 3, len(value), n_bins)
        here = rates[:, first : first + at_once]
        parts.append(moments_at(sums, here))
    return np.concatenate(parts, axis=3)


def moments_at(sums: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """(2, b, 2, t) as `at_hits_and_misses` gives them, of (b, 3, t, c) sums of powers 0 to 2 and (b, t, c) rates."""
    hit, miss = (np.einsum("bptc,btc->bpt", sums, each) for each in (rates, 1 - rates))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([each[:, 1:] / each[:, :1] for each in (hit, miss)])


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
