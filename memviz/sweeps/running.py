"""Running a sweep: batch by batch, each kept in the store as it ends, tables written as the batches come."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from memviz import disk
from memviz.catalog import Card, card_folder, find_model
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import InputError
from memviz.records import Prompts, Survey, from_arrays, to_arrays
from memviz.store import Store, request_hash
from memviz.sweeps.plan import Condition, Plan, n_needed, plan
from memviz.sweeps.preparing import ROWS, PreparedRows, prepare_rows
from memviz.sweeps.results import MANIFEST, Sweep, TableFile, read_sweep, table_file, write_manifest
from memviz.sweeps.rowset import SUITE, file_times
from memviz.sweeps.tables import (
    POSITION_COLUMNS,
    ROW_COLUMNS,
    label_columns,
    positions,
    schema_of,
    sequence_columns,
    sequences,
)
from memviz.sweeps.task import SweepTask, sweep_command
from memviz.tasks.base import ENGINE, Report, Say
from memviz.tokenizer import Tokenizer

if TYPE_CHECKING:
    from memviz.engine.backend import Backend
    from memviz.engine.loading import Loaded

log = logging.getLogger(__name__)
BATCH = 128
"""Rows decoded together, and lost at most when the process is killed. Another number computes all anew."""
MALFORMED = "malformed.txt"
_SECONDS_BETWEEN = 0.5


def run_sweep(
    task: SweepTask,
    backend: Backend,
    store: Store,
    folder: Path,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
    batch: int = BATCH,
) -> Sweep:
    """Run a sweep into a folder, or go on where one was left; batches in the store are not computed again.

    `report(done, total)` counts tokens to be read. Raises InputError, Failure, OSError,
    and whatever `report` and `say` raise to cancel.
    """
    from memviz.engine.preparing import prepare

    if batch < 1:
        raise InputError(f"a batch of {batch} rows was asked for: give at least 1")
    cards = [prepare(find_model(name, backend.settings), backend.settings, say) for name in task.models]
    tokenizer = _tokenizer(task, cards, backend)
    with _folder_held(folder):
        return _Run(task, backend, store, folder, cards, tokenizer, report, say, batch).run()


def _tokenizer(task: SweepTask, cards: list[Card], backend: Backend) -> Tokenizer:
    """The tokenizer that all models of a sweep share. Raises InputError where they do not, or do not fit the sizes."""
    found = [
        Tokenizer(card_folder(find_model(c.name, backend.settings), backend.settings), c.leading_ids) for c in cards
    ]
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
def _folder_held(folder: Path) -> Iterator[None]:
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
    ours = {MANIFEST, MALFORMED, ROWS, "sequences.parquet", "positions.parquet"}
    return all(name in ours or name.startswith(".") for name in names)


class _Run:
    """One sweep under way."""

    def __init__(
        self,
        task: SweepTask,
        backend: Backend,
        store: Store,
        folder: Path,
        cards: list[Card],
        tokenizer: Tokenizer,
        report: Report,
        say: Say,
        batch: int,
    ) -> None:
        self.task, self.backend, self.store, self.folder = task, backend, store, folder
        self.cards, self.tokenizer, self.report, self.say, self.batch = cards, tokenizer, report, say, batch
        self.start = time.monotonic()
        self.n_computed = self.n_reused = 0
        self.done = self.total = self.computed_tokens = 0
        self.computing_seconds = 0.0
        self.last_said = 0.0
        self.files: dict[str, list[int]] = {}

    def run(self) -> Sweep:
        self._refuse_other_sweeps()
        self.say("reading the rows")
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
        if request != self.task.request():
            raise InputError(f"{self.folder} holds another sweep: name a new folder")

    def _write_tables(self, rows: PreparedRows, what: Plan, places: ExitStack) -> dict[str, TableFile]:
        """The finished tables, by name; they are in their places when `places` ends well."""
        schemas = {"sequences": schema_of(sequence_columns(self.task), rows.labels)}
        if self.task.positions:
            schemas["positions"] = schema_of(POSITION_COLUMNS, {})
        files = {name: places.enter_context(table_file(self.folder, name, schemas[name])) for name in schemas}
        makers = {"sequences": sequences, "positions": positions}
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
        n_tokens = prompts.context_ids.size + 2 * prompts.continuation_ids.size
        key = survey_key(card, self.task.dtype, self.backend.device.type, prompts)
        survey = stored_survey(self.store, key)
        if survey is not None:
            self.n_reused += 1
        else:
            survey, was_stored = self._compute(card, prompts, key)
            self.n_reused += was_stored
            self.n_computed += not was_stored
        self.done += n_tokens
        self.report(self.done, self.total)
        return survey

    def _compute(self, card: Card, prompts: Prompts, key: str) -> tuple[Survey, bool]:
        """What a model says of a batch, and whether another process computed it while this one waited."""
        from memviz.engine.devices import device_lock
        from memviz.engine.tracing import survey as ask

        # for one batch only, so that others who want the device wait no longer than that
        with device_lock(self.backend.settings, self.backend.device, lambda: self.report(self.done, self.total)):
            found = stored_survey(self.store, key)
            if found is not None:
                return found, True
            loaded, noise = self._loaded(card)
            start, before = time.monotonic(), self.done
            found = ask(
                loaded, prompts, noise, lambda done, total: self.report(min(before + done, self.total), self.total)
            )
            self.computing_seconds += time.monotonic() - start
            self.computed_tokens += prompts.context_ids.size + 2 * found.generated_ids.size
        self.store.put(key, to_arrays(found), {"request": {"task": "survey", "model": card.name}, "engine": ENGINE})
        return found, False

    def _loaded(self, card: Card) -> tuple[Loaded, float]:
        loaded = self.backend.load(card, self.task.dtype)
        return loaded, self.backend.logit_noise(loaded)

    def _say_progress(self, card: Card, condition: Condition, n_done: int, n_rows: int) -> None:
        now = time.monotonic()
        if now - self.last_said < _SECONDS_BETWEEN:
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
            "request": self.task.request(),
            "command": sweep_command(self.task, str(self.folder)),
            "rows": {
                "n": rows.n,
                "sha256": rows.sha256,
                "n_read": rows.n_read,
                "n_malformed": rows.n_malformed,
                "n_cut": rows.n_cut,
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
                "batch": self.batch,
                "seconds": round(time.monotonic() - self.start, 3),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "device": self.backend.device.type,
                "versions": {name: version(name) for name in ("torch", "transformers", "numpy", "pyarrow")},
            },
        }

    def _about_model(self, card: Card) -> dict[str, Any]:
        model = find_model(card.name, self.backend.settings)
        facts = {name: getattr(model, name) for name in ("family", "size", "step", "n_steps", "seed")}
        known = {name: getattr(card, name) for name in ("name", "label", "revision", "weights", "n_parameters")}
        return known | facts | {"dtype": self.task.dtype, "leading_ids": card.leading_ids}


def survey_key(card: Card, dtype: str, device_kind: str, prompts: Prompts) -> str:
    """The key of a batch: weights, ENGINE, dtype, below float32 the kind of device, and the very tokens asked."""
    assert prompts.continuation_ids is not None
    digest = hashlib.sha256(str((prompts.context_ids.shape, prompts.continuation_ids.shape)).encode())
    digest.update(prompts.context_ids.tobytes() + prompts.continuation_ids.tobytes())
    where = {} if dtype == "float32" else {"device": device_kind}
    asked = {"task": "survey", "weights": card.weights, "engine": ENGINE, "dtype": dtype, "prompts": digest.hexdigest()}
    return request_hash(asked | where)


def stored_survey(store: Store, key: str) -> Survey | None:
    """A batch from the store, or None where it must be computed."""
    found = store.get(key)
    if found is None:
        return None
    try:
        return from_arrays(Survey, found[0])
    except (KeyError, TypeError, ValueError):
        store.delete(key)
        return None


def duration(seconds: float) -> str:
    """A time left in words, no finer than it is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
