"""A large sweep's scores, row by row as columns of whole numbers, and put together by part of the units for figures.

Where rows are millions, a line a row is too much to resample, to group or to hold with its texts. Lines here are what
is known of rows, times parts of their units, times hits: tens of thousands, with how many rows each stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.measures.score import level_of
from memviz.population.curves import known_columns
from memviz.population.filters import Filters
from memviz.population.intervals import STRATUM, Estimate, drawn_parts, percentiles, share_of
from memviz.population.likeness import LIKENESS, SHARES, values_of
from memviz.population.transitions import N_LEVELS, Transition, kappa_of
from memviz.sweeps.results import Sweep
from memviz.sweeps.sums import ABOUT, MOST_UNITS, Lines, lines_of
from memviz.sweeps.tables import lengths_of
from memviz.sweeps.task import SLIDING

NOT_ASKED = -1


@dataclass
class Pool:
    """The n rows of a large sweep and how they fall into lines; hits are read once for each condition asked about."""

    sweep: Sweep
    rows: np.ndarray
    """(n,) int64, ascending."""
    line: np.ndarray
    """(n,) int32."""
    first: np.ndarray
    """(n,) bool: the first row of its group of near-duplicates."""
    lines: pd.DataFrame
    """Columns of `ABOUT`, and group: the part that a line is of, as `design_units` numbers units."""
    _hits: dict[tuple[Any, ...], np.ndarray] = field(default_factory=dict)

    def passing(self, filters: Filters) -> np.ndarray:
        """(n,) bool."""
        return filters.keep(self.lines)[self.line]

    def n_passing(self, filters: Filters) -> int:
        return int(np.bincount(self.line, minlength=len(self.lines))[filters.keep(self.lines)].sum())

    def hits(self, model: str, k: int, m: int, mode: str = SLIDING, curve: str | None = None) -> np.ndarray:
        """(n,) int16 hits among m positions, `NOT_ASKED` where there are none; of a curve those on it alone."""
        key = (model, k, m, mode, curve)
        if key not in self._hits:
            self._read_hits(model, k, mode, m)
        return self._hits[key]

    def _read_hits(self, model: str, k: int, mode: str, m: int) -> None:
        """All sizes and curves of a condition at once; m is one that is asked for."""
        sizes = sorted({m, *self._sizes})
        curves = (None, "on_context_curve", "on_continuation_curve")
        found, place = self.columns(model, k, mode, [*(f"n_matches_{size}" for size in sizes), *curves[1:]])
        for size in sizes:
            number = found[f"n_matches_{size}"]
            known = number.notna().to_numpy(bool)
            whole = number.fillna(NOT_ASKED).to_numpy(np.int16)
            for curve in curves:
                hits = np.full(len(self.rows), NOT_ASKED, np.int16)
                asked = known & (True if curve is None else found[curve].to_numpy(bool, na_value=False))
                hits[place] = np.where(asked, whole, NOT_ASKED)
                self._hits[(model, k, size, mode, curve)] = hits

    @property
    def _sizes(self) -> list[int]:
        names = known_columns(self.sweep)
        return [size for size in lengths_of(self.sweep.task) if f"n_matches_{size}" in names]

    def some_units(self, passing: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
        """The (u,) groups of near-duplicates whose first rows pass (n,), at most so many, at random; ascending."""
        units = self.rows[self.first & passing]
        if len(units) <= most:
            return units
        return np.sort(np.random.default_rng(seed).choice(units, most, replace=False))

    def columns(self, model: str, k: int, mode: str, names: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
        """Columns of one condition of a model, and the place (l,) among the rows of each line. Raises InputError."""
        known = known_columns(self.sweep)
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(f"the sweep has no column {missing[0]}: it has {', '.join(sorted(known))}")
        condition = [("model", "==", model), ("mode", "==", mode), ("k", "==", k)]
        found = self.sweep.read("sequences", ["row", *names], condition)
        row = found["row"].to_numpy()
        same = np.array_equal(row, self.rows)
        return found, np.arange(len(row)) if same else np.searchsorted(self.rows, row)


def pool_of(sweep: Sweep) -> Pool | None:
    """The rows of a large sweep; None for a smaller one."""
    if sweep.manifest["rows"]["n"] <= MOST_UNITS:
        return None
    lines = lines_of(sweep.blocks("rows", ABOUT))
    parts = [
        (block["row"].to_numpy(), block["group"].to_numpy(), lines.of(block).astype(np.int32))
        for block in sweep.blocks("rows", ("row", "group", *ABOUT))
    ]
    row, group, line = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Pool(sweep, row, line, row == group, _numbered(lines))


def _numbered(lines: Lines) -> pd.DataFrame:
    about = lines.about.convert_dtypes()
    return about[list(ABOUT)].assign(group=(about["stratum"] * STRATUM + about["part"]).to_numpy(np.int64))


def pooled_points(pool: Pool, models: Sequence[str], filters: Filters, curve: str, m: int) -> pd.DataFrame:
    """Points of a curve (size, continuation, sliding, anchored): a line for each cell, part, model, size and hits.

    Columns: model, group (the part), k, m, n_hits, score, level, those of `ABOUT`, count (rows), n_units (units whose
    first row is among them). Raises InputError where the sweep lacks the curve.
    """
    passing, tables = pool.passing(filters), []
    for mode, k, size, flag in _sizes_of(pool.sweep, curve, m):
        hits = {model: pool.hits(model, k, size, mode, flag) for model in models}
        asked = passing & np.logical_and.reduce([each >= 0 for each in hits.values()])
        for model, each in hits.items():
            code = pool.line[asked].astype(np.int64) * (size + 1) + each[asked]
            n = np.bincount(code, minlength=len(pool.lines) * (size + 1))
            n_units = np.bincount(code[pool.first[asked]], minlength=len(n))
            kept = np.flatnonzero(n)
            n_hits = kept % (size + 1)
            values: dict[str, Any] = {"model": model, "k": k, "m": size, "n_hits": n_hits, "score": n_hits / size}
            values |= {"level": level_of(n_hits, size), "count": n[kept], "n_units": n_units[kept]}
            tables.append(pool.lines.take(kept // (size + 1)).reset_index(drop=True).assign(**values))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if found.empty:
        raise InputError(f"the sweep has no {curve} curve of these rows: choose others")
    return found


def _sizes_of(sweep: Sweep, curve: str, m: int) -> Iterator[tuple[str, int, int, str | None]]:
    """Mode, k, m and column that says which rows are on it, of each point of a curve."""
    task = sweep.task
    if curve == "size":
        yield SLIDING, task.context_at, m, None
        return
    name = curve if curve == "continuation" else f"context_{curve}"
    for about in sweep.manifest["curves"]:
        if about["name"] == name:
            flag = f"on_{name.split('_')[0]}_curve"
            yield from ((about["mode"], k, size, flag) for k in about["k"] for size in about["m"])


def pooled_transition(pool: Pool, filters: Filters, smaller: str, larger: str, k: int, m: int) -> Transition:
    """As `transition`, of the rows that pass. Raises InputError where the models have none in common."""
    places, both = _levels(pool, filters, smaller, larger, k, m)
    if not len(places):
        raise InputError(f"{smaller} and {larger} have no rows in common")
    cell = N_LEVELS * both[0] + both[1]
    line, n_lines = pool.line[places].astype(np.int64), len(pool.lines)
    counts = np.bincount(line * N_LEVELS**2 + cell, minlength=n_lines * N_LEVELS**2).reshape(n_lines, -1)
    drawn = kappa_of(drawn_parts(counts.astype(np.float64), pool.lines["group"].to_numpy()))
    n, n_units = len(places), int(pool.first[places].sum())
    low, high = percentiles(drawn[1:])
    units = pool.lines["group"].to_numpy()[line]
    return Transition(
        smaller,
        larger,
        counts.sum(axis=0).reshape(N_LEVELS, N_LEVELS),
        share_of(both[0] == both[1], units, n_units),
        Estimate(float(drawn[0]), float(low), float(high), n, n_units),
    )


def _levels(
    pool: Pool, filters: Filters, smaller: str, larger: str, k: int, m: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(r,) places of the rows that both models were asked, and their (r,) levels under each."""
    hits = [pool.hits(model, k, m) for model in (smaller, larger)]
    places = np.flatnonzero(pool.passing(filters) & (hits[0] >= 0) & (hits[1] >= 0))
    return places, [level_of(each[places].astype(np.int64), m) for each in hits]


