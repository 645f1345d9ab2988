"""The boundary of a large sweep from the sums that were written with it: no row and no position is read.

Where rows are millions, what every statistic here needs of them is sums, by part of their units: `part_sums` then draws
what sums over resampled units would be. Numbers are those of the rows themselves, intervals are normal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.population.filters import Filters
from memviz.population.intervals import part_sums
from memviz.population.selection import kernel, moments_at, smoothed
from memviz.sweeps.results import Sweep
from memviz.sweeps.sums import BINNED, CLASSES, EDGE

ALL = "all"
ENTROPIES = ("entropy_free_running", "entropy_teacher_forced")
_CLASSES_OF = {ALL: CLASSES, "memorized": CLASSES[:1], "half": CLASSES[1:2], "unmemorized": CLASSES[3:4]}
_CLASSES_OF |= {"medium": CLASSES[1:3]}
_FOLDED = ("counts", "values", "squares", "bins", "jumps")


class Curves(NamedTuple):
    """What the curves of a quantity are made from, by group; of p indices, the sample itself before resampled ones."""

    known: np.ndarray
    """(p,) bool."""
    sums: dict[str, np.ndarray]
    """(b, p + 1): at each index, and rows."""
    n: dict[str, int]
    n_units: dict[str, int]
    variance: np.ndarray
    """(p,) of one row, over all of them."""
    expected: dict[str, np.ndarray]
    """Group -> `at_hits_and_misses` at the m positions; empty where bins are unknown."""


class Expected(NamedTuple):
    """What selection by hits makes of the values at the boundary, whatever the group."""

    found: dict[str, np.ndarray]
    """Group -> `at_hits_and_misses` of the value at index k and of the jump."""
    every: np.ndarray
    """(b, 1) mean of the value at index k over all rows."""


class Jumps(NamedTuple):
    """The boundary, or the edge moved, by group; the sample itself before resampled ones."""

    drawn: dict[str, tuple[np.ndarray, np.ndarray]]
    """(b,) each: mean jump, and that minus the mean jump of all rows."""
    n: dict[str, int]
    n_units: dict[str, int]
    """Also of all rows."""
    hits: dict[str, float]
    """Share of hits in the group."""
    n_unseen: int
    """Units that the hit rates of M = 0 come from; 0: those of all."""
    expected: Expected | None


@dataclass(frozen=True)
class Summed:
    """Rows of a sweep under one model, mode and k as sums over g parts of their units."""

    model: str
    mode: str
    k: int
    m: int
    stratum: np.ndarray
    """(g,)."""
    bucket: np.ndarray
    """(g,) planned exposures, NaN where unknown."""
    counts: np.ndarray
    """(e, g, classes, 3) rows, units and hits, chosen at the boundary and, for e = 2, with the edge moved."""
    values: np.ndarray
    """(e, g, classes, 2, p) sums of both entropies."""
    squares: np.ndarray
    """(g, 2, p)."""
    bins: np.ndarray
    """(g, m, c, `BINNED`) float32."""
    jumps: np.ndarray
    """(g, c, 4): the jump of each entropy, and its square."""
    unseen: np.ndarray | None
    """(g, m, c, 2) rows and hits of those that these weights have read at most once, whatever the filters."""
    n_unseen: int
    """Units of them."""

    @property
    def n_units(self) -> int:
        return int(self.counts[0, :, :, 1].sum())

    def part_sums(self, values: np.ndarray, seed: int) -> np.ndarray:
        """(b, s) drawn sums of (g, s) ones, the sample's own first."""
        drawn = part_sums(values, self.stratum, self.counts[0, :, :, 1].sum(axis=1), seed)
        return np.concatenate([values.sum(axis=0)[None], drawn])

    def of(self, quantity: str) -> int:
        """Place of an entropy. Raises InputError for other quantities."""
        if quantity not in ENTROPIES:
            raise InputError(f"{quantity} is not summed with a sweep; {' and '.join(ENTROPIES)} are")
        return ENTROPIES.index(quantity)

    def moved(self, quantity: str) -> dict[str, np.ndarray] | None:
        """Group -> (p,) means as chosen with the edge moved; None where too few positions were decoded for it."""
        if len(self.counts) < 2:
            return None
        place, found = self.of(quantity), {}
        for group in ("memorized", "half", "unmemorized"):
            n, value = _in(self.counts[1], group)[:, 0].sum(), _in(self.values[1], group)[:, place].sum(axis=0)
            if n:
                found[group] = value / n
        return found

    def curves(self, quantity: str, seed: int) -> Curves:
        """As `boundary_curves` needs them."""
        place = self.of(quantity)
        value, n = (
            {group: _in(each, group) for group in (ALL, "memorized", "half", "unmemorized")}
            for each in (self.values[0], self.counts[0])
        )
        known = ~np.isnan(value[ALL][:, place].sum(axis=0))
        shown = {group: np.where(known, each[:, place], 0) for group, each in value.items()}
        columns = [np.concatenate([shown[group], n[group][:, :1]], axis=1) for group in n]
        drawn = np.split(self.part_sums(np.concatenate(columns, axis=1), seed), len(n), axis=1)
        n_rows = n[ALL][:, 0].sum()
        squares = np.where(known, self.squares[:, place].sum(axis=0), 0)
        variance = squares / n_rows - (shown[ALL].sum(axis=0) / n_rows) ** 2
        binned = self.bins[..., [0, 1, 2 + 2 * place, 3 + 2 * place]]
        return Curves(
            known,
            dict(zip(n, drawn, strict=True)),
            {group: int(each[:, 0].sum()) for group, each in n.items()},
            {group: int(each[:, 1].sum()) for group, each in n.items()},
            variance,
            self._expected(binned, self.unseen, seed),
        )

    def _expected(self, binned: np.ndarray, unseen: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
        """Group -> `at_hits_and_misses`, from (g, t, c, 4) rows, hits, values, squares and (g, t, c, 2) unseen ones."""
        drawn = self.part_sums(binned.reshape(len(binned), -1), seed).reshape(-1, *binned.shape[1:])
        near = kernel(np.arange(binned.shape[2])).astype(drawn.dtype)
        powers = np.moveaxis(drawn[..., [0, 2, 3]], 3, 1)
        found = moments_at(powers, smoothed(drawn[..., 1], drawn[..., 0], near))
        groups = dict.fromkeys(("memorized", "half", "unmemorized", "medium"), found)
        if unseen is not None:
            rates = self.part_sums(unseen.reshape(len(unseen), -1), seed + 1).reshape(-1, *unseen.shape[1:])
            groups["unmemorized"] = moments_at(powers, smoothed(rates[..., 1], rates[..., 0], near))
        return groups


def _in(values: np.ndarray, group: str) -> np.ndarray:
    """(g, ...) sums over the classes of a group, of (g, classes, ...) ones."""
    return values[:, [CLASSES.index(name) for name in _CLASSES_OF[group]]].sum(axis=1)


def _total(several: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.sum(several, axis=0))


def jumps_of(several: Sequence[Summed], quantity: str, start: int, seed: int) -> Jumps | None:
    """The boundary of conditions of one model, pooled; None where too little was decoded, or nothing stands before."""
    e, place, one = int(start > 0), several[0].of(quantity), several[0]
    edges = [each.k + start for each in several]
    if any(len(each.counts) <= e for each in several):
        return None
    counts = _total([each.counts[e] for each in several])
    at, before = (
        _total([each.values[e][..., place, edge - back] for each, edge in zip(several, edges, strict=True)])
        for back in (0, 1)
    )
    if np.isnan(at + before).any():
        return None
    columns = {group: np.stack([_in(at - before, group), _in(counts, group)[:, 0]], axis=1) for group in _CLASSES_OF}
    sums = np.split(one.part_sums(np.concatenate(list(columns.values()), axis=1), seed), len(columns), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = {group: each[:, 0] / each[:, 1] for group, each in zip(columns, sums, strict=True)}
        total = {group: _in(counts, group).sum(axis=0) for group in _CLASSES_OF}
        hits = {group: float(each[2] / (each[0] * one.m)) for group, each in total.items()}
    n_units = {group: max(int(_in(each.counts[e], group)[:, 1].sum()) for each in several) for group in _CLASSES_OF}
    drawn = {group: (each, each - mean[ALL]) for group, each in mean.items()}
    n = {group: int(each[0]) for group, each in total.items()}
    expected = None if start else _boundary_null(several, place, seed)
    return Jumps(drawn, n, n_units, hits, max(each.n_unseen for each in several), expected)


def _boundary_null(several: Sequence[Summed], place: int, seed: int) -> Expected:
    """Both values are chosen by the hit at the boundary, so the one hit rate serves both."""
    one, first = several[0], _total([each.bins[:, 0] for each in several])
    jumps = _total([each.jumps[..., 2 * place : 2 * place + 2] for each in several])
    at = first[..., [0, 1, 2 + 2 * place, 3 + 2 * place]]
    both = np.stack([at, np.concatenate([at[..., :2], jumps], axis=-1)], axis=1)
    unseen = None
    if one.unseen is not None:
        seen = _total([each.unseen[:, :1] for each in several if each.unseen is not None])
        unseen = np.repeat(seen, 2, axis=1)
    drawn = one.part_sums(at[..., [0, 2]].sum(axis=1), seed)
    return Expected(one._expected(both, unseen, seed), drawn[:, 1:] / drawn[:, :1])


def has_sums(sweep: Sweep) -> bool:
    """Whether sums were written with a sweep: of many rows, by a memviz that knows them."""
    return "sums" in sweep.manifest["tables"]


def summed(sweep: Sweep, filters: Filters, model: str, k: int, m: int, mode: str = "sliding") -> Summed:
    """The sums of the rows that pass and have m positions after k. Raises InputError where there are none."""
    found = sweep.read("sums", filters=[("model", "==", model), ("mode", "==", mode), ("k", "==", k), ("m", ">=", m)])
    keep = filters.keep(found)
    if not keep.any():
        raise InputError(f"the sweep has no sums of {model} at k = {k}, {mode}, with m = {m} or more of these rows")
    by_part = found[["stratum", "part", "bucket"]].groupby(["stratum", "part"], sort=True)
    part, n_parts = by_part.ngroup().to_numpy(), by_part.ngroups
    parts = by_part.first()
    shortest = int(found["m"].min())
    whole = _arrays(found, k, m, shortest)
    arrays = {name: _folded(values, part, keep, n_parts) for name, values in whole.items()}
    few = found["bucket"].le(1).fillna(False).to_numpy(bool)
    unseen = _folded(whole["bins"][..., :2], part, few, n_parts) if few.any() else None
    stratum = parts.index.get_level_values("stratum").to_numpy()
    bucket = parts["bucket"].to_numpy(np.float64, na_value=np.nan)
    for name in ("counts", "values"):
        arrays[name] = np.moveaxis(arrays[name], 1, 0)
    n_unseen = int(whole["counts"][few, 0, :, 1].sum())
    bucket = np.where(stratum > 0, bucket, np.nan)
    return Summed(model, mode, k, m, stratum, bucket, unseen=unseen, n_unseen=n_unseen, **arrays)


def _arrays(found: pd.DataFrame, k: int, m: int, shortest: int) -> dict[str, np.ndarray]:
    """The lists of n lines as arrays: what is summed at m, of the first k + `shortest` indices and m positions."""
    starts = [start for start in (0, EDGE) if m + start <= shortest]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _FOLDED}
    order = []
    groups: Any = found.groupby("m")
    for decoded, lines in groups:
        order.append(found.index.get_indexer(lines.index))
        n, p = len(lines), k + int(decoded)
        sets = list(zip(lines["sizes"].iloc[0].tolist(), lines["starts"].iloc[0].tolist(), strict=True))
        at = [sets.index((m, start)) for start in starts if (m, start) in sets]
        if not at:
            raise InputError(f"this sweep was not summed at m = {m}: it was at {sorted({size for size, _ in sets})}")
        flat = {name: np.stack(lines[name].tolist()) for name in _FOLDED}
        c = len(CLASSES)
        parts["counts"].append(flat["counts"].reshape(n, len(sets), c, 3)[:, at])
        parts["values"].append(flat["values"].reshape(n, len(sets), c, 2, p)[:, at, ..., : k + shortest])
        parts["squares"].append(flat["squares"].reshape(n, 2, p)[..., : k + shortest])
        parts["bins"].append(flat["bins"].reshape(n, int(decoded), -1, len(BINNED))[:, :m])
        parts["jumps"].append(flat["jumps"].reshape(n, -1, 4))
    if len(order) == 1:
        return {name: each[0] for name, each in parts.items()}
    back = np.argsort(np.concatenate(order))
    return {name: np.concatenate(each)[back] for name, each in parts.items()}


def _folded(values: np.ndarray, part: np.ndarray, keep: np.ndarray, n_parts: int) -> np.ndarray:
    """(g, ...) sums of the kept ones of (n, ...) lines over the parts they are of."""
    found = np.zeros((n_parts, *values.shape[1:]), values.dtype)
    order = np.flatnonzero(keep)[np.argsort(part[keep], kind="stable")]
    starts = np.flatnonzero(np.diff(part[order], prepend=-1))
    found[part[order][starts]] = np.add.reduceat(values[order], starts, axis=0)
    return found
