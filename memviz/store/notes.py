"""Notes that count while the process that wrote them lives: what it uses, what it has started."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memviz import disk


@contextmanager
def noted(folder: Path, content: Mapping[str, Any]) -> Iterator[Path]:
    """Keep a note in a folder while the block runs; its file may be written again. Raises Failure."""
    note = folder / f"{uuid.uuid4().hex}.json"
    disk.write_text(note, json.dumps(content))
    lock = FileLock(note.with_suffix(".lock"))
    with disk.refusing(folder):
        lock.acquire()
    try:
        yield note
    finally:
        note.unlink(missing_ok=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def notes(folder: Path, left: Callable[[dict[str, Any]], None] = lambda content: None) -> list[dict[str, Any]]:
    """The notes of processes that live; those of killed ones are removed, after `left` has seen each."""
    found = []
    for note in folder.glob("*.json"):
        lock = FileLock(note.with_suffix(".lock"))
        try:
            content = json.loads(note.read_text("utf-8"))
            lock.acquire(timeout=0)
        except Timeout:
            found.append(content)
        except (OSError, ValueError):  # its process ended just now
            continue
        else:
            if note.exists():
                left(content)
            note.unlink(missing_ok=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    return found
