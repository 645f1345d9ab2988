"""Statistics of the claims of findings 1 and 3, from the sweeps' tables; the wording is that of docs/claims.toml."""

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
from memviz.population.boundary import boundary_differences
from memviz.population.curves import context_points, continuation_points, difference
from memviz.population.fits import size_fits
from memviz.population.intervals import Estimate, estimate, percentiles
from memviz.population.transitions import N_LEVELS, kappa_of, kept_of
from memviz.sweeps.task import ANCHORED, SLIDING

FIRST_OF_TARGET = 96
"""Index of the first target token of the anchored curve."""


# Finding 1


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


def _contexts(found: Material, mode: str) -> pd.DataFrame:
    sequences = found.of_largest(found.trained)
    if mode == ANCHORED:
        asked = sequences[sequences["mode"] == mode]
        others = set(asked["start"] + asked["k"]) - {FIRST_OF_TARGET}
        if others:
            raise InputError(f"the anchored target starts at index {min(others)}, the claim's at {FIRST_OF_TARGET}")
    return context_points(sequences, mode, M)


def _by_context(mode: str) -> Statistic:
    def found_of(found: Material) -> Found:
        points = _contexts(found, mode)
        return difference(points, {"k": 96}, {"k": 8}, n_resamples=found.n_resamples, seed=SEED), None

    return found_of


def _steepness(found: Material) -> Found:
    scores = _contexts(found, ANCHORED).pivot(index=["row", "group"], columns="k", values="score")
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


# Finding 3


def _boundary(quantity: str, group: str) -> Statistic:
    def found_of(found: Material) -> Found:
        if quantity.startswith("frequency") and found.frequencies is None:
            raise InputError("n-gram frequencies need the index of the training stream: build it, then ask again")
        line = boundary_line(found, quantity, group, entropy=quantity.startswith("entropy"))
        names = ("null", "null_low", "null_high", "null_mean_low", "null_mean_high")
        return _of_line(line, "above", line["n"]), Null(*(float(line[name]) for name in names))

    return found_of


def _fall(found: Material) -> Found:
    line = boundary_line(found, "entropy_free_running", "memorized", entropy=True)
    if np.isnan(line["edge"]) and not line["n_edge"]:
        raise InputError("the moved edge needs 40 decoded positions at k = 32, and a group there")
    return _of_line(line, "fall", min(line["n"], line["n_edge"])), None


def _of_line(line: dict[str, Any], name: str, n: int) -> Estimate:
    value, low, high = (float(line[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return Estimate(value, low, high, int(n), min(int(n), int(line["n_units"])))


def boundary_line(found: Material, quantity: str, group: str, entropy: bool) -> dict[str, Any]:
    """The line of one group of the largest size in the table of boundary differences. Raises InputError."""
    aligned = found.aligned(found.models[-1], entropy=entropy)
    table = boundary_differences([aligned], quantity, found.n_resamples, SEED)
    (line,) = table[table["group"] == group].to_dict("records")
    return {str(name): value for name, value in line.items()}


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
    "frequency-memorized": _boundary("frequency_1", "memorized"),
    "frequency-unmemorized": _boundary("frequency_1", "unmemorized"),
    "bigram-memorized": _boundary("frequency_2", "memorized"),
    "bigram-unmemorized": _boundary("frequency_2", "unmemorized"),
    "entropy-memorized": _boundary("entropy_free_running", "memorized"),
    "entropy-unmemorized": _boundary("entropy_free_running", "unmemorized"),
    "boundary-stays": _fall,
}
"""Statistic of each claim, by its id."""
