"""Running a sweep: batch by batch, each kept in the store as it ends, tables written as the batches come."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from memviz import disk
from memviz.catalog import Card, find_model
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import InputError
from memviz.records import Prompts, Survey
from memviz.settings import Settings
from memviz.store.keys import request_of
from memviz.sweeps.plan import Condition, Plan, n_needed, plan
from memviz.sweeps.preparing import ROWS, PreparedRows, prepare_rows
from memviz.sweeps.progress import SECONDS_BETWEEN, duration
from memviz.sweeps.results import MANIFEST, NAME, Sweep, TableFile, read_sweep, table_file, write_manifest
from memviz.sweeps.rowset import SUITE, file_times
from memviz.sweeps.survey import SurveyTask
from memviz.sweeps.tables import (
    POSITION_COLUMNS,
    ROW_COLUMNS,
    label_columns,
    positions,
    schema_of,
    sequence_columns,
    sequences,
)
from memviz.sweeps.task import SweepRequest, sweep_command
from memviz.sweeps.using import using
from memviz.tasks.base import ENGINE, Context, answer, ready
from memviz.tasks.trace import tokenizer_of
from memviz.tokenizer import Tokenizer

log = logging.getLogger(__name__)
BATCH = 128
"""Rows decoded together, and lost at most when the process is killed. Another number computes all anew."""
MALFORMED = "malformed.txt"


def run_sweep(task: SweepRequest, context: Context, folder: Path, batch: int = BATCH) -> Sweep:
    """Run a sweep into a folder, or go on where one was left; batches in the store are not computed again.

    `report(done, total)` counts tokens to be read. Raises InputError, Failure, OSError,
    and whatever `report` and `say` raise to cancel.
    """
    if batch < 1:
        raise InputError(f"a batch of {batch} rows was asked for: give at least 1")
    cards = [ready(name, context) for name in task.models]
    tokenizer = _tokenizer(task, cards, context.settings)
    with folder_held(folder), using(context.settings, folder, task.rows):
        return _Run(task, context, folder, cards, tokenizer, batch).run()


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


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Hold an output folder against other processes. Raises InputError where it is in use or holds other things."""
    if folder.exists() and (not folder.is_dir() or not _may_be_used(folder)):
        raise InputError(f"{folder} holds something other than a sweep: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"another process is writing a sweep into {folder}: name another folder") from None
    try:
        disk.remove_left_over(folder)
        yield
    finally:
        lock.release()


def _may_be_used(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    ours = {MANIFEST, MALFORMED, NAME, ROWS, "sequences.parquet", "positions.parquet"}
    return all(name in ours or name.startswith(".") for name in names)


class _Run:
    """One sweep under way."""

    def __init__(
        self, task: SweepRequest, context: Context, folder: Path, cards: list[Card], tokenizer: Tokenizer, batch: int
    ) -> None:
        self.task, self.context, self.folder = task, context, folder
        self.cards, self.tokenizer, self.batch = cards, tokenizer, batch
        self.store, self.report, self.say = context.store, context.report, context.say
        self.start = time.monotonic()
        self.n_computed = self.n_reused = self.n_halved = 0
        self.done = self.total = self.computed_tokens = 0
        self.computing_seconds = 0.0
        self.last_said = 0.0
        self.files: dict[str, list[int]] = {}

    def run(self) -> Sweep:
        self._refuse_other_sweeps()
        self.files = file_times(self.task.rows)
        malformed = self.folder / MALFORMED
        with disk.new_file(malformed) as new, new.open("w", encoding="utf-8") as lines:
            rows = prepare_rows(
                self.task.rows,
                self.folder / ROWS,
                n_needed(self.task),
                self.tokenizer,
                min(card.vocab_size for card in self.cards),
                lambda line, problem: print(f"line {line}: {problem}", file=lines),
                lambda n_read: self.report(0, 0),
                self.say,
            )
        if rows.n_malformed:
            self.say(f"{rows.n_malformed:,} of {rows.n_read:,} rows cannot be used; {malformed} names them")
        else:
            malformed.unlink()
        what = plan(self.task, rows.lengths)
        if not what.conditions:
            raise InputError(
                f"no row is long enough for any size asked for: the longest has {max(rows.lengths)} tokens; "
                "ask for smaller sizes"
            )
        self.total = len(self.cards) * sum(
            count * (condition.k + 2 * int(condition.longest(np.array([length]))[0]))
            for condition in what.conditions
            for length, count in rows.lengths.items()
            if length >= condition.start + condition.k + condition.lengths[0]
        )
        with ExitStack() as places:
            files = self._write_tables(rows, what, places)
            (self.folder / MANIFEST).unlink(missing_ok=True)  # from here on the tables are exchanged
        write_manifest(self.folder, self._manifest(rows, what, files))
        return read_sweep(self.folder)

    def _refuse_other_sweeps(self) -> None:
        try:
            request = read_sweep(self.folder).manifest["request"]
        except InputError:
            return
        if request != {"task": "sweep", **request_of(self.task)}:
            raise InputError(f"{self.folder} holds another sweep: name a new folder")

    def _write_tables(self, rows: PreparedRows, what: Plan, places: ExitStack) -> dict[str, TableFile]:
        """The finished tables, by name; they are in their places when `places` ends well."""
        schemas = {"sequences": schema_of(sequence_columns(self.task), rows.labels)}
        if self.task.positions:
            schemas["positions"] = schema_of(POSITION_COLUMNS, {})
        files = {name: places.enter_context(table_file(self.folder, name, schemas[name])) for name in schemas}
        makers = {"sequences": partial(sequences, to_bytes=self.tokenizer.to_bytes), "positions": positions}
        for card in self.cards:
            for condition in what.conditions:
                n_done = 0
                for block, truth, survey in self._surveys(card, condition, rows):
                    for name, file in files.items():
                        file.add(
                            makers[name](card.name, condition, block, survey, truth, file.schema, len(card.leading_ids))
                        )
                    n_done += len(block)
                    self._say_progress(card, condition, n_done, rows.n)
        for file in files.values():
            file.finish()
        return files

    def _surveys(
        self, card: Card, condition: Condition, rows: PreparedRows
    ) -> Iterator[tuple[pa.Table, np.ndarray, Survey]]:
        """Rows that one decode serves, (n, m) truth, and what the model says, batch by batch."""
        leading = np.array(card.leading_ids, np.int64)
        for block in rows.batches(self.batch):
            ids = block["ids"].combine_chunks()
            n_tokens = ids.value_lengths().to_numpy()
            longest = condition.longest(n_tokens)
            flat, offsets = ids.flatten().to_numpy().astype(np.int64), n_tokens.cumsum() - n_tokens
            for m in sorted({*longest.tolist()} - {0}):
                chosen = np.flatnonzero(longest == m)
                first = (offsets[chosen] + condition.start)[:, None]
                context = flat[first + np.arange(condition.k)]
                truth = flat[first + condition.k + np.arange(m)]
                prompts = Prompts(np.concatenate([np.tile(leading, (len(chosen), 1)), context], axis=1), truth)
                yield block.take(pa.array(chosen)), truth, self._survey(card, prompts)

    def _survey(self, card: Card, prompts: Prompts) -> Survey:
        assert prompts.continuation_ids is not None
        n_tokens, before = prompts.context_ids.size + 2 * prompts.continuation_ids.size, self.done
        context = self.context.telling(lambda done, total: self.report(min(before + done, self.total), self.total))
        _, survey, was_stored = answer(SurveyTask(card, self.task.dtype, prompts, self.task.reading), context)
        self.n_reused += was_stored
        self.n_halved += survey.rows_at_once is not None and int(survey.rows_at_once) < len(survey.generated_ids)
        if not was_stored:
            self.n_computed += 1
            self.computing_seconds += time.perf_counter() - context.started
            self.computed_tokens += n_tokens
        self.done += n_tokens
        self.report(self.done, self.total)
        return survey

    def _say_progress(self, card: Card, condition: Condition, n_done: int, n_rows: int) -> None:
        now = time.monotonic()
        if now - self.last_said < SECONDS_BETWEEN:
            return
        self.last_said = now
        left = ""
        if self.computed_tokens:
            seconds = self.computing_seconds / self.computed_tokens * (self.total - self.done)
            left = f", {duration(seconds)} left"
        percent = 100 * self.done / self.total
        self.say(
            f"{card.name}, {condition.mode}, k = {condition.k}: {n_done:,} of {n_rows:,} rows; {percent:.0f} %{left}"
        )

    def _manifest(self, rows: PreparedRows, what: Plan, files: dict[str, TableFile]) -> dict[str, Any]:
        columns = {"rows": ROW_COLUMNS | label_columns(rows.labels)}
        columns |= {
            "sequences": sequence_columns(self.task) | label_columns(rows.labels),
            "positions": POSITION_COLUMNS,
        }
        tables = {"rows": rows.n} | {name: file.n_rows for name, file in files.items()}
        return {
            "request": {"task": "sweep", **request_of(self.task)},
            "command": sweep_command(self.task, str(self.folder)),
            "rows": {
                "n": rows.n,
                "sha256": rows.sha256,
                "n_read": rows.n_read,
                "n_malformed": rows.n_malformed,
                "n_cut": rows.n_cut,
                "read_as": list(rows.read_as),
                "files": self.files,
                "lengths": {str(length): count for length, count in rows.lengths.items()},
            },
            "curves": [vars(curve) for curve in what.curves],
            "skipped": [vars(each) for each in what.skipped],
            "models": [self._about_model(card) for card in self.cards],
            "tables": {
                name: {
                    "file": f"{name}.parquet",
                    "n_rows": n_rows,
                    "columns": {each: {"type": str(kind), "is": text} for each, (kind, text) in columns[name].items()},
                }
                for name, n_rows in tables.items()
            },
            "engine": ENGINE,
            "provenance": {
                "batches_computed": self.n_computed,
                "batches_reused": self.n_reused,
                "batches_halved": self.n_halved,
                "batch": self.batch,
                "seconds": round(time.monotonic() - self.start, 3),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "device": self.context.device.name,
                "versions": {name: version(name) for name in ("torch", "transformers", "numpy", "pyarrow")},
            },
        }

    def _about_model(self, card: Card) -> dict[str, Any]:
        model = find_model(card.name, self.context.settings)
        facts = {name: getattr(model, name) for name in ("family", "size", "step", "n_steps", "seed")}
        known = {name: getattr(card, name) for name in ("name", "label", "revision", "weights", "n_parameters")}
        return known | facts | {"dtype": self.task.dtype, "leading_ids": card.leading_ids}