def pooled_rows_of_cell(
    pool: Pool, filters: Filters, smaller: str, larger: str, k: int, m: int, cell: tuple[int, int]
) -> np.ndarray:
    """(c,) row numbers of one cell of the matrix, ascending."""
    places, both = _levels(pool, filters, smaller, larger, k, m)
    return pool.rows[places[(both[0] == cell[0]) & (both[1] == cell[1])]]


def pooled_only_by(pool: Pool, filters: Filters, this: str, other: str, k: int, m: int) -> np.ndarray:
    """(r,) row numbers with M = 1 under `this` and not under `other`, ascending."""
    one, two = (pool.hits(model, k, m) for model in (this, other))
    return pool.rows[pool.passing(filters) & (one == m) & (two >= 0) & (two < m)]


def pooled_likeness(pool: Pool, models: Sequence[str], filters: Filters, k: int, m: int) -> pd.DataFrame:
    """As `likeness`, of the rows that pass."""
    passing, names, lines = pool.passing(filters), [*LIKENESS, *SHARES], []
    columns = [f"{name}_{m}" for name in ("n_matches", "common_run", "edit_distance", "bleu")]
    units = pool.lines["group"].to_numpy()
    for model in models:
        found, place = pool.columns(model, k, SLIDING, columns)
        kept = passing[place] & found[columns[:3]].notna().all(axis=1).to_numpy()
        values = values_of(found[kept], m)
        line = pool.line[place[kept]]
        sums = [np.bincount(line, values[name], len(pool.lines)) for name in names]
        drawn = drawn_parts(np.stack([*sums, np.bincount(line, minlength=len(pool.lines))], axis=1), units)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = drawn[:, :-1] / drawn[:, -1:]
        low, high = percentiles(means[1:])
        about = {"model": model, "n": int(kept.sum()), "n_units": int(pool.first[place[kept]].sum())}
        for i, name in enumerate(names):
            lines.append({**about, "measure": name, "mean": means[0, i], "mean_low": low[i], "mean_high": high[i]})
    return pd.DataFrame(lines)
