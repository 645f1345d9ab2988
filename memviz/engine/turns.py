"""Locks that keep memviz processes off each other; without torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from memviz.disk import refusing

log = logging.getLogger(__name__)


@contextmanager
def turn(cache: Path, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold what `name` says against other memviz processes of a cache. Calls `waiting`, which may raise to give up.

    Raises Failure where the lock cannot be written.
    """
    folder = cache / "locks"
    with refusing(cache):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    said = False
    while True:
        try:
            with refusing(cache):
                lock.acquire(timeout=0.5)
            break
        except Timeout:
            if not said:
                log.info("waiting for another memviz process to leave %s", name)
            said = True
            waiting()
    try:
        yield
    finally:
        lock.release()
