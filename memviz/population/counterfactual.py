"""The same rows under weights that had read them and under weights that had not yet (measures.md, rule 1).

What makes a row's tokens easy is the same on both sides. What differs besides the reading of these rows is the training
in between, which rows that neither has read show, and that the later weights' own hits choose a group: those of these
rows that the same hits choose show what that does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from memviz.corpus.known import seen_until
from memviz.demo.stream import TrainingData
from memviz.errors import InputError
from memviz.population.curves import size_points
from memviz.population.intervals import N_RESAMPLES, drawn_sums, percentiles
from memviz.sweeps.results import Sweep
from memviz.sweeps.task import SLIDING

LEAST_ROWS = 20
QUANTITIES = {
    "score": "mean score M",
    "full": "share with M = 1",
    "jump": "entropy, index k minus k − 1 (nats)",
}
KINDS = {
    "read": "rows read in between",
    "memorized": "of them with M = 1",
    "unmemorized": "of them with M = 0",
    "neither": "rows that neither had read",
    "neither_unmemorized": "of them with M = 0",
}


def first_steps(data: TrainingData) -> pd.Series:
    """Training step at which each row of the corpus was first read, by row number; held-out rows are not in it."""
    return data.exposures().groupby("row")["step"].min()


def unread(sweep: Sweep, model: str, first: pd.Series) -> np.ndarray:
    """(u,) numbers of the sweep's rows that a model's weights had not read, by `first_steps`, ascending."""
    about = _about(sweep, model)
    until = seen_until(about["step"], about["n_steps"])
    rows = np.sort(sweep.rows["row"].to_numpy(np.int64))
    step = first.reindex(rows).to_numpy(np.float64)
    return rows[np.isnan(step) | (step > (np.inf if until is None else until))]


def read_between(sweep: Sweep, model: str, before: str, first: pd.Series) -> np.ndarray:
    """(r,) numbers of the sweep's rows that `model` had read and `before` had not, ascending."""
    return np.setdiff1d(unread(sweep, before, first), unread(sweep, model, first))


def earlier(sweep: Sweep, model: str, first: pd.Series) -> list[str]:
    """Models of the same family, size and seed that had not read rows which `model` had: the latest first.

    Of the sweep and of those beside it, where at least `LEAST_ROWS` rows are such; none without checkpoints.
    """
    mine, then = _about(sweep, model), {}
    for about in (about for each in (sweep, *sweep.beside) for about in each.manifest["models"]):
        same = all(about[name] == mine[name] for name in ("family", "size", "seed")) and about["name"] != model
        if same and len(read_between(sweep, model, about["name"], first)) >= LEAST_ROWS:
            then[about["name"]] = about["step"]
    return sorted(then, key=lambda name: -then[name])


def paired_points(
    sweep: Sweep, sequences: pd.DataFrame, model: str, before: str, first: pd.Series, m: int = 32, k: int = 32
) -> pd.DataFrame:
    """One line a row of `sequences` under both: row, group (unit), kind ("read", "neither"), n_hits of `model`.

    And score, full, jump (entropy at index k less that at k - 1) of `model`, the same as *_before of `before`.
    Rows that `before` had read are left out. `sequences` are of the sweeps that hold the two. Raises InputError where
    no row is left.
    """
    both = sequences[sequences["model"].isin((model, before))]
    points = size_points(both, m, k).set_index(["model", "row"])
    jumps = both[(both["mode"] == SLIDING) & (both["k"] == k)].set_index(["model", "row"])
    points = points.assign(jump=jumps["entropy_at"] - jumps["entropy_before"], full=points["n_hits"] == points["m"])
    of = {name: points.loc[name] for name in (model, before) if name in points.index.get_level_values(0)}
    fresh = unread(sweep, before, first)
    if len(of) < 2 or not (kept := of[model].index.isin(fresh)).any():
        raise InputError(
            f"no row here was read between {before} and {model}: choose other rows or an earlier checkpoint"
        )
    now = of[model][kept]
    then = of[before].loc[now.index]
    kind = np.where(now.index.isin(unread(sweep, model, first)), "neither", "read")
    found = now[["group", "n_hits", *QUANTITIES]].assign(kind=kind, m=m)
    return found.assign(**{f"{name}_before": then[name] for name in QUANTITIES}).reset_index()


def paired_differences(points: pd.DataFrame, n_resamples: int = N_RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """One line a kind of rows (`KINDS`, as far as there are any) and quantity: `model` less `before` on the same rows.

    Columns: kind, quantity, n, n_units, now, before, difference, low, high (percentile bootstrap over units, paired),
    beyond, beyond_low, beyond_high (that less the same of rows that neither had read; NaN where there are none).
    M = 1 and M = 0 are by the hits of `model`: chosen rows, the same ones on both sides.
    """
    read = (points["kind"] == "read").to_numpy(bool)
    n_hits, units = points["n_hits"].to_numpy(), points["group"].to_numpy()
    chosen = {"read": read, "memorized": read & (n_hits == points["m"]), "unmemorized": read & (n_hits == 0)}
    chosen |= {"neither": ~read, "neither_unmemorized": ~read & (n_hits == 0)}
    lines: list[dict[str, Any]] = []
    for kind, mask in chosen.items():
        for quantity in QUANTITIES:
            now, then = (points[name].to_numpy(np.float64) for name in (quantity, f"{quantity}_before"))
            known = ~np.isnan(now) & ~np.isnan(then)
            mine, neither = mask & known, ~read & known
            if not mine.any():
                continue
            apart = np.where(known, now - then, 0)
            drawn = drawn_sums(
                np.stack([mine * apart, mine, neither * apart, neither], axis=1), units, n_resamples, seed
            )
            with np.errstate(invalid="ignore"):
                difference = drawn[:, 0] / drawn[:, 1]
                beyond = (
                    difference - drawn[:, 2] / drawn[:, 3]
                    if kind in ("read", "memorized", "unmemorized")
                    else np.full_like(difference, np.nan)
                )
            line = {"kind": kind, "quantity": quantity, "n": int(mine.sum()), "n_units": len(np.unique(units[mine]))}
            line |= {"now": now[mine].mean(), "before": then[mine].mean(), "difference": difference[0]}
            ends = dict(zip(("low", "high", "beyond_low", "beyond_high"), _ends(difference, beyond), strict=True))
            lines.append(line | ends | {"beyond": beyond[0]})
    return pd.DataFrame(lines)


def _ends(*drawn: np.ndarray) -> list[float]:
    """Both ends of the interval of each."""
    return [float(end) for each in drawn for end in percentiles(each[1:])]


def _about(sweep: Sweep, model: str) -> dict[str, Any]:
    found = next((each for each in sweep.holding(model).manifest["models"] if each["name"] == model), None)
    if found is None:
        raise InputError(f"{sweep.folder} has no model {model!r}: name one of its own")
    return found
