"""The folder that a sweep is written into, and the rows that are prepared there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memviz import __version__, disk
from memviz.catalog import Card
from memviz.errors import InputError
from memviz.store import request_hash
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.plan import n_needed
from memviz.sweeps.preparing import ROWS, PreparedRows, prepare_rows
from memviz.sweeps.results import MANIFEST, NAME, TABLES
from memviz.sweeps.rowset import file_times
from memviz.sweeps.task import SweepRequest
from memviz.tasks.base import Context
from memviz.tokenizer import Tokenizer

MALFORMED = "malformed.txt"
ABOUT = ".rows.json"
"""Beside prepared rows that are shared: what is known of them."""
PART = ".part-"
"""How the folders of shards begin, inside the folder of their sweep."""


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Hold an output folder against other processes. Raises InputError where it is in use or holds other things."""
    check_folder(folder)
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


def check_folder(folder: Path) -> None:
    """Raise InputError where a folder holds other things than a sweep."""
    if folder.exists() and (not folder.is_dir() or not _may_be_used(folder)):
        raise InputError(f"{folder} holds something other than a sweep: name a new folder")


def _may_be_used(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    ours = {MANIFEST, MALFORMED, NAME, *(f"{table}.parquet" for table in TABLES)}
    return all(name in ours or name.startswith(".") for name in names)


@contextmanager
def part_held(folder: Path, name: str) -> Iterator[Path]:
    """A folder for a part of a sweep inside the sweep's own, which goes when the block ends well."""
    check_folder(folder)
    part = folder / f"{PART}{name}"
    with folder_held(part):
        yield part
    shutil.rmtree(part, ignore_errors=True)


def remove_parts(folder: Path) -> None:
    """Remove what killed shards left; those under way stay."""
    for part in folder.glob(f"{PART}*"):
        with suppress(InputError), folder_held(part):
            shutil.rmtree(part, ignore_errors=True)


def rows_in(
    folder: Path, task: SweepRequest, cards: list[Card], tokenizer: Tokenizer, context: Context
) -> PreparedRows:
    """A sweep's rows in its folder: from beside the batches where one who shares them has prepared them, else prepared.

    What is wrong with a row is in `MALFORMED` there. Raises InputError, Failure, and what `report` and `say` raise.
    """
    files = context.batches if isinstance(context.batches, BatchFiles) else None
    n_vocabulary = min(card.vocab_size for card in cards)
    asked: dict[str, Any] = {
        "rows": task.rows.request(), "needed": n_needed(task), "tokenizer": tokenizer.hash, "version": __version__,
        "vocabulary": n_vocabulary, "files": file_times(task.rows),
    }  # fmt: skip
    name = f"prepared/{request_hash(asked)}"
    if files is not None and (found := _brought(files, name, folder)) is not None:
        return found
    malformed = folder / MALFORMED
    with disk.new_file(malformed) as new, new.open("w", encoding="utf-8") as lines:
        rows = prepare_rows(
            task.rows,
            folder / ROWS,
            n_needed(task),
            tokenizer,
            n_vocabulary,
            lambda line, problem: print(f"line {line}: {problem}", file=lines),
            lambda n_read: context.report(0, 0),
            context.say,
        )
    if files is not None:
        disk.write_text(folder / ABOUT, json.dumps(asdict(rows) | {"path": ""}))
        for each in (ROWS, MALFORMED, ABOUT):  # what is said of them comes last
            files.bring(folder / each, f"{name}/{each}")
        (folder / ABOUT).unlink()
    return rows


def _brought(files: BatchFiles, name: str, folder: Path) -> PreparedRows | None:
    """Rows that were prepared before, or None."""
    if not files.fetch(f"{name}/{ABOUT}", folder / ABOUT):
        return None
    said = json.loads((folder / ABOUT).read_text("utf-8"))
    (folder / ABOUT).unlink()
    if not all(files.fetch(f"{name}/{each}", folder / each) for each in (ROWS, MALFORMED)):
        return None
    lengths = {int(length): count for length, count in said["lengths"].items()}
    return PreparedRows(**said | {"path": folder / ROWS, "lengths": lengths, "read_as": tuple(said["read_as"])})
