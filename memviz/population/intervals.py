"""Intervals over units: Wilson for shares, the percentile bootstrap for everything that is a function of sums.

Rows of a designed sample are a fixed number of each stratum, so units are drawn within strata (measures.md, rule 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import pandas as pd

from memviz.sweeps.sums import MOST_UNITS

N_RESAMPLES = 2000
LEVEL = 0.95
N_GROUPS = 2**12 - 1
"""Random groups that stand for the units where they are more than `MOST_UNITS`: intervals are normal ones over the sums
of units then, and their width is known to 1 % (1 / sqrt(2 N_GROUPS))."""
_AT_ONCE = 2**22
"""Draws of one batch: 32 MB of counts."""
_KEPT = 2**23
"""Draws of a stratum that are kept for the next question about as many units: 16 MB at most."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. low = high = value where nothing varies; NaN where nothing is known."""

    value: float
    low: float
    high: float
    n: int
    """Rows in the smallest group that enters it."""
    n_units: int
    """Units (groups of near-duplicates) among them."""


STRATUM = 2**40
"""A unit's number is its group of near-duplicates plus its stratum times this; stratum 0 is no stratum of its own."""
_LEAST = 2
"""Units of a stratum, at least, that say how much it varies; smaller strata are drawn together."""


def design_units(group: np.ndarray, *by: np.ndarray) -> np.ndarray:
    """(n,) int64 units of n rows from their (n,) groups of near-duplicates, stratified by further (n,) columns.

    A group is of the stratum of its first row. Rows whose columns are missing are of stratum 0.
    """
    table = pd.DataFrame({str(i): values for i, values in enumerate(by)})
    numbered = table.groupby(list(table.columns), dropna=True, sort=True).ngroup()
    stratum = numbered.fillna(-1).to_numpy(np.int64) + 1
    names, first, place = np.unique(np.asarray(group, np.int64), return_index=True, return_inverse=True)
    return (names + STRATUM * stratum[first])[place]


