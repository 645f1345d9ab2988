"""What a half precision does to the scores of a population: the same rows in float32 and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from memviz.catalog import Card
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import InputError
from memviz.measures.score import LEVELS
from memviz.population.curves import size_points
from memviz.population.intervals import N_RESAMPLES, estimate, share_of
from memviz.sweeps.kept import SweepTask, outdated
from memviz.sweeps.results import Sweep, read_sweep
from memviz.sweeps.rowset import RowSet
from memviz.sweeps.task import AT
from memviz.tasks.base import Context, Device, Task, answer
from memviz.tasks.context import Report

HALVES = ("bfloat16", "float16")
SHIPPED = SUITE_FOLDER / "precision"
"""Folder of the sweeps that the page opens on, each in one called as its hash."""
ALL = "all"
"""Beside the levels: rows of every level."""
USUAL_ROWS = RowSet(parts=("planted",), sample=400)
"""What is asked at first: minutes, where all rows of all sizes are hours."""


@dataclass(frozen=True)
class PrecisionTask(Task[tuple[Sweep, Sweep]]):
    """Some rows asked of some models in float32 and in a half precision: the two sweeps, in this order.

    Its result is the two sweeps, whose batches are kept one by one. Raises InputError for unusable fields.
    """

    kind = "precision"
    kept = True
    long = True
    on_device = False
    keyed_by_cards = False

    models: tuple[str, ...]
    """Catalog names, in the order of the table."""
    rows: RowSet
    half: str = HALVES[0]
    """One of `HALVES`."""
    k: int = AT
    m: int = AT

    def __post_init__(self) -> None:
        if self.half not in HALVES:
            raise InputError(f"{self.half!r} is no half precision: use {' or '.join(HALVES)}")
        self.sweeps  # noqa: B018 - checks models and sizes

    @property
    def sweeps(self) -> tuple[SweepTask, SweepTask]:
        """What is asked, in float32 and below it."""
        sizes: dict[str, Any] = {"contexts": (), "continuations": (self.m,), "context_at": self.k}
        exact, half = (SweepTask(self.models, self.rows, dtype=dtype, **sizes) for dtype in ("float32", self.half))
        return exact, half

    @property
    def model(self) -> str:
        return f"{len(self.models)} models"

    @property
    def model_names(self) -> tuple[str, ...]:
        return self.models

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """There is no result but those of its sweeps."""
        return self.hash

    def find(self, key: str, cards: Sequence[Card], context: Context) -> tuple[Sweep, Sweep] | None:
        exact, half = (task.find(task.hash, cards, context) or _shipped(task, context) for task in self.sweeps)
        return None if exact is None or half is None else (exact, half)

    def held(self, key: str, context: Context) -> AbstractContextManager[object]:
        """Each batch of its sweeps holds the device by itself."""
        return nullcontext()

    def compute(self, cards: Sequence[Card], context: Context) -> tuple[Sweep, Sweep]:
        found = []
        for i, task in enumerate(self.sweeps):
            told = context.telling(partial(_half, context.report, i), context.say)
            found.append(answer(task, told).result)
        return found[0], found[1]

    def keep(self, key: str, record: tuple[Sweep, Sweep], cards: Sequence[Card], context: Context) -> Any:
        return record


def _shipped(task: SweepTask, context: Context) -> Sweep | None:
    """The sweep that ships, where it would come out the same today."""
    try:
        found = read_sweep(SHIPPED / task.hash)
    except InputError:
        return None
    return None if outdated(found, context.settings) else found


def _half(report: Report, part: int, done: int, total: int) -> None:
    """Progress of one of two sweeps as that of both."""
    report(part * total + done, 2 * total)


def moved(
    exact: pd.DataFrame, half: pd.DataFrame, models: Sequence[str], n_resamples: int = N_RESAMPLES
) -> pd.DataFrame:
    """One line a model and level of float32, and one of all rows, from points (`size_points`) of both precisions.

    Columns: model, level (in words, or all), n, n_units, moved, moved_low, moved_high (share of rows whose M is another
    one, 0 to 1), change, change_low, change_high (mean of M below float32 less M in float32), gained, lost (rows with
    M = 1 in the one and not in the other). Levels without rows have no line.
    """
    lines = []
    for model in models:
        one, two = (each[each["model"] == model].set_index("row") for each in (exact, half))
        both = one.join(two[["n_hits", "score"]].add_suffix("_half"), how="inner").sort_index()
        lines += [
            _line(model, name, rows, n_resamples)
            for name, rows in [*((name, both[both["level"] == i]) for i, name in enumerate(LEVELS)), (ALL, both)]
            if len(rows)
        ]
    return pd.DataFrame(lines)


def _line(model: str, level: str, rows: pd.DataFrame, n_resamples: int) -> Mapping[str, Any]:
    units, change = rows["group"].to_numpy(), (rows["score_half"] - rows["score"]).to_numpy()
    share = share_of(rows["n_hits"].to_numpy() != rows["n_hits_half"].to_numpy(), units)
    mean = estimate(
        np.stack([change, np.ones(len(rows))], axis=1),
        units,
        lambda sums: sums[..., 0] / sums[..., 1],
        share.n,
        share.n_units,
        n_resamples,
    )
    full, full_half = rows["n_hits"] == rows["m"], rows["n_hits_half"] == rows["m"]
    found: dict[str, Any] = {"model": model, "level": level, "n": share.n, "n_units": share.n_units}
    for name, each in (("moved", share), ("change", mean)):
        found |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return found | {"gained": int((full_half & ~full).sum()), "lost": int((full & ~full_half).sum())}


def precision_table(task: PrecisionTask, sweeps: tuple[Sweep, Sweep]) -> pd.DataFrame:
    """The table of a finished task, as `moved` has it. Raises InputError where no row is long enough."""
    exact, half = (size_points(sweep.sequences, task.m, task.k) for sweep in sweeps)
    return moved(exact, half, task.models)
