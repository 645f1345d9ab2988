"""memviz in a notebook: the tasks of the pages and the command line, their results as DataFrames, from one store.

from memviz import api
found = api.sweep(["suite-1.8m"], api.RowSet(sample=200), "my-sweep", continuations=(16, 32))
found.sequences.groupby("bucket")["n_matches_32"].mean()
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from memviz import export
from memviz.catalog import known_models, read_card
from memviz.demo.samples import suite_samples
from memviz.gallery import open_store
from memviz.measures.heads import RowHeads, overlaps
from memviz.population.heads import heads_table, row_heads_of
from memviz.population.precision import PrecisionTask, precision_table
from memviz.records import Run
from memviz.settings import settings
from memviz.sweeps import RowSet, Sweep, read_sweep, run_sweep
from memviz.sweeps.running import BATCH
from memviz.sweeps.task import AT, SweepRequest
from memviz.tasks.base import Context, answer, ready
from memviz.tasks.causes import cause_of, seen_counts
from memviz.tasks.context import Report, Say
from memviz.tasks.trace import TraceTask, task_of_text, tokenizer_of

__all__ = [
    "HeadsOverRows",
    "RowSet",
    "Sweep",
    "Traced",
    "causes",
    "models",
    "precision",
    "read_sweep",
    "row_heads",
    "sweep",
    "trace",
]


@dataclass(frozen=True)
class Traced:
    """One prompt's trace."""

    table: pd.DataFrame
    """One row an index of the whole row of tokens."""
    measures: pd.Series
    """Every measure of docs/measures.md; NaN where it is undefined, unknown or infinite."""
    run: Run


@cache
def _context() -> Context:
    return Context(settings(), open_store(settings()))


def models() -> pd.DataFrame:
    """One row a model that can be asked for by name, and whether it is ready."""
    known = known_models(settings())
    names = ("name", "label", "family", "size", "step", "seed", "n_parameters", "licence", "corpus")
    table = pd.DataFrame([{name: getattr(model, name) for name in names} for model in known])
    return table.assign(ready=[read_card(model, settings()) is not None for model in known])


def trace(
    model: str,
    text: str | None = None,
    *,
    context_ids: Sequence[int] | None = None,
    continuation_ids: Sequence[int] | None = None,
    n_context: int = 32,
    n_continuation: int | None = None,
    **options: Any,
) -> Traced:
    """Trace a text, or token ids taken verbatim; options as `TraceTask` has them (decoding, dtype, all_layers).

    Raises InputError, Failure.
    """
    if (text is None) == (context_ids is None):
        raise ValueError("give either a text or context_ids")
    card = ready(model, _context())
    tokenizer = tokenizer_of(card, settings())
    if text is not None:
        task = task_of_text(text, card, tokenizer, n_context, n_continuation, **options)
    else:
        truth = None if continuation_ids is None else tuple(map(int, continuation_ids))
        n_steps = n_continuation or (32 if truth is None else len(truth))
        task = TraceTask(model, tuple(map(int, context_ids or ())), truth, n_steps, **options)
    run = answer(task, _context()).result
    measures = pd.Series(export.measures_of(run.trace, tokenizer), dtype="float64")
    return Traced(export.table(run, tokenizer), measures, run)


def causes(
    view: str,
    model: str,
    text: str,
    *,
    n_context: int = 32,
    n_continuation: int | None = None,
    dtype: str = "float32",
    **numbers: Any,
) -> Any:
    """Why a text is recited: the record of a view of `memviz.measures.causes`, by the kind of its task.

    Views and their numbers: "occlusion" (n_drawn, seed), "heads" (seed), "noise_recovery" (sigma, n_draws, seed),
    "contributions". Raises InputError, Failure.
    """
    card = ready(model, _context())
    tokenizer = tokenizer_of(card, settings())
    whole = task_of_text(text, card, tokenizer, n_context, n_continuation, dtype=dtype)
    known = suite_samples() if view == "occlusion" else None  # whose counts nothing else needs
    counts = seen_counts(card, tokenizer, settings(), known)
    given = {**({"n_drawn": 4, "seed": 0} if view == "occlusion" else {}), **numbers}
    return answer(cause_of(whole, view, card, tokenizer, counts, **given), _context()).result


@dataclass(frozen=True)
class HeadsOverRows:
    """Which heads rows of a sweep hang on."""

    table: pd.DataFrame
    """One row a head, as `memviz.population.heads.heads_table`."""
    overlaps: pd.DataFrame
    """Strongest heads that rows share, beside chance, as `memviz.measures.heads.overlaps`."""
    record: RowHeads


def row_heads(
    sweep: Sweep, model: str, n_rows: int = 40, *, k: int = AT, m: int = AT, seed: int = 0, report: Report | None = None
) -> HeadsOverRows:
    """Each head silenced on at most n rows of a sweep with M = 1 and as many with M = 0. Raises InputError, Failure."""
    context = _context().telling(report or (lambda done, total: None), _tell)
    task = row_heads_of(sweep, model, ready(model, context), n_rows, k, m, seed)
    found = answer(task, context).result
    return HeadsOverRows(heads_table(found), pd.DataFrame(map(asdict, overlaps(found))), found)


def sweep(
    models: Sequence[str],
    rows: RowSet | None = None,
    out: Path | str = "sweep",
    *,
    report: Report = lambda done, total: None,
    say: Say | None = None,
    batch: int = BATCH,
    **options: Any,
) -> Sweep:
    """Run a sweep into the folder `out`, or go on with it; options as `SweepRequest` has them.

    Raises as `run_sweep`.
    """
    task = SweepRequest(tuple(models), rows or RowSet(), **options)
    return run_sweep(task, _context().telling(report, say or _tell), Path(out).resolve(), batch)


def precision(
    models: Sequence[str],
    rows: RowSet | None = None,
    *,
    report: Report = lambda done, total: None,
    say: Say | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Rows whose M a half precision moves, one line a model and level of float32; options as `PrecisionTask` has them.

    Columns are those of `memviz.population.precision.moved`. Raises InputError, Failure.
    """
    task = PrecisionTask(tuple(models), rows or RowSet(), **options)
    return precision_table(task, answer(task, _context().telling(report, say or _tell)).result)


def _tell(stage: str) -> None:
    """One line that is written over, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{stage}", end="", file=sys.stderr, flush=True)
