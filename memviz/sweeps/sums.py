"""Sums by position, stratum and part of the rows, written with a large sweep: its pages read these, not positions.

A row belongs to a cell, by what is known of it, and its unit (group of near-duplicates) to one of the parts into which
the units of a stratum fall. What varies between parts says how much a sum over units would (`population.intervals`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from memviz.records import Survey
from memviz.sweeps.asks import Ask
from memviz.sweeps.beside import Column

MOST_UNITS = 100_000
"""Rows or units above which sums of parts stand for them."""
PARTS = 512
"""Of all units, about: the width of an interval is known to 3 % (1 / sqrt(2 PARTS))."""
STRATUM_OF = ("domain", "bucket", "background")
"""Columns whose values the suite's rows were drawn by: a fixed number of each."""
ABOUT = (*STRATUM_OF, "template", "memorization_class")
EDGE = 8
"""Positions by which the moved edge is moved."""
ENTROPY_BIN = 0.25
"""nats."""
CLASSES = ("memorized", "half", "medium", "unmemorized", "other")
"""A row's class at m: all hits, exactly half, else 0.4 to 0.6, none, else."""
BINNED = ("seen", "hit", "free", "free_squared", "forced", "forced_squared", "at_risk", "missed")
"""Per position and bin of the teacher-forced entropy: rows, hits, sums of both entropies and of their squares, rows
whose hits were unbroken until there, and those of them that miss."""
SUM_COLUMNS: dict[str, Column] = {
    "model": (pa.string(), "catalog name"),
    "mode": (pa.string(), "sliding or anchored"),
    "k": (pa.int32(), "context tokens"),
    "m": (pa.int32(), "continuation tokens decoded"),
    "domain": (pa.string(), "as in the table of rows, and the next four"),
    "bucket": (pa.int32(), "planned exposures"),
    "background": (pa.bool_(), "single-exposure background"),
    "template": (pa.string(), "repeating, incrementing or none"),
    "memorization_class": (pa.string(), "recite, reconstruct or recollect"),
    "stratum": (pa.int32(), "number of the stratum (domain, bucket, background); 0 where one of them is unknown"),
    "part": (pa.int32(), "number of the part of the stratum's units"),
    "sizes": (pa.list_(pa.int32()), "every m that classes are formed at"),
    "starts": (pa.list_(pa.int32()), "for each of these, the position at which its m positions begin: 0, or 8 (edge)"),
    "counts": (pa.list_(pa.float64()), "size x class x 3: rows, units whose first row is among them, hits"),
    "values": (pa.list_(pa.float64()), "size x class x 2 x (k + m): nats, entropy free-running and teacher-forced"),
    "squares": (pa.list_(pa.float64()), "2 x (k + m): nats squared, the squares of both over all rows"),
    "bins": (pa.list_(pa.float32()), "m x bin x 8: rows, hits, both entropies each with square, at risk, missed"),
    "jumps": (pa.list_(pa.float64()), "bin x 4: nats, index k less k - 1 of both entropies each with its square"),
}


def classes_of(match: np.ndarray) -> np.ndarray:
    """(n,) places in `CLASSES` of (n, m) hits."""
    n_hits, m = match.sum(axis=1), match.shape[1]
    found = np.where((5 * n_hits >= 2 * m) & (5 * n_hits < 3 * m), 2, 4)
    found[2 * n_hits == m] = 1
    found[n_hits == 0] = 3
    found[n_hits == m] = 0
    return found


_MIX = np.uint64(0x9E3779B97F4A7C15)
Cell = tuple[Any, ...]


@dataclass(frozen=True)
class Lines:
    """One line for each cell and part of its stratum."""

    about: pd.DataFrame
    """Columns of `ABOUT`, stratum, part."""
    first: dict[Cell, int]
    """The first line of each cell."""
    n_parts: dict[Cell, int]

    def of(self, block: pa.Table) -> np.ndarray:
        """(n,) line of each row of a block that has the columns of `ABOUT` and group."""
        code, cells = _cells(block)
        first, n_parts = (np.array([of[cell] for cell in cells]) for of in (self.first, self.n_parts))
        mixed = block["group"].to_numpy().astype(np.uint64) * _MIX
        mixed = (mixed ^ mixed >> np.uint64(32)) * _MIX >> np.uint64(32)  # once would leave neighbours in few parts
        return first[code] + (mixed % n_parts[code].astype(np.uint64)).astype(np.int64)


