"""How the score levels of the same sequences change from one model to another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.measures.score import LEVELS
from memviz.population.intervals import N_RESAMPLES, Estimate, estimate, share_of

N_LEVELS = len(LEVELS)


@dataclass(frozen=True)
class Transition:
    """Levels of the same rows under two models; rows of the matrix: `smaller`, columns: `larger`."""

    smaller: str
    larger: str
    counts: np.ndarray
    """(5, 5) int: rows at a level under the smaller model and at a level under the larger one."""
    kept: Estimate
    """Share of rows that keep their level (Wilson)."""
    kappa: Estimate
    """Cohen's kappa: agreement beyond what the two models' level shares give; NaN where both know one level only."""

    @property
    def shares(self) -> np.ndarray:
        """(5, 5) counts by row total; NaN where a level has no rows."""
        with np.errstate(invalid="ignore"):
            return self.counts / self.counts.sum(axis=1, keepdims=True)

    @property
    def n(self) -> int:
        return int(self.counts.sum())


def kept_of(cells: np.ndarray) -> np.ndarray:
    """(...,) share on the diagonal of (..., 5 * 5) counts."""
    square = cells.reshape(*cells.shape[:-1], N_LEVELS, N_LEVELS)
    with np.errstate(invalid="ignore"):
        return np.trace(square, axis1=-2, axis2=-1) / square.sum(axis=(-2, -1))


def kappa_of(cells: np.ndarray) -> np.ndarray:
    """(...,) Cohen's kappa of (..., 5 * 5) counts; NaN where chance alone would agree always."""
    square = cells.reshape(*cells.shape[:-1], N_LEVELS, N_LEVELS)
    n = square.sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = (square.sum(axis=-1) * square.sum(axis=-2)).sum(axis=-1) / n**2
        return np.where(chance < 1, (kept_of(cells) - chance) / (1 - chance), np.nan)


def transition(
    points: pd.DataFrame, smaller: str, larger: str, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> Transition:
    """From points of one m, k and mode (`size_points`), over rows both models have. Raises InputError for none."""
    both = _levels(points, smaller, larger)
    units, cell = both["group"].to_numpy(), N_LEVELS * both["smaller"].to_numpy() + both["larger"].to_numpy()
    ones = np.eye(N_LEVELS**2)[cell]
    n, n_units = len(both), len(np.unique(units))
    return Transition(
        smaller,
        larger,
        ones.sum(axis=0).astype(np.int64).reshape(N_LEVELS, N_LEVELS),
        share_of(both["smaller"].to_numpy() == both["larger"].to_numpy(), units),
        estimate(ones, units, kappa_of, n, n_units, n_resamples, seed),
    )


def transitions(
    points: pd.DataFrame, models: Sequence[str], n_resamples: int = N_RESAMPLES, seed: int = 0
) -> list[Transition]:
    """Each model to the next one, in the order given."""
    return [transition(points, a, b, n_resamples, seed) for a, b in itertools.pairwise(models)]


def rows_of_cell(points: pd.DataFrame, smaller: str, larger: str, level: int, larger_level: int) -> np.ndarray:
    """(c,) row numbers of one cell of the matrix, ascending."""
    both = _levels(points, smaller, larger)
    return both.index[(both["smaller"] == level) & (both["larger"] == larger_level)].to_numpy(np.int64)


def memorized_only_by(points: pd.DataFrame, this: str, other: str) -> np.ndarray:
    """(r,) row numbers with M = 1 under `this` and not under `other`, ascending."""
    one, two = _of(points, this), _of(points, other)
    is_full = {name: each.index[each["n_hits"] == each["m"]] for name, each in (("this", one), ("other", two))}
    return np.sort(is_full["this"].intersection(two.index).difference(is_full["other"]).to_numpy(np.int64))


def _of(points: pd.DataFrame, model: str) -> pd.DataFrame:
    """The lines of one model by row. Raises InputError where there are none, or several a row."""
    found = points[points["model"] == model].set_index("row")
    if found.empty:
        raise InputError(f"the sweep has no rows of {model}; it has {', '.join(points['model'].unique())}")
    if not found.index.is_unique:
        raise InputError(f"{model} was asked about row {found.index[found.index.duplicated()][0]} in several ways")
    return found


def _levels(points: pd.DataFrame, smaller: str, larger: str) -> pd.DataFrame:
    """group and both levels of the rows both models have, by row. Raises InputError where there are none."""
    one, two = (_of(points, model) for model in (smaller, larger))
    both = one[["group"]].assign(smaller=one["level"]).join(two["level"].rename("larger"), how="inner").sort_index()
    if both.empty:
        raise InputError(f"{smaller} and {larger} have no rows in common")
    return both
