"""Statistics of the claims of finding 1, from the sweeps' tables; the wording is that of docs/claims.toml."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.findings.claims import Null
from memviz.findings.evidence.material import SEED, Found, M, Material, Statistic
from memviz.findings.evidence.runs import longest_run, mean_runs_by_chance, run_by_chance
from memviz.population.curves import context_points, continuation_points, difference
from memviz.population.fits import HALF, size_fits, slopes
from memviz.population.intervals import Estimate, estimate, percentiles
from memviz.population.transitions import N_LEVELS, kappa_of, kept_of
from memviz.sweeps.task import ANCHORED, SLIDING

FIRST_OF_TARGET = 96
"""Index of the first target token of the anchored curve."""
FEWEST_OF_LEVEL = 10
"""Rows of a level under the smaller size, at least, for its share that stays to count."""


def _by_model(found: Material) -> Found:
    a, b = {"model": found.models[-1]}, {"model": found.models[0]}
    if a == b:
        raise InputError("one size alone has nothing to be compared with")
    return difference(found.points, a, b, n_resamples=found.n_resamples, seed=SEED), None


def _by_exposures(found: Material) -> Found:
    points = found.of_largest(found.points_with_held_out)
    a, b = {"bucket": points["bucket"].max()}, {"bucket": 0}
    return difference(points, a, b, n_resamples=found.n_resamples, seed=SEED), None


def _size_slope(found: Material) -> Found:
    fits = size_fits(found.points, found.n_parameters, n_resamples=found.n_resamples, seed=SEED)
    fit = next((each for each in fits if (each.kind, each.quantity) == ("power", "n_full")), None)
    if fit is None:
        raise InputError("a slope over sizes needs at least two of them")
    return Estimate(fit.slope - 1, fit.low - 1, fit.high - 1, fit.n_rows, fit.n_units), None


def _by_continuation(quantity: Any) -> Statistic:
    def found_of(found: Material) -> Found:
        points = continuation_points(found.of_largest(found.trained))
        return difference(points, {"m": 96}, {"m": 16}, quantity, n_resamples=found.n_resamples, seed=SEED), None

    return found_of


def _contexts(sequences: pd.DataFrame, mode: str) -> pd.DataFrame:
    if mode == ANCHORED:
        asked = sequences[sequences["mode"] == mode]
        others = set(asked["start"] + asked["k"]) - {FIRST_OF_TARGET}
        if others:
            raise InputError(f"the anchored target starts at index {min(others)}, the claim's at {FIRST_OF_TARGET}")
    return context_points(sequences, mode, M)


def _by_context(mode: str) -> Statistic:
    def found_of(found: Material) -> Found:
        points = _contexts(found.of_largest(found.trained), mode)
        return difference(points, {"k": 96}, {"k": 8}, n_resamples=found.n_resamples, seed=SEED), None

    return found_of


def _steepness(found: Material) -> Found:
    scores = _contexts(found.of_largest(found.trained), ANCHORED).pivot(
        index=["row", "group"], columns="k", values="score"
    )
    absent = [k for k in (8, 32, 64, 96) if k not in scores]
    if absent:
        raise InputError(f"the anchored context curve has no k = {absent[0]}")
    known = scores[[8, 32, 64, 96]].dropna()
    units = known.index.get_level_values("group").to_numpy()

    def statistic(sums: np.ndarray) -> np.ndarray:
        mean = sums[..., :4] / sums[..., 4:]
        return (mean[..., 1] - mean[..., 0]) / 24 - (mean[..., 3] - mean[..., 2]) / 32

    values = np.column_stack([known.to_numpy(), np.ones(len(known))])
    return _estimate(found, values, units, statistic), None


def _levels(minimum: Callable[[np.ndarray], np.ndarray], least: int) -> Statistic:
    """A statistic of the (..., pairs, 25) cells of neighbouring sizes."""

    def found_of(found: Material) -> Found:
        if len(found.models) < least:
            raise InputError(f"the sweep has {len(found.models)} sizes, the claim needs at least {least}")
        levels = found.points.pivot(index=["row", "group"], columns="model", values="level")[found.models]
        pairs = itertools.pairwise(levels[model].to_numpy() for model in found.models)
        cells = np.concatenate([np.eye(N_LEVELS**2)[N_LEVELS * a + b] for a, b in pairs], axis=1)
        units = levels.index.get_level_values("group").to_numpy()

        def statistic(sums: np.ndarray) -> np.ndarray:
            return minimum(sums.reshape(*sums.shape[:-1], -1, N_LEVELS**2))

        return _estimate(found, cells, units, statistic), None

    return found_of


def _diagonal(cells: np.ndarray) -> np.ndarray:
    """Smallest over pairs of sizes of the mean over levels of the share that stays, less a half; first the sample."""
    square = cells.reshape(*cells.shape[:-1], N_LEVELS, N_LEVELS)
    n = square.sum(axis=-1)
    known = (n[0] >= FEWEST_OF_LEVEL) & (n > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(known, np.diagonal(square, axis1=-2, axis2=-1) / n, 0)
        return (share.sum(axis=-1) / known.sum(axis=-1)).min(axis=-1) - 0.5


def _very_high(found: Material) -> Found:
    if len(found.models) < 2:
        raise InputError("one size alone has no next one")
    levels = found.points.pivot(index=["row", "group"], columns="model", values="level")[found.models[-2:]]
    high = (levels == N_LEVELS - 1).to_numpy()
    n = int(high[:, 0].sum())
    if not n:
        raise InputError(f"{found.models[-2]} has no row at the very high level")
    values, units = np.column_stack([high.all(axis=1), high[:, 0]]), levels.index.get_level_values("group").to_numpy()
    n_units = len(np.unique(units[high[:, 0]]))
    return estimate(values, units, lambda sums: _mean(sums) - 0.9, n, n_units, found.n_resamples, SEED), None


def _fastest(found: Material) -> Found:
    """Exponent of the number with M = 1 minus the largest of those of the levels."""
    points, x = found.points, np.log(list(found.n_parameters.values()))
    if len(set(x)) < 2:
        raise InputError("a slope over sizes needs at least two of them")
    kind = np.where(points["n_hits"] == points["m"], N_LEVELS, points["level"])
    place = pd.Index(found.models).get_indexer(pd.Index(points["model"])) * (N_LEVELS + 1) + kind
    values = np.eye(len(x) * (N_LEVELS + 1))[place]

    def statistic(sums: np.ndarray) -> np.ndarray:
        counts = sums.reshape(*sums.shape[:-1], len(x), N_LEVELS + 1)
        exponent = slopes(x, np.moveaxis(np.log(counts + HALF), -2, -1))
        return exponent[..., -1] - exponent[..., :-1].max(axis=-1)

    n_rows, n_units = points["row"].nunique(), points["group"].nunique()
    units = points["group"].to_numpy()
    return estimate(values, units, statistic, n_rows, n_units, found.n_resamples, SEED), None


def _by_size_and(column: str, ends: tuple[int, int], points_of: Callable[[Material], pd.DataFrame]) -> Statistic:
    """Mean M at one end of a curve minus at the other: of the largest size minus of the smallest, same rows."""

    def found_of(found: Material) -> Found:
        small, large = found.models[0], found.models[-1]
        if small == large:
            raise InputError("one size alone has nothing to be compared with")
        score = points_of(found).pivot(index=["row", "group"], columns=["model", column], values="score")
        wanted = [(model, end) for model in (large, small) for end in ends]
        if any(each not in score for each in wanted):
            raise InputError(f"the curve has not both {column} = {ends[0]} and {ends[1]}")
        known = score[wanted].dropna()
        value = known.to_numpy() @ np.array([1, -1, -1, 1])
        return _mean_of(found, value, known.index.get_level_values("group").to_numpy()), None

    return found_of


def _sublinear(found: Material) -> Found:
    points = continuation_points(found.of_largest(found.trained))
    full = points.assign(full=points["n_hits"] == points["m"]).pivot(index=["row", "group"], columns="m", values="full")
    absent = [m for m in (16, 32, 64, 96) if m not in full]
    if absent:
        raise InputError(f"the continuation curve has no m = {absent[0]}")
    short, next_, long, longest = full[[16, 32, 64, 96]].to_numpy(np.float64).T
    value = (short - next_) / 16 - (long - longest) / 32
    return _mean_of(found, value, full.index.get_level_values("group").to_numpy()), None


def _contiguity(found: Material) -> Found:
    aligned = found.aligned(found.models[-1], entropy=False)
    match = aligned.match[:, :M]
    n_hits = match.sum(axis=1)
    chosen = (n_hits >= 2) & (n_hits <= M - 2)
    if not chosen.any():
        raise InputError(f"no row has 2 to {M - 2} hits")
    n_hits, units = n_hits[chosen], aligned.units[chosen]
    by_chance = run_by_chance(n_hits, M)
    values = np.column_stack([longest_run(match[chosen]) - by_chance, np.ones(len(n_hits))])
    low, high = percentiles(mean_runs_by_chance(n_hits, M, found.n_resamples, SEED) - by_chance.mean())
    return _estimate(found, values, units, _mean), Null(0.0, float(low), float(high))


def _mean_of(found: Material, value: np.ndarray, units: np.ndarray) -> Estimate:
    return _estimate(found, np.column_stack([value, np.ones(len(value))]), units, _mean)


def _estimate(found: Material, values: np.ndarray, units: np.ndarray, statistic: Any) -> Estimate:
    return estimate(values, units, statistic, len(units), len(np.unique(units)), found.n_resamples, SEED)


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


STATISTICS: dict[str, Statistic] = {
    "size": _by_model,
    "exposures": _by_exposures,
    "size-sublinear": _size_slope,
    "continuation": _by_continuation("full"),
    "continuation-score": _by_continuation("mean"),
    "context-sliding": _by_context(SLIDING),
    "context-anchored": _by_context(ANCHORED),
    "context-steep": _steepness,
    "levels-stay": _levels(lambda cells: kept_of(cells).min(axis=-1) - 0.5, 2),
    "levels-stay-beyond-chance": _levels(lambda cells: kappa_of(cells).min(axis=-1), 2),
    "levels-stay-more": _levels(lambda cells: kept_of(cells)[..., -1] - kept_of(cells)[..., 0], 3),
    "contiguous": _contiguity,
    "levels-stay-diagonal": _levels(_diagonal, 2),
    "very-high-stay": _very_high,
    "full-grows-fastest": _fastest,
    "continuation-by-size": _by_size_and("m", (96, 16), lambda found: continuation_points(found.trained)),
    "context-by-size": _by_size_and("k", (96, 8), lambda found: _contexts(found.trained, ANCHORED)),
    "continuation-sublinear": _sublinear,
}
"""Statistic of each claim, by its id."""
