"""Running a sweep: batch by batch, each kept in the store as it ends, tables written as the batches come."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from memviz.catalog import Card
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.store.keys import request_of
from memviz.sweeps.answering import Run
from memviz.sweeps.asks import WHOLE, Asks, Share
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.folder import MALFORMED, folder_held, part_held, remove_parts, rows_in
from memviz.sweeps.plan import n_needed
from memviz.sweeps.results import MANIFEST, Sweep, read_sweep, write_manifest
from memviz.sweeps.rowset import SUITE, file_times
from memviz.sweeps.task import SweepRequest
from memviz.sweeps.using import using
from memviz.sweeps.writing import manifest_of, write_tables
from memviz.tasks.base import Context, ready
from memviz.tasks.trace import tokenizer_of
from memviz.tokenizer import Tokenizer

BATCH = 128
"""Rows decoded together, and lost at most when the process is killed. Another number computes all anew."""


def run_sweep(task: SweepRequest, context: Context, folder: Path, batch: int = BATCH) -> Sweep:
    """Run a sweep into a folder, or go on where one was left; batches that are kept are not computed again.

    `report(done, total)` counts tokens to be read. Raises InputError, Failure, OSError,
    and whatever `report` and `say` raise to cancel.
    """
    models = _models(task, context, batch)
    with folder_held(folder), using(context.settings, folder, task.rows), _kept(context):
        _refuse_other_sweeps(task, folder)
        files = file_times(task.rows)
        asks = _asks(task, models, context, folder, batch)
        _check_room(asks, context)
        run = Run(asks, context)
        with ExitStack() as places:
            tables = write_tables(run, folder, places)
            (folder / MANIFEST).unlink(missing_ok=True)  # from here on the tables are exchanged
        write_manifest(folder, manifest_of(run, folder, tables, files))
        remove_parts(folder)
        return read_sweep(folder)


def run_shard(task: SweepRequest, context: Context, folder: Path, share: Share, batch: int = BATCH) -> tuple[int, int]:
    """Compute the share's batches of a sweep and write no tables: how many were computed, and were there before.

    Raises as `run_sweep`.
    """
    models = _models(task, context, batch)
    with part_held(folder, f"{share.number}-of-{share.n}") as part, using(context.settings, folder, task.rows):
        asks = _asks(task, models, context, part, batch)
        _check_room(asks, context)
        run = Run(asks, replace(context, takes_turns=False), share)
        for _ in run.surveys():
            pass
        return run.n_computed, run.n_reused


def status(
    task: SweepRequest, context: Context, folder: Path, batch: int = BATCH, share: Share | None = None
) -> tuple[int, int]:
    """Batches of a sweep, or of a share, that are there, their content unchecked, and in all; prepares the rows.

    Raises as `run_sweep`.
    """
    models = _models(task, context, batch)
    with part_held(folder, "status") as part, using(context.settings, folder, task.rows):
        asks = _asks(task, models, context, part, batch)
        files = context.batches
        there = files.keys().__contains__ if isinstance(files, BatchFiles) else context.store.has
        n_there = n = 0
        for ask in asks.of(share or WHOLE):
            n_there += there(ask.task.key([], context.device))
            n += 1
            context.report(0, 0)
        return n_there, n


def _models(task: SweepRequest, context: Context, batch: int) -> tuple[list[Card], Tokenizer]:
    """The models of a sweep, made ready, and their tokenizer."""
    if batch < 1:
        raise InputError(f"a batch of {batch} rows was asked for: give at least 1")
    cards = [ready(name, context) for name in task.models]
    return cards, _tokenizer(task, cards, context.settings)


def _asks(task: SweepRequest, models: tuple[list[Card], Tokenizer], context: Context, folder: Path, batch: int) -> Asks:
    """The batches of a sweep whose rows are prepared in a folder."""
    cards, tokenizer = models
    rows = rows_in(folder, task, cards, tokenizer, context)
    malformed = folder / MALFORMED
    if rows.n_malformed:
        context.say(f"{rows.n_malformed:,} of {rows.n_read:,} rows cannot be used; {malformed} names them")
    else:
        malformed.unlink(missing_ok=True)
    return Asks(task, cards, tokenizer, rows, batch)


def _kept(context: Context) -> AbstractContextManager[object]:
    """While it runs, a sweep's batches are not evicted."""
    return nullcontext() if context.batches is not None else context.store.holding()


def _check_room(asks: Asks, context: Context) -> None:
    """Raise InputError where the batches of a sweep do not fit where they are kept: some would go again."""
    keeper = context.batches
    if isinstance(keeper, BatchFiles):
        room, where = keeper.room(), f"the disk of {keeper.name}"
    else:
        room, where = context.store.room(), f"the store {context.store.root}"
    if room is not None and asks.n_bytes > room:
        raise InputError(
            f"the batches of this sweep take about {_size(asks.n_bytes)}, and {where} has room for "
            f"{_size(room)}: keep them elsewhere with --batches DIR_OR_URL, or raise MEMVIZ_CACHE_LIMIT"
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{max(0, n_bytes) / 1e6:,.2f} MB"


def _refuse_other_sweeps(task: SweepRequest, folder: Path) -> None:
    try:
        request = read_sweep(folder).manifest["request"]
    except InputError:
        return
    if request != {"task": "sweep", **request_of(task)}:
        raise InputError(f"{folder} holds another sweep: name a new folder")


def _tokenizer(task: SweepRequest, cards: list[Card], settings: Settings) -> Tokenizer:
    """The tokenizer that all models of a sweep share. Raises InputError where they do not, or do not fit the sizes."""
    found = [tokenizer_of(card, settings) for card in cards]
    for card, other in zip(cards[1:], found[1:], strict=True):
        if other.hash != found[0].hash or card.leading_ids != cards[0].leading_ids:
            raise InputError(f"{card.name} and {cards[0].name} split texts differently: sweep them one by one")
    if task.rows.source == SUITE and found[0].hash != Tokenizer(SUITE_FOLDER / "corpus", []).hash:
        raise InputError(
            f"the bundled corpus is token ids of the bundled suite, not of {cards[0].name}: give rows of text"
        )
    for card in cards:
        needed = n_needed(task) + len(card.leading_ids)
        if card.n_positions is not None and needed > card.n_positions:
            raise InputError(
                f"the largest sizes asked for are {needed} tokens together; {card.name} reads at most "
                f"{card.n_positions}: ask for smaller ones"
            )
    return found[0]
