"""Memorization against model size on the logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from memviz.population.curves import COUNT, counts_of, weighted
from memviz.population.intervals import N_RESAMPLES, drawn_parts, drawn_sums, percentiles

Kind = Literal["linear", "power"]
FitQuantity = Literal["mean", "full", "n_full"]


@dataclass(frozen=True)
class SizeFit:
    """linear: value = intercept + slope * ln(parameters); power: ln(value) = intercept + slope * ln(parameters).

    Least squares over models; for `n_full` the power law is fitted to the number plus one half.
    """

    kind: Kind
    quantity: FitQuantity
    slope: float
    low: float
    high: float
    """95 % over resampled rows: the models are taken as given."""
    intercept: float
    residual: float
    """Root mean square of what is left, in the unit fitted (ln for the power law); NaN below three models."""
    n_models: int
    n_rows: int
    n_units: int

    def at(self, n_parameters: np.ndarray) -> np.ndarray:
        """The fitted value at each number of parameters."""
        fitted = self.intercept + self.slope * np.log(np.asarray(n_parameters, np.float64))
        if self.kind == "linear":
            return fitted
        return np.exp(fitted) - (HALF if self.quantity == "n_full" else 0)


HALF = 0.5
"""Added to a number before its logarithm is taken, so that none is no obstacle."""


def slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(...,) least-squares slopes of (..., s) y against (s,) x."""
    centred = x - x.mean()
    return (y * centred).sum(axis=-1) / (centred**2).sum()


def size_fits(
    points: pd.DataFrame,
    n_parameters: Mapping[str, int],
    weights: pd.Series | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[SizeFit]:
    """Linear and power-law fits of mean M, of the share and of the number with M = 1, from `size_points`.

    Empty below two models of different size. A power law of a share that is 0 somewhere is left out.
    """
    points, weight = weighted(points, weights)
    count = counts_of(points)
    weight = weight * count
    code, names = pd.factorize(points["model"])  # strings of arrow are compared one by one
    models = [model for model in n_parameters if model in names]
    x = np.log([n_parameters[model] for model in models])
    if len(set(x)) < 2:
        return []
    is_model = [code == names.get_loc(model) for model in models]
    full = (points["n_hits"] == points["m"]).to_numpy()
    columns = [each * weight * points["score"].to_numpy() for each in is_model]
    columns += [each * weight * full for each in is_model] + [each * full * count for each in is_model]
    columns += [each * weight for each in is_model]
    values, units = np.stack(columns, axis=1).astype(np.float64), points["group"].to_numpy()
    pooled = COUNT in points
    drawn = drawn_parts(values, units, seed) if pooled else drawn_sums(values, units, n_resamples, seed)
    mine = points[is_model[0]]
    n_rows = int(count[is_model[0]].sum()) if pooled else points["row"].nunique()
    n_units = int(mine["n_units"].sum()) if pooled else points["group"].nunique()
    score, share, number, total = np.split(drawn, 4, axis=1)  # the first line is the sample itself
    found = []
    curves: dict[FitQuantity, np.ndarray] = {"mean": score / total, "full": share / total, "n_full": number}
    for quantity, curve in curves.items():
        for kind in ("linear", "power"):
            with np.errstate(divide="ignore"):
                y = curve if kind == "linear" else np.log(curve + HALF if quantity == "n_full" else curve)
            if not np.isfinite(y[0]).all():
                continue
            slope = slopes(x, np.where(np.isfinite(y).all(axis=1, keepdims=True), y, np.nan))
            low, high = percentiles(slope[1:])
            intercept = float(y[0].mean() - slope[0] * x.mean())
            left = y[0] - intercept - slope[0] * x
            residual = float(np.sqrt(np.mean(left**2))) if len(models) > 2 else float("nan")
            numbers = (float(slope[0]), float(low), float(high), intercept, residual)
            found.append(SizeFit(kind, quantity, *numbers, len(models), n_rows, n_units))
    return found
