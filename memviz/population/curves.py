"""Scores of a population against model size, continuation size, context size, exposures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.measures.score import LEVELS, level_of
from memviz.population.intervals import (
    N_RESAMPLES,
    Estimate,
    design_effect,
    design_units,
    drawn_parts,
    estimate,
    percentiles,
    resampled_sums,
    wilson,
)
from memviz.sweeps.results import Sweep
from memviz.sweeps.sums import ABOUT, STRATUM_OF
from memviz.sweeps.task import SLIDING

Quantity = Literal["mean", "full"]
"""Mean score M, or the share of sequences with M = 1."""
_KEY = ["model", "row", "group", "mode", "k"]
COUNT = "count"
_MATCHES = re.compile(r"n_matches_(\d+)")


# Models


def parameters_of(sweep: Sweep) -> dict[str, int]:
    """Model -> parameters, ascending by parameters, then by training step; of several seeds the first comes last."""
    models = sorted(sweep.manifest["models"], key=lambda its: (its["n_parameters"], its["step"] or 0, -its["seed"]))
    return {about["name"]: int(about["n_parameters"]) for about in models}


def labels_of(sweep: Sweep) -> dict[str, str]:
    """Model -> short label to draw: its size, with step and seed where the sweep has several of a size."""
    models = sweep.manifest["models"]
    sizes = Counter(about["size"] or about["name"] for about in models)
    found = {}
    for about in models:
        size, name = about["size"] or about["name"], about["name"]
        parts = [about["size"] or name]
        if sizes[size] > 1:
            same = [each for each in models if each["size"] == about["size"]]
            parts += [f"step {about['step']:,}"] if len({each["step"] for each in same}) > 1 and about["step"] else []
            parts += [f"seed {about['seed']}"] if len({each["seed"] for each in same}) > 1 else []
        found[name] = ", ".join(parts)
    return found if len(set(found.values())) == len(found) else {name: name for name in found}


def known_columns(sweep: Sweep) -> list[str]:
    """Columns of its table of sequences."""
    return list(sweep.manifest["tables"]["sequences"]["columns"])


# Points: one line a sequence


def size_points(sequences: pd.DataFrame, m: int = 32, k: int = 32, mode: str = SLIDING) -> pd.DataFrame:
    """One line a model and row, only rows that every model was asked: the same rows throughout.

    Columns: model, row, group (the unit, as `design_units` gives it), mode, k, m, n_hits, score (0 to 1),
    level (0 to 4), and those of `ABOUT`.
    Raises InputError where the sweep has no such m, k or mode.
    """
    chosen = sequences[_is(sequences, mode) & (sequences["k"] == k)]
    if chosen.empty:
        known = _listed(sequences.loc[_is(sequences, mode), "k"])
        raise InputError(f"the sweep asked nothing at k = {k}, {mode}; it has k = {known}")
    points = _points(chosen, m)
    n_models = points["model"].nunique()
    return points[points.groupby("row")["model"].transform("nunique") == n_models].reset_index(drop=True)


def continuation_points(sequences: pd.DataFrame) -> pd.DataFrame:
    """The same columns, one line a model, row and m, of rows on the continuation curve. Raises InputError for none."""
    chosen = sequences[sequences["on_continuation_curve"].astype(bool)]
    lengths = [m for m in _lengths(chosen) if chosen[f"n_matches_{m}"].notna().all()]
    if chosen.empty or not lengths:
        raise InputError("the sweep has no continuation curve: sweep with --continuations")
    return pd.concat([_points(chosen, m) for m in lengths], ignore_index=True)


def context_points(sequences: pd.DataFrame, mode: str = SLIDING, m: int = 32) -> pd.DataFrame:
    """The same columns, one line a model, row and k, of rows on that mode's context curve. Raises InputError."""
    chosen = sequences[sequences["on_context_curve"].astype(bool) & _is(sequences, mode)]
    if chosen.empty:
        raise InputError(f"the sweep has no context curve of mode {mode}: sweep with --contexts and --context-mode")
    return _points(chosen, m)


def _points(chosen: pd.DataFrame, m: int) -> pd.DataFrame:
    name = f"n_matches_{m}"
    if name not in chosen or chosen[name].isna().all():
        raise InputError(f"the sweep has no scores at m = {m} here; it has m = {_listed(_lengths(chosen))}")
    found = chosen.loc[chosen[name].notna(), [*_KEY, name, *ABOUT]].rename(columns={name: "n_hits"})
    n_hits = found["n_hits"].to_numpy(np.int64)
    found["group"] = design_units(found["group"].to_numpy(), *(found[name].to_numpy() for name in STRATUM_OF))
    return found.assign(m=m, n_hits=n_hits, score=n_hits / m, level=level_of(n_hits, m)).reset_index(drop=True)


def _lengths(sequences: pd.DataFrame) -> list[int]:
    return sorted(int(found[1]) for name in sequences.columns if (found := _MATCHES.fullmatch(name)))


def _is(sequences: pd.DataFrame, mode: str) -> pd.Series:
    return sequences["mode"] == mode


def _listed(values: pd.Series | Sequence[int]) -> str:
    return ", ".join(map(str, sorted(set(values)))) or "none"


