"""Which rows and sweeps running jobs of any process use: what is in use is neither deleted nor renamed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memviz import disk
from memviz.settings import Settings
from memviz.sweeps.rowset import RowSet

_FOLDER = "locks/sweeps"


@contextmanager
def using(settings: Settings, folder: Path, rows: RowSet | None = None) -> Iterator[None]:
    """Say, while the block runs, that the sweep in a folder is used, and these rows. Raises Failure."""
    about = settings.cache / _FOLDER / f"{uuid.uuid4().hex}.json"
    disk.write_text(about, json.dumps({"folder": str(folder.resolve()), "rows": rows and rows.request()}))
    lock = FileLock(about.with_suffix(".lock"))
    with disk.refusing(about.parent):
        lock.acquire()
    try:
        yield
    finally:
        about.unlink(missing_ok=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def in_use(settings: Settings) -> list[dict[str, Any]]:
    """`folder` and `rows` of every use; what a killed process left is removed."""
    found = []
    for about in (settings.cache / _FOLDER).glob("*.json"):
        lock = FileLock(about.with_suffix(".lock"))
        try:
            said = json.loads(about.read_text("utf-8"))
            lock.acquire(timeout=0)
        except Timeout:
            found.append(said)
        except (OSError, ValueError):  # it ended just now
            continue
        else:
            about.unlink(missing_ok=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    return found
