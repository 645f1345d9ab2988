"""A sweep's rows under one model, mode and k as arrays, index by index; the groups, and what makes a hit easy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from memviz.errors import InputError
from memviz.population.intervals import design_units
from memviz.population.ngrams import Frequencies
from memviz.sweeps.results import Sweep
from memviz.sweeps.sums import ENTROPY_BIN, STRATUM_OF

GROUPS = {"memorized": "M = 1", "half": "M = 1/2", "unmemorized": "M = 0"}
"""Groups of the study, whose curves are drawn."""
MEDIUM = "medium"
TABLE_GROUPS = {**GROUPS, MEDIUM: "0.4 ≤ M < 0.6"}
"""Exactly half is rare: tables also have the level around it."""
HIT_SHARE = {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0}
QUANTITIES = {
    "entropy_free_running": "entropy, free-running (nats)",
    "entropy_teacher_forced": "entropy, teacher-forced (nats)",
    **{f"frequency_{n}": f"{n}-gram frequency, true tokens (per token of the stream)" for n in (1, 2, 3)},
    **{f"frequency_{n}_generated": f"{n}-gram frequency, generated (per token of the stream)" for n in (1, 2, 3)},
}


@dataclass(frozen=True)
class Aligned:
    """n rows under one model, mode and k, index by index: context 0 to k - 1, then the M decoded positions."""

    model: str
    mode: str
    k: int
    m: int
    """Positions that decide the group; at most M."""
    rows: np.ndarray
    """(n,) int64 row numbers, ascending."""
    units: np.ndarray
    """(n,) int64, as `design_units` gives them."""
    match: np.ndarray
    """(n, M) bool."""
    values: Mapping[str, np.ndarray]
    """Key of `QUANTITIES` -> (n, k + M) float64, NaN where undefined."""
    unseen: Aligned | None = None
    """Rows that these weights have read at most once, from which the null of M = 0 takes its hit rates."""

    def of(self, quantity: str) -> np.ndarray:
        """(n, k + M) values of a quantity. Raises InputError where it was not brought along."""
        if quantity not in self.values:
            raise InputError(f"{quantity} is not known of these rows; known are {', '.join(self.values)}")
        return self.values[quantity]

    def where(self, keep: np.ndarray) -> Aligned:
        """The rows of an (n,) bool mask."""
        values = {name: each[keep] for name, each in self.values.items()}
        return replace(self, rows=self.rows[keep], units=self.units[keep], match=self.match[keep], values=values)


def align(
    sweep: Sweep,
    model: str,
    k: int = 32,
    mode: str = "sliding",
    m: int = 32,
    frequencies: Frequencies | None = None,
    generated: Frequencies | None = None,
    entropy: bool = True,
) -> Aligned:
    """Rows of a sweep that have m positions after k, with entropies and, where given, frequencies of the true tokens
    and of this condition's generated ones.

    `entropy` needs a sweep with --positions; without it, or where the positions of this condition were not kept, the
    free-running entropy is known at indices k - 1 and k only, and has no null. Raises InputError.
    """
    names = ["row", "group", "start", "m", "matches", "entropy_before", "entropy_at"]
    names += STRATUM_OF
    condition = [("model", "==", model), ("mode", "==", mode), ("k", "==", k)]
    found = sweep.read("sequences", names, condition)
    found = found[found["m"] >= m].sort_values("row")
    if found.empty:
        raise InputError(f"the sweep has no rows of {model} at k = {k}, {mode}, with m = {m} or more")
    rows, start, n_decoded = found["row"].to_numpy(np.int64), int(found["start"].iloc[0]), int(found["m"].min())
    match = np.stack([each[:n_decoded] for each in found["matches"]]).astype(bool)
    values = _entropies(sweep, condition, rows, k + n_decoded) if entropy else None
    values = values or _edges(found, k, k + n_decoded)
    for counted, first, name in ((frequencies, start, "frequency_{}"), (generated, 0, "frequency_{}_generated")):
        if counted is None:
            continue
        if counted.generated != (None if counted is frequencies else (model, mode, k)):
            raise InputError(f"these frequencies are not of {model} at k = {k}, {mode}: count them anew")
        for n in counted.orders:
            values[name.format(n)] = counted.of(n, rows)[:, first : first + k + n_decoded]
    units = design_units(found["group"].to_numpy(), *(found[name].to_numpy() for name in STRATUM_OF))
    every = Aligned(model, mode, k, m, rows, units, match, values)
    unseen = found["bucket"].le(1).fillna(False).to_numpy(bool)
    return replace(every, unseen=every.where(unseen)) if unseen.any() else every


def _entropies(sweep: Sweep, condition: list, rows: np.ndarray, p: int) -> dict[str, np.ndarray] | None:
    """Both entropies by index; None where the table of positions has no line of the condition."""
    names = {"entropy_free_running": "free_running_entropy", "entropy_teacher_forced": "teacher_forced_entropy"}
    found = sweep.read("positions", ["row", "index", *names.values()], condition)
    if found.empty:
        return None
    place = np.minimum(np.searchsorted(rows, found["row"].to_numpy()), len(rows) - 1)
    index = found["index"].to_numpy()
    kept = (rows[place] == found["row"].to_numpy()) & (index < p)
    values = {}
    for name, column in names.items():
        values[name] = np.full((len(rows), p), np.nan)
        values[name][place[kept], index[kept]] = found[column].to_numpy(np.float64, na_value=np.nan)[kept]
    free, forced = values["entropy_free_running"], values["entropy_teacher_forced"]
    free[np.isnan(free)] = forced[np.isnan(free)]  # a packed sweep does not say the same twice
    return values


def _edges(found: object, k: int, p: int) -> dict[str, np.ndarray]:
    values = np.full((len(found), p), np.nan)  # type: ignore[arg-type]
    for column, index in (("entropy_before", k - 1), ("entropy_at", k)):
        values[:, index] = found[column].to_numpy(np.float64, na_value=np.nan)  # type: ignore[index]
    return {"entropy_free_running": values}


def members(aligned: Aligned, group: str, start: int = 0) -> np.ndarray:
    """(n,) bool: rows of a group of `TABLE_GROUPS`, chosen on positions start to start + m - 1. Raises InputError."""
    if group not in TABLE_GROUPS:
        raise InputError(f"group {group!r} is unknown: use {', '.join(TABLE_GROUPS)}")
    window = aligned.match[:, start : start + aligned.m]
    if window.shape[1] < aligned.m:
        raise InputError(
            f"only {aligned.match.shape[1]} positions were decoded, {start + aligned.m} are needed: sweep a larger m"
        )
    n_hits = window.sum(axis=1)
    if group == MEDIUM:
        return (5 * n_hits >= 2 * aligned.m) & (5 * n_hits < 3 * aligned.m)
    return 2 * n_hits == round(2 * HIT_SHARE[group] * aligned.m)


def bins_of(aligned: Aligned, quantity: str, start: int) -> np.ndarray | None:
    """(n, m) whole numbers: bin of what makes a hit easy at positions start to start + m - 1; None where unknown.

    Frequencies: whole powers of two, and one bin, -inf, for none. Entropies: quarters of a nat of the teacher-forced
    one. A number is the same bin whatever the rows.
    """
    first = aligned.k + start
    if quantity.startswith("entropy"):
        forced = aligned.values.get("entropy_teacher_forced")
        if forced is None:
            return None
        return np.floor(forced[:, first : first + aligned.m] / ENTROPY_BIN)
    value = aligned.of(quantity)[:, first : first + aligned.m]
    with np.errstate(divide="ignore"):
        return np.floor(np.log2(value))
