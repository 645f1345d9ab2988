"""Which tokens of a row each question of a sweep reads and which it asks for. Index arithmetic, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memviz.sweeps.task import ANCHORED, SLIDING, SweepRequest


@dataclass(frozen=True)
class Condition:
    """One way of asking: tokens start to start + k - 1 of the row are the context, those from start + k on the truth.

    One decode at the largest m that fits a row serves every smaller one.
    """

    mode: str
    k: int
    start: int
    lengths: tuple[int, ...]
    """m asked for, ascending."""
    context_tokens: int | None
    """Tokens of a row that belongs to this mode's context curve; None where this k is no point of it."""
    continuation_tokens: int | None
    """The same for the continuation curve."""

    def longest(self, n_tokens: np.ndarray) -> np.ndarray:
        """(n,) int: the largest m that fits into rows of (n,) tokens, 0 where none does."""
        ends = np.array([0, *(self.start + self.k + m for m in self.lengths)])
        return np.array([0, *self.lengths])[np.searchsorted(ends, n_tokens, side="right") - 1]


@dataclass(frozen=True)
class Curve:
    """One curve of a sweep: the sizes that are on it, and on how many rows."""

    name: str
    """context_sliding, context_anchored or continuation."""
    mode: str
    k: tuple[int, ...]
    m: tuple[int, ...]
    n_rows: int
    """Rows that are long enough for every one of its sizes: all of it is drawn from these."""


@dataclass(frozen=True)
class Skipped:
    """A pair of sizes that some rows are too short for."""

    mode: str
    k: int
    m: int
    n_rows: int


@dataclass(frozen=True)
class Plan:
    conditions: tuple[Condition, ...]
    curves: tuple[Curve, ...]
    skipped: tuple[Skipped, ...]


def n_needed(task: SweepRequest) -> int:
    """Tokens of a row that a sweep looks at, at most."""
    longest = [k + task.continuation_at for k in task.contexts] + [task.context_at + m for m in task.continuations]
    return max(longest)


def plan(task: SweepRequest, lengths: Mapping[int, int]) -> Plan:
    """What to ask of rows of given lengths (tokens -> rows of so many).

    A pair (k, m) that no row is long enough for is left out of its curve; the curve's rows are those long enough for
    all that is left, so that every point of it is drawn from the same rows.
    """
    most = max(lengths, default=0)
    fits = [k for k in task.contexts if k + task.continuation_at <= most]
    anchor = max(fits, default=0)
    pairs: dict[tuple[str, int, int], list[int]] = {}
    curves: list[Curve] = []
    skipped: list[Skipped] = []

    def rows_of(n_tokens: int) -> int:
        return sum(count for length, count in lengths.items() if length >= n_tokens)

    def ask(name: str, mode: str, asked: list[tuple[int, int, int]]) -> int:
        """Enter the (start, k, m) of a curve; how many tokens its rows have."""
        kept = [(start, k, m) for start, k, m in asked if start >= 0 and start + k + m <= most]
        for start, k, m in asked:
            n_short = sum(lengths.values()) - (rows_of(start + k + m) if start >= 0 else 0)
            if n_short and (mode, k, m) not in {(each.mode, each.k, each.m) for each in skipped}:
                skipped.append(Skipped(mode, k, m, n_short))
        for start, k, m in kept:
            pairs.setdefault((mode, start, k), []).append(m)
        tokens = max((start + k + m for start, k, m in kept), default=0)
        ks, ms = (tuple(sorted({each[i] for each in kept})) for i in (1, 2))
        curves.append(Curve(name, mode, ks, ms, rows_of(tokens) if kept else 0))
        return tokens

    of_mode = {}
    for mode in task.context_modes if task.contexts else ():
        starts = {k: 0 if mode == SLIDING else anchor - k for k in task.contexts}
        asked = [(starts[k], k, task.continuation_at) for k in task.contexts]
        of_mode[mode] = ask(f"context_{mode}", mode, asked)
    of_continuation = 0
    if task.continuations:
        asked = [(0, task.context_at, m) for m in task.continuations]
        of_continuation = ask("continuation", SLIDING, asked)
    conditions = []
    for (mode, start, k), found in sorted(pairs.items(), key=lambda item: (item[0][0] == ANCHORED, item[0][2])):
        on_context = k in fits and mode in of_mode
        on_continuation = mode == SLIDING and k == task.context_at and of_continuation > 0
        conditions.append(
            Condition(
                mode,
                k,
                start,
                tuple(sorted(set(found))),
                of_mode[mode] if on_context else None,
                of_continuation if on_continuation else None,
            )
        )
    return Plan(tuple(conditions), tuple(curves), tuple(skipped))