# Lines: one a point of a figure


def summary(
    points: pd.DataFrame,
    keys: Sequence[str],
    weights: pd.Series | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """One line for each value of `keys` (columns of points: model, m, k, bucket, domain, ...), ascending.

    Columns: keys, n (lines), n_units, mean, mean_low, mean_high, n_full, full, full_low, full_high (share with M = 1),
    and per level share_very_low ... share_very_high with _low and _high. Shares, means: 0 to 1. `weights` by row.
    """
    points, weight = weighted(points, weights)
    count = counts_of(points)
    known = points[list(keys)].notna().all(axis=1).to_numpy()
    points, count, weight = points[known], count[known], (weight * count)[known]
    if points.empty:
        return pd.DataFrame(columns=[*keys, *_columns()])
    lines = points.groupby(list(keys), sort=True)
    line = lines.ngroup().to_numpy()
    n_lines = int(line.max()) + 1
    unit, place = np.unique(points["group"].to_numpy(), return_inverse=True)
    of_unit = np.zeros((len(unit), 2 * n_lines))  # what each unit adds to the numerator and denominator of each line
    np.add.at(of_unit, (place, line), weight * points["score"].to_numpy())
    np.add.at(of_unit, (place, n_lines + line), weight)
    pooled = COUNT in points
    sums = drawn_parts(of_unit, unit, seed)[1:] if pooled else resampled_sums(of_unit, unit, n_resamples, seed)
    n_units = np.bincount(line, points["n_units"]) if pooled else lines["group"].nunique().to_numpy()
    total, in_unit = of_unit[:, n_lines:].sum(axis=0), of_unit[:, n_lines:]
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = percentiles(sums[:, :n_lines] / sums[:, n_lines:])
        # Kish: n where all units weigh the same
        effective = n_units.astype(float) if pooled else total**2 / np.einsum("ul,ul->l", in_unit, in_unit)
        mean = of_unit[:, :n_lines].sum(axis=0) / total
    full = (points["n_hits"] == points["m"]).to_numpy()
    indices = [np.flatnonzero(line == place) for place in range(n_lines)]
    columns: dict[str, Any] = {"n": np.bincount(line, count).astype(np.int64), "n_units": n_units.astype(np.int64)}
    columns |= {"mean": mean, "mean_low": low, "mean_high": high}
    columns["n_full"] = np.bincount(line, full * count, n_lines).astype(np.int64)
    shown = {"full": full, **{name: points["level"].to_numpy() == i for i, name in enumerate(_shares())}}
    for name, member in shown.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.minimum(np.bincount(line, weight * member, n_lines) / total, 1)
        effect = [design_effect(member[here], points["group"].to_numpy()[here], count[here]) for here in indices]
        ends = wilson(share, effective / np.array(effect))
        columns |= dict(zip((name, f"{name}_low", f"{name}_high"), (share, *ends), strict=True))
    names = lines.size().reset_index()[list(keys)]
    return pd.concat([names, pd.DataFrame(columns)], axis=1)


def _shares() -> list[str]:
    return [f"share_{name.replace(' ', '_')}" for name in LEVELS]


def _columns() -> list[str]:
    ends = [name + end for name in ("mean", "full", *_shares()) for end in ("", "_low", "_high")]
    return ["n", "n_units", "n_full", *ends]


def counts_of(points: pd.DataFrame) -> np.ndarray:
    """(n,) rows that each line stands for: one, but of points that were put together (`population.pooled`)."""
    return points[COUNT].to_numpy(np.float64) if COUNT in points else np.ones(len(points))


def weighted(points: pd.DataFrame, weights: pd.Series | None) -> tuple[pd.DataFrame, np.ndarray]:
    """The points that weigh something, and what they weigh. Raises InputError for rows without a weight."""
    if weights is None:
        return points, np.ones(len(points))
    weight = points["row"].map(weights).to_numpy(np.float64)
    if np.isnan(weight).any():
        raise InputError(f"row {points['row'].iloc[int(np.isnan(weight).argmax())]} has no weight: weight every row")
    return points[weight > 0], weight[weight > 0]


def difference(
    points: pd.DataFrame,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    quantity: Quantity = "mean",
    weights: pd.Series | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Quantity over the lines where column = value for all of `a`, minus the same for `b`; paired by row.

    Example: difference(points, {"m": 96}, {"m": 16}). Raises InputError where either side is empty.
    """
    points, weight = weighted(points, weights)
    value = points["score"] if quantity == "mean" else points["n_hits"] == points["m"]
    columns, n, n_units = [], [], []
    for side in (a, b):
        chosen = np.logical_and.reduce([(points[name] == wanted).to_numpy(bool) for name, wanted in side.items()])
        if not chosen.any():
            raise InputError(f"no row has {', '.join(f'{name} = {wanted}' for name, wanted in side.items())}")
        columns += [chosen * weight * value.to_numpy(np.float64), chosen * weight]
        n.append(int(points["row"][chosen].nunique()))
        n_units.append(int(points["group"][chosen].nunique()))

    def statistic(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]

    units = points["group"].to_numpy()
    return estimate(np.stack(columns, axis=1), units, statistic, min(n), min(n_units), n_resamples, seed)