def lines_of(blocks: Iterable[pa.Table]) -> Lines:
    """The lines of a sweep's rows, in parts by how many of the rows a stratum has, two at least."""
    n_of: Counter[Cell] = Counter()
    for block in blocks:
        code, cells = _cells(block)
        n_of.update(dict(zip(cells, np.bincount(code, minlength=len(cells)).tolist(), strict=True)))
    of_stratum: Counter[Cell] = Counter()
    for cell, n in n_of.items():
        of_stratum[_stratum(cell)] += n
    ordered = sorted(of_stratum, key=str)
    number = dict(zip([each for each in ordered if each], range(1, len(ordered) + 1), strict=False)) | {(): 0}
    first: dict[Cell, int] = {}
    n_parts: dict[Cell, int] = {}
    about: list[Cell] = []
    for cell in sorted(n_of, key=str):
        stratum = _stratum(cell)
        first[cell], n_parts[cell] = len(about), max(2, round(PARTS * of_stratum[stratum] / n_of.total()))
        about += [(*cell, number[stratum], part) for part in range(n_parts[cell])]
    return Lines(pd.DataFrame(about, columns=[*ABOUT, "stratum", "part"], dtype=object), first, n_parts)


def _stratum(cell: Cell) -> Cell:
    known = cell[: len(STRATUM_OF)]
    return () if None in known else known


def _cells(block: pa.Table) -> tuple[np.ndarray, list[Cell]]:
    """(n,) number of each row's cell, and the cells."""
    code, levels = np.zeros(len(block), np.int64), []
    for name in ABOUT:
        coded = block[name].combine_chunks().dictionary_encode(null_encoding="encode")
        levels.append(coded.dictionary.to_pylist())
        code = code * len(levels[-1]) + coded.indices.to_numpy(zero_copy_only=False)
    found, place = np.unique(code, return_inverse=True)
    cells = []
    for each in found.tolist():
        cell: list[Any] = []
        for values in reversed(levels):
            each, at = divmod(each, len(values))
            cell.append(values[at])
        cells.append(tuple(reversed(cell)))
    return place, cells


class Tally:
    """The sums of a sweep as its batches come, one condition of a model at a time."""

    def __init__(self, lines: Lines, lengths: Sequence[int], n_vocabulary: int, schema: pa.Schema) -> None:
        self.lines, self.lengths, self.schema = lines, lengths, schema
        self.n_bins = int(np.log(n_vocabulary) / ENTROPY_BIN) + 1
        self.under_way = ("", "", 0)
        """Model, mode and k of the condition that comes in."""
        self.sums: dict[int, Sums] = {}

    def add(self, ask: Ask, survey: Survey) -> Iterator[pa.Table]:
        """Count a batch; the tables of the condition before, where this is the first of another one."""
        condition, m = ask.condition, ask.truth.shape[1]
        if self.under_way != (key := (ask.card.name, condition.mode, condition.k)):
            yield from self.rest()
            self.under_way = key
        if m not in self.sums:
            self.sums[m] = Sums(len(self.lines.about), condition.k, m, self.lengths, self.n_bins)
        context = survey.context_entropy[:, len(ask.card.leading_ids) :]
        first = ask.block["row"].to_numpy() == ask.block["group"].to_numpy()
        self.sums[m].add(
            self.lines.of(ask.block),
            first,
            survey.generated_ids == ask.truth,
            np.concatenate([context, survey.free_running_entropy], axis=1),
            np.concatenate([context, survey.teacher_forced_entropy], axis=1),
        )

    def rest(self) -> Iterator[pa.Table]:
        """The tables of the last condition."""
        for sums in self.sums.values():
            yield sums.table(*self.under_way, self.lines.about, self.schema)
        self.sums = {}


