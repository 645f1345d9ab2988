"""What a sweep amounts to, before it is run: rows, sequences, bytes kept, seconds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from memviz.catalog import find_model, read_card
from memviz.demo.suite import read_data
from memviz.settings import Settings
from memviz.sweeps.asks import bytes_kept, counts_of, tokens_read
from memviz.sweeps.plan import n_needed, plan
from memviz.sweeps.progress import duration
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.running import BATCH
from memviz.sweeps.sources import passing_rows
from memviz.sweeps.task import SweepRequest

ROUGH_RATE = 2e10
"""Operations a second of one processor core, where no sweep of this machine says better."""


@dataclass(frozen=True)
class Estimate:
    n_rows: int
    n_sequences: int
    """Rows asked, once for each model and condition that they are long enough for."""
    n_bytes: int
    """Of the batches kept in the store, at most about."""
    seconds: float
    is_measured: bool
    """Whether the seconds come from an earlier sweep of this machine."""


def lengths_of_rows(task: SweepRequest) -> dict[int, int] | None:
    """Tokens -> rows of so many, cut to what is looked at; None where a file must be read first.

    Of a sample of a file all rows count as long enough. Raises InputError for a filter that the corpus does not have.
    """
    rows, needed = task.rows, n_needed(task)
    if rows.source != SUITE:
        return None if rows.sample is None else {needed: rows.sample}
    data = read_data()
    n = int(passing_rows(rows, data).sum())
    return {min(needed, data.ids.shape[1]): n if rows.sample is None else min(rows.sample, n)}


def estimate(task: SweepRequest, lengths: Mapping[int, int], sweeps: Iterable[Sweep], settings: Settings) -> Estimate:
    """Of rows of given lengths; `sweeps` are earlier ones, whose seconds say how fast this machine is."""
    what = plan(task, lengths)
    n_models, rates = len(task.models), [rate for each in sweeps if (rate := _rate(each))]
    rate = float(np.median(rates)) if rates else rough_rate()
    n_parameters = sum(_n_parameters(name, settings) for name in task.models)
    return Estimate(
        sum(lengths.values()),
        n_models * sum(n for each in what.conditions for _, n in counts_of(each, lengths)),
        n_models * bytes_kept(what, lengths, BATCH),
        2.0 * n_parameters * tokens_read(what, lengths) / rate,
        bool(rates),
    )


def rough_rate() -> float:
    """Operations a second of this machine's processor."""
    return ROUGH_RATE * (os.cpu_count() or 1)


def reading_words(n_rows: int, n_tokens: int, n_parameters: int) -> str:
    """What reading rows of so many tokens amounts to, in a sentence, before it starts."""
    seconds = 2.0 * n_parameters * n_rows * n_tokens / rough_rate()
    return (
        f"It reads {n_rows:,} rows of {n_tokens} tokens: about {duration(seconds)}, a rough guess for this machine's "
        "processor."
    )


def _n_parameters(name: str, settings: Settings) -> int:
    model = find_model(name, settings)
    card = read_card(model, settings)
    return (card.n_parameters if card else model.n_parameters) or 0


def _rate(sweep: Sweep) -> float | None:
    """Operations a second of a finished sweep, two a parameter and token; None where it computed only a part."""
    made = sweep.manifest["provenance"]
    lengths = {int(length): n for length, n in sweep.manifest["rows"].get("lengths", {}).items()}
    if not lengths or not made["batches_computed"] or made["batches_reused"] or made["seconds"] <= 0:
        return None
    n_parameters = sum(each["n_parameters"] for each in sweep.manifest["models"])
    return 2.0 * n_parameters * tokens_read(plan(sweep.task, lengths), lengths) / made["seconds"]
