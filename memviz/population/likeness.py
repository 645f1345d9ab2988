"""Agreement beside the score M: what a token put in or left out does not break."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.measures.similarity import APPROXIMATE
from memviz.population.curves import weighted
from memviz.population.intervals import N_RESAMPLES, design_units, drawn_sums, percentiles
from memviz.sweeps.sums import STRATUM_OF
from memviz.sweeps.task import SLIDING

LIKENESS = {"score": "score M", "run": "longest common run / m", "edit": "edit similarity", "bleu": "BLEU"}
SHARES = {"full": "M = 1", "approximate": f"BLEU > {APPROXIMATE}"}
"""Shares of rows: memorized position by position, and approximately."""


def asked_at(sequences: pd.DataFrame, names: tuple[str, ...], m: int, k: int, mode: str = SLIDING) -> pd.DataFrame:
    """Lines of one condition where the columns `names`, each with its _m, are known, of rows every model was asked.

    Their `group` is the unit, as `design_units` gives it. Raises InputError where a sweep is older than a column.
    """
    columns = [f"{name}_{m}" for name in names]
    missing = [name for name in columns if name not in sequences]
    if missing:
        raise InputError(
            f"this sweep was made before memviz kept {missing[0]}: run its command again with the same --out, which "
            "takes the batches that the store still has"
        )
    found = sequences[(sequences["mode"] == mode) & (sequences["k"] == k)]
    found = found[found[columns].notna().all(axis=1)]
    found = found[found.groupby("row")["model"].transform("nunique") == found["model"].nunique()]
    if found.empty:
        raise InputError(f"the sweep kept no {columns[0]} at k = {k}, {mode}: it has them at its own sizes")
    units = design_units(found["group"].to_numpy(), *(found[name].to_numpy() for name in STRATUM_OF))
    return found.assign(group=units).reset_index(drop=True)


def likeness_points(sequences: pd.DataFrame, m: int = 32, k: int = 32, mode: str = SLIDING) -> pd.DataFrame:
    """One line a model and row: model, row, group and, 0 to 1, the columns of `LIKENESS` and `SHARES`."""
    found = asked_at(sequences, ("n_matches", "common_run", "edit_distance"), m, k, mode)
    return found[["model", "row", "group"]].assign(**values_of(found, m))


def values_of(found: pd.DataFrame, m: int) -> dict[str, np.ndarray]:
    """(n,) 0 to 1 each: the columns of `LIKENESS` and `SHARES` of n lines whose columns at m are known."""
    bleu = found[f"bleu_{m}"].to_numpy(np.float64, na_value=np.nan)
    n_hits = found[f"n_matches_{m}"].to_numpy(np.float64)
    return {
        "score": n_hits / m,
        "run": found[f"common_run_{m}"].to_numpy(np.float64) / m,
        "edit": 1 - found[f"edit_distance_{m}"].to_numpy(np.float64) / m,
        "bleu": bleu,
        "full": (n_hits == m).astype(np.float64),
        "approximate": np.where(np.isnan(bleu), np.nan, bleu > APPROXIMATE),
    }


def likeness(
    points: pd.DataFrame, weights: pd.Series | None = None, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One line a model and measure: model, measure, n, n_units, mean, mean_low, mean_high (0 to 1)."""
    points, weight = weighted(points, weights)
    points, lines = points.assign(weight=weight), []
    names = [*LIKENESS, *SHARES]
    for model, mine in points.groupby("model", sort=False):
        w = mine["weight"].to_numpy()[:, None]
        values, units = mine[names].to_numpy(np.float64), mine["group"].to_numpy()
        drawn = drawn_sums(np.concatenate([values * w, w], axis=1), units, n_resamples, seed)
        means = drawn[:, :-1] / drawn[:, -1:]
        low, high = percentiles(means[1:])
        n_units = len(np.unique(units))
        for i, name in enumerate(names):
            about = {"model": model, "measure": name, "n": len(mine), "n_units": n_units}
            lines.append({**about, "mean": means[0, i], "mean_low": low[i], "mean_high": high[i]})
    return pd.DataFrame(lines)