class Sums:
    """Of one model and condition: rows that were decoded to the same m."""

    def __init__(self, n_lines: int, k: int, m: int, lengths: Sequence[int], n_bins: int) -> None:
        self.k, self.m, self.n_bins = k, m, n_bins
        self.sets = [(each, start) for each in lengths for start in (0, EDGE) if each + start <= m]
        shape = (n_lines, len(self.sets), len(CLASSES))
        self.counts, self.values = np.zeros((*shape, 3)), np.zeros((*shape, 2, k + m))
        self.squares, self.jumps = np.zeros((n_lines, 2, k + m)), np.zeros((n_lines, n_bins, 4))
        self.bins = np.zeros((len(BINNED), n_lines * m * n_bins), np.float32)

    def add(self, line: np.ndarray, first: np.ndarray, match: np.ndarray, free: np.ndarray, forced: np.ndarray) -> None:
        """Count n rows: (n,) lines and whether each is its unit's first row, (n, m) hits, (n, k + m) entropies."""
        both = np.stack([free, forced], axis=1).astype(np.float64)
        for place, (m, start) in enumerate(self.sets):
            window = match[:, start : start + m]
            at = (line * len(self.sets) + place) * len(CLASSES) + classes_of(window)
            _add(self.counts.reshape(-1, 3), at, np.stack([np.ones(len(at)), first, window.sum(axis=1)], axis=1))
            _add(self.values.reshape(-1, both[0].size), at, both.reshape(len(at), -1))
        _add(self.squares.reshape(len(self.squares), -1), line, (both**2).reshape(len(line), -1))
        forced_here, k = both[:, 1, self.k :], self.k
        code = np.clip((forced_here / ENTROPY_BIN).astype(np.int64), 0, self.n_bins - 1)
        jump = both[:, :, k] - both[:, :, k - 1]
        moments = np.stack([jump[:, 0], jump[:, 0] ** 2, jump[:, 1], jump[:, 1] ** 2], axis=1)
        _add(self.jumps.reshape(-1, 4), line * self.n_bins + code[:, 0], moments)
        at_risk = np.logical_and.accumulate(np.insert(match[:, :-1], 0, True, axis=1), axis=1)
        free_here, missed = both[:, 0, k:], at_risk & ~match
        squares = free_here**2, forced_here**2
        each = (np.ones_like(match), match, free_here, squares[0], forced_here, squares[1], at_risk, missed)
        where = ((line[:, None] * self.m + np.arange(self.m)) * self.n_bins + code).ravel()
        for sums, values in zip(self.bins, each, strict=True):
            np.add.at(sums, where, values.ravel().astype(np.float32))

    def table(self, model: str, mode: str, k: int, about: pd.DataFrame, schema: pa.Schema) -> pa.Table:
        """The lines that have rows."""
        kept = np.flatnonzero(self.squares.any(axis=(1, 2)))
        n, bins = len(kept), self.bins.reshape(len(BINNED), len(about), self.m, self.n_bins)
        values: dict[str, Any] = {"model": [model] * n, "mode": [mode] * n, "k": [k] * n, "m": [self.m] * n}
        values |= {str(name): about[name].to_numpy(object)[kept] for name in about}
        values |= {"sizes": [[m for m, _ in self.sets]] * n, "starts": [[start for _, start in self.sets]] * n}
        arrays = {"counts": self.counts, "values": self.values, "squares": self.squares, "jumps": self.jumps}
        values |= {name: _lists(array[kept]) for name, array in arrays.items()}
        values["bins"] = _lists(bins[:, kept].transpose(1, 2, 3, 0))
        return pa.Table.from_arrays([_array(values[each.name], each.type) for each in schema], schema=schema)


def _add(sums: np.ndarray, place: np.ndarray, values: np.ndarray) -> None:
    """Add (n, s) values to the lines of (·, s) sums at (n,) places."""
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    sums[place[order][starts]] += np.add.reduceat(values[order], starts, axis=0)


def _lists(values: np.ndarray) -> pa.Array:
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return pa.ListArray.from_arrays(np.arange(len(flat) + 1, dtype=np.int32) * flat.shape[1], pa.array(flat.ravel()))


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(list(values), kind)