def design_effect(member: np.ndarray, units: np.ndarray, count: np.ndarray | None = None) -> float:
    """Variance of a share of (n,) rows drawn within strata, in variances of one drawn from all; at most 1.

    `count` (n,): rows that each stands for. A stratum's own share is taken half a row from 0 and 1, or a stratum that
    was always right would vary nothing.
    """
    strata, place = np.unique(np.asarray(units, np.int64) // STRATUM, return_inverse=True)
    count = np.ones(len(member)) if count is None else count
    n, n_in, hits = count.sum(), np.bincount(place, count), np.bincount(place, member * count)
    share, whole = (hits + 0.5) / (n_in + 1), (hits.sum() + 0.5) / (n + 1)
    found = float((n_in * share * (1 - share)).sum() / (n * whole * (1 - whole)))
    return min(found, 1.0) if len(strata) > 1 else 1.0


def wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % Wilson interval of shares of n (need not be whole); NaN for n = 0."""
    share, n = np.asarray(share, np.float64), np.asarray(n, np.float64)
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


def share_of(member: np.ndarray, units: np.ndarray, n_units: int | None = None) -> Estimate:
    """The share of (n,) rows that are members, with its 95 % Wilson interval by design over (n,) units.

    n is Kish's number of independent rows, over the design effect; where `units` are but parts of `n_units`, that.
    """
    share = float(np.mean(member))
    if n_units is None:
        sizes = np.unique(units, return_counts=True)[1]
        n_units, n_independent = len(sizes), sizes.sum() ** 2 / (sizes**2).sum()
    else:
        n_independent = n_units
    low, high = wilson(np.array(share), n_independent / design_effect(member, units))
    return Estimate(share, float(low), float(high), len(member), n_units)


def resampled_sums(values: np.ndarray, units: np.ndarray, n_resamples: int = N_RESAMPLES, seed: int = 0) -> np.ndarray:
    """(r, s) sums of the columns of (n, s) values over units drawn with replacement, in batches; r is `n_resamples`,
    or above `MOST_UNITS` units what `part_sums` makes it.

    units (n,): rows of one unit are drawn together; those of `design_units` within their stratum, one fewer than it has
    and each weighing so much more (Rao and Wu 1988), for a resample of all would vary too little. The same units and
    seed give the same draws, whatever the values.
    """
    units = np.asarray(units, np.int64)
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=units.min(initial=0) - 1))
    sums = np.add.reduceat(np.asarray(values, np.float64)[order], starts, axis=0) if len(starts) else values
    names = units[order][starts]
    if len(names) > MOST_UNITS:
        return part_sums(*_merged(names, sums, seed), seed)
    found = np.zeros((n_resamples, values.shape[1]))
    for at, here, weights in _weights(names, n_resamples, seed):
        found[at : at + len(weights)] += weights @ sums[here]
    return found


def resampled_weights(units: np.ndarray, n_resamples: int = N_RESAMPLES, seed: int = 0) -> np.ndarray:
    """(n_resamples, n) what each of n rows weighs in the same resamples: for what is no function of sums."""
    names, place = np.unique(np.asarray(units, np.int64), return_inverse=True)
    found = np.zeros((n_resamples, len(names)))
    for at, here, weights in _weights(names, n_resamples, seed):
        found[at : at + len(weights), here] = weights
    return found[:, place]


def _weights(names: np.ndarray, n_resamples: int, seed: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of (u,) ascending units, stratum by stratum: the first resample, places of units, and (b, ·) their weights."""
    strata = _strata(names)
    for i, stratum in enumerate(np.unique(strata)):
        here = np.flatnonzero(strata == stratum)
        n, at = len(here), 0
        n_drawn = n - 1 if stratum else n
        for counts in _counts(n, n_drawn, n_resamples, (seed, i)):
            yield at, here, counts.astype(np.float64) * (n / n_drawn)
            at += len(counts)


def _strata(names: np.ndarray) -> np.ndarray:
    """(u,) strata of units, small ones as one."""
    strata = names // STRATUM
    found, size = np.unique(strata, return_counts=True)
    strata[np.isin(strata, found[size < _LEAST])] = 0
    return strata


def _merged(names: np.ndarray, sums: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums (g, s), strata and numbers of units of random groups of units: of a stratum by how many units it has."""
    strata, generator = _strata(names), np.random.default_rng((seed, len(names)))
    group, of = np.empty(len(names), np.int64), [np.zeros(0, np.int64)]
    for stratum, n in zip(*(each.tolist() for each in np.unique(strata, return_counts=True)), strict=True):
        n_groups = min(n, max(_LEAST, round(N_GROUPS * n / len(names))))
        group[strata == stratum] = generator.permutation(n) % n_groups + sum(map(len, of))
        of.append(np.full(n_groups, stratum))
    stratum = np.concatenate(of)
    merged = np.stack([np.bincount(group, column, len(stratum)) for column in sums.T], axis=1)
    return merged, stratum, np.bincount(group)


def part_sums(sums: np.ndarray, stratum: np.ndarray, n_units: np.ndarray, seed: int = 0) -> np.ndarray:
    """(r, s) sums that vary about those of a sample as sums over its units do, from (g, s) sums over parts of them.

    stratum, n_units (g,): of each part. Each line adds or takes away what every part has beyond its stratum's mean, by
    signs of a Hadamard matrix: over all lines the variance of a sum is that between the parts (balanced repeated
    replication, McCarthy 1969), and a line is as normal as a sum of so many. r is the power of two above g.
    """
    beyond = np.zeros((1 << len(sums).bit_length(), sums.shape[1]), sums.dtype)
    generator = np.random.default_rng((seed, len(sums)))
    places, signs = 1 + generator.permutation(len(beyond) - 1)[: len(sums)], generator.choice((-1, 1), len(sums))
    for each in np.unique(stratum):
        here = np.flatnonzero(stratum == each)
        mean = sums[here].sum(axis=0) / max(n_units[here].sum(), 1)
        scale = signs[here] * np.sqrt(len(here) / max(len(here) - 1, 1))
        beyond[places[here]] = (sums[here] - n_units[here, None] * mean) * scale[:, None]
    bits = len(sums).bit_length()
    down, across = _signs(bits - bits // 2, sums.dtype), _signs(bits // 2, sums.dtype)
    square = np.tensordot(down, beyond.reshape(len(down), len(across), -1), 1)
    return sums.sum(axis=0) + np.matmul(across, square).reshape(beyond.shape)


def drawn_parts(values: np.ndarray, parts: np.ndarray, seed: int = 0) -> np.ndarray:
    """(1 + r, s): the column sums of (l, s) values and those drawn by `part_sums`, from the parts (l,) they are of.

    Parts are numbered as `design_units` numbers units, and taken as equally large.
    """
    names, place = np.unique(parts, return_inverse=True)
    sums = np.stack([np.bincount(place, column, len(names)) for column in values.T], axis=1)
    return np.concatenate(
        [sums.sum(axis=0)[None], part_sums(sums, names // STRATUM, np.ones(len(names), np.int64), seed)]
    )


def _signs(bits: int, dtype: np.dtype) -> np.ndarray:
    """(2^bits, 2^bits) Hadamard matrix."""
    found = np.ones((1, 1), dtype)
    for _ in range(bits):
        found = np.block([[found, found], [found, -found]])
    return found


def _counts(n_units: int, n_drawn: int, n_resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    """(b, n_units) how often each unit is among `n_drawn`, b resamples at a time."""
    if n_units * n_resamples > _KEPT:
        yield from _drawn_anew(n_units, n_drawn, n_resamples, seed)
        return
    every, size = _drawn_once(n_units, n_drawn, n_resamples, seed), max(1, _AT_ONCE // n_units)
    for start in range(0, n_resamples, size):
        yield every[start : start + size]


@lru_cache(maxsize=64)
def _drawn_once(n_units: int, n_drawn: int, n_resamples: int, seed: tuple[int, int]) -> np.ndarray:
    """(n_resamples, n_units) counts: drawing them takes longer than all that is done with them."""
    return np.concatenate(list(_drawn_anew(n_units, n_drawn, n_resamples, seed)))


def _drawn_anew(n_units: int, n_drawn: int, n_resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    generator, size = np.random.default_rng(seed), max(1, _AT_ONCE // n_units)
    for start in range(0, n_resamples, size):
        n = min(size, n_resamples - start)
        drawn = generator.integers(0, n_units, (n, n_drawn))
        drawn += np.arange(n)[:, None] * n_units
        yield np.bincount(drawn.ravel(), minlength=n * n_units).reshape(n, n_units).astype(np.uint16)


def drawn_sums(values: np.ndarray, units: np.ndarray, n_resamples: int = N_RESAMPLES, seed: int = 0) -> np.ndarray:
    """(1 + n_resamples, s): the column sums of the sample itself, then those of `resampled_sums`."""
    return np.concatenate([values.sum(axis=0)[None], resampled_sums(values, units, n_resamples, seed)])


def percentiles(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % percentile interval along the first axis, over what is known; NaN where nothing is."""
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    unknown = np.isnan(samples)
    if not unknown.any():
        low, high = np.quantile(samples, tails, axis=0)
        return low, high
    ends = np.full((2, *samples.shape[1:]), np.nan)
    known = ~unknown.all(axis=0)
    quantile = np.nanquantile if unknown[:, known].any() else np.quantile  # the first takes column by column
    ends[:, known] = quantile(samples[:, known], tails, axis=0)
    return ends[0], ends[1]


def estimate(
    values: np.ndarray,
    units: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int,
    n_units: int,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """A statistic of column sums, (..., s) -> (...), with its percentile interval over units."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = statistic(drawn_sums(values, units, n_resamples, seed))
    low, high = percentiles(found[1:])
    return Estimate(float(found[0]), float(low), float(high), n, n_units)
