"""Whether statistics of membership tell training rows from others, where it is known which are which.

measures.md, rule 12: AUROC and true positives at 1 % false ones, by model and by exposures, over units of the design.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.population.intervals import percentiles, resampled_weights
from memviz.population.likeness import asked_at
from memviz.sweeps.task import SLIDING

SCORES = {"perplexity": "Perplexity", "zlib": "zlib", "min_k": "Min-20 %", "min_k_plus_plus": "Min-20 %++"}
"""Statistics of the m true tokens after the context; all are turned so that higher means likelier a member."""
KEPT = ("log_p", "zlib_bytes", "min_k", "min_k_plus_plus")
"""Columns of the sweep that they are made of, each with its _m."""
FALSE_POSITIVES = 0.01
EXPOSURES = "bucket"
"""The column whose 0 is held out, and whose other values are members."""
EVERY = "all"
N_RESAMPLES = 1000
MOST_POINTS = 201
"""Of a drawn ROC."""
_AT_ONCE = 2**22
"""Weights of one batch of resamples."""


def membership_points(
    sequences: pd.DataFrame,
    m: int = 32,
    k: int = 32,
    column: str = EXPOSURES,
    members: Sequence[str] = (),
    mode: str = SLIDING,
) -> pd.DataFrame:
    """One line a model and row of either class: model, row, group, member (bool), of (its value of `column`), `SCORES`.

    perplexity: mean log-probability, nats, minus the logarithm of perplexity; zlib: that by the text's zlib bytes;
    min_k, min_k_plus_plus as in the sweep; NaN throughout where the sweep is older than the column. Members: values
    of `column` that are `members`, without these every one above 0; others: held out, or what has another label.
    Raises InputError where a class is empty.
    """
    if column not in sequences:
        there = [name for name in map(str, sequences) if name == EXPOSURES or name.startswith("label_")]
        raise InputError(f"the sweep has no column {column!r} that tells members: it has {', '.join(there)}")
    found = asked_at(sequences, ("log_p",), m, k, mode)
    found = found[found[column].notna()]
    said = found[column].map(text_of)
    is_member = said.isin(members) if members else pd.to_numeric(found[column], errors="coerce") > 0
    other = said.eq("0") if column == EXPOSURES else ~is_member
    kept = (is_member | other).to_numpy(bool)
    found, said, is_member = found[kept], said[kept], is_member[kept]
    if is_member.all() or not is_member.any():
        lacking = "others" if len(found) and is_member.all() else "members"
        raise InputError(f"no row is of the class {lacking} by {column}: sweep both, or name other values")
    log_p = found[f"log_p_{m}"].to_numpy(np.float64) / m

    def known(name: str) -> np.ndarray:
        values = found.get(f"{name}_{m}")
        return np.full(len(found), np.nan) if values is None else values.to_numpy(np.float64, na_value=np.nan)

    scores = {"perplexity": log_p, "zlib": log_p / known("zlib_bytes")}
    scores |= {name: known(name) for name in ("min_k", "min_k_plus_plus")}
    about = found[["model", "row", "group"]].assign(member=is_member.to_numpy(bool), of=said.to_numpy())
    return about.assign(**scores).reset_index(drop=True)


def judged(
    points: pd.DataFrame, n_resamples: int = N_RESAMPLES, seed: int = 0, together: bool | None = None
) -> pd.DataFrame:
    """One line a model, score and class of members ("all", and each value where there are several).

    together: of all members alone, or of each value alone, which takes longer; both for None.

    Columns: model, score, members, n_members, n_others, n, n_units, auroc, tpr (share of members above the score that
    at most 1 % of others reach), each with _low and _high. Scores that the sweep does not have are left out.
    """
    values = sorted(points.loc[points["member"], "of"].unique(), key=_order)
    apart = values if len(values) > 1 and together is not True else []
    return pd.DataFrame(list(_lines(points, [*([] if together is False else [EVERY]), *apart], n_resamples, seed)))


def _lines(points: pd.DataFrame, values: Sequence[str], n_resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    for model, mine in points.groupby("model", sort=False):
        for value in values:
            some = mine if value == EVERY else mine[~mine["member"] | (mine["of"] == value)]
            member, units = some["member"].to_numpy(bool), some["group"].to_numpy()
            if not member.any():
                continue
            n = {"n_members": int(member.sum()), "n_others": int((~member).sum()), "n": len(some)}
            known = {score: some[score].to_numpy() for score in SCORES if some[score].notna().all()}
            drawn: dict[str, list[np.ndarray]] = {score: [] for score in known}
            for weights in _batches(units, n_resamples, seed):
                for score, level in known.items():
                    drawn[score].append(np.stack(_both(level, member, weights), axis=1))
            for score, parts in drawn.items():
                found = np.concatenate(parts)
                line = {"model": model, "score": score, "members": value, **n, "n_units": len(np.unique(units))}
                for i, name in enumerate(("auroc", "tpr")):
                    low, high = percentiles(found[1:, i])
                    line |= {name: found[0, i], f"{name}_low": float(low), f"{name}_high": float(high)}
                yield line


def _batches(units: np.ndarray, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(b, n) weights of n rows: the sample's own first, then resampled ones, as many at once as memory takes."""
    yield np.ones((1, len(units)))
    at_once = max(1, _AT_ONCE // len(units))
    for first in range(0, n_resamples, at_once):
        yield resampled_weights(units, min(at_once, n_resamples - first), seed + first)


def rates(score: np.ndarray, member: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(b, 1 + c) false and true positive rates as the threshold falls over c different scores of n rows, from 0 to 1.

    `weights` (b, n). NaN where a class weighs nothing.
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)  # equal scores pass together
    found = []
    for mask in (~member, member):
        passed = np.cumsum(weights[:, order] * mask[order], axis=1)[:, last]
        with np.errstate(invalid="ignore"):
            found.append(np.concatenate([np.zeros((len(weights), 1)), passed / passed[:, -1:]], axis=1))
    return found[0], found[1]


def _both(score: np.ndarray, member: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(b,) AUROC, ties counting half, and true positive rate at `FALSE_POSITIVES`, as `rates` would give them.

    Only the thresholds at which others pass, and those just before, decide either.
    """
    order = np.argsort(-score, kind="stable")
    last, is_member = np.flatnonzero(np.diff(score[order], append=np.nan) != 0), member[order]
    shares = []
    at = np.flatnonzero(np.diff(np.cumsum(~is_member)[last], prepend=0))
    for mask in (~is_member, is_member):
        passed = np.cumsum(np.take(weights, order[mask], axis=1), axis=1)
        above = np.concatenate([[0], np.cumsum(mask)[last]])
        with np.errstate(invalid="ignore"):
            ends = [np.where(n, np.take(passed, n - 1, axis=1), 0) / passed[:, -1:] for n in (above[at], above[at + 1])]
        shares.append(ends)
    (false_before, false), (true_before, true) = shares
    area = ((false - false_before) * (true + true_before) / 2).sum(axis=1)
    reached = [np.where(x <= FALSE_POSITIVES + 1e-12, y, 0).max(axis=1) for x, y in zip(*shares, strict=True)]
    return area, np.where(np.isnan(area), np.nan, np.maximum(*reached))


def roc(points: pd.DataFrame, model: str) -> pd.DataFrame:
    """score, false, true: the ROC of each score under one model, all members against all others."""
    mine, tables = points[points["model"] == model], []
    for score in SCORES:
        level = mine[score].to_numpy()
        if len(mine) and not np.isnan(level).any():
            false, true = (each[0] for each in rates(level, mine["member"].to_numpy(bool), np.ones((1, len(mine)))))
            way = np.concatenate([[0], (np.diff(false) + np.diff(true)).cumsum()])
            shown = np.unique(np.searchsorted(way, np.linspace(0, way[-1], MOST_POINTS)).clip(0, len(way) - 1))
            tables.append(pd.DataFrame({"score": score, "false": false[shown], "true": true[shown]}))
    return pd.concat(tables, ignore_index=True)


def text_of(value: object) -> str:
    """A value of a column as members are named by it: whole numbers without a point, whatever type holds them."""
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if whole else str(value)  # type: ignore[call-overload]


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
