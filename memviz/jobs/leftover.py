"""Jobs that were to go on alone, written down until they end: what a killed process leaves can be offered again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memviz import disk
from memviz.errors import MemvizError
from memviz.store.keys import HASH


class Notes:
    """What one process has to do: a folder of requests, and a lock that says that the process lives."""

    def __init__(self, cache: Path) -> None:
        self._folder = _folder(cache) / uuid.uuid4().hex
        self._lock: FileLock | None = None

    def add(self, name: str, request: Mapping[str, Any]) -> None:
        """Write a request down; a cache that cannot be written keeps no notes."""
        with suppress(MemvizError, OSError):
            disk.write_text(self._folder / f"{name}.json", json.dumps(request))
            if self._lock is None:
                self._lock = FileLock(self._folder.with_suffix(".lock"))
                self._lock.acquire(timeout=0)

    def drop(self, name: str) -> None:
        """It has ended, or is no longer to go on."""
        with suppress(OSError):
            (self._folder / f"{name}.json").unlink(missing_ok=True)


def left_over(cache: Path) -> dict[Path, Any]:
    """Requests of jobs that processes left when they ended, by the file of each."""
    found = {}
    for folder in sorted(_folder(cache).glob("*/")):
        lock = FileLock(folder.with_suffix(".lock"))
        with suppress(OSError, Timeout), lock.acquire(timeout=0):
            for path in folder.glob("*.json"):
                with suppress(OSError, ValueError):
                    if HASH.fullmatch(path.stem):
                        found[path] = json.loads(path.read_text("utf-8"))
            if not any(folder.iterdir()):
                folder.rmdir()
                Path(lock.lock_file).unlink(missing_ok=True)
    return found


def _folder(cache: Path) -> Path:
    return cache / "locks" / "jobs"
