"""Locks that keep memviz processes off each other; without torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout

from memviz.disk import refusing

log = logging.getLogger(__name__)
_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
"""Locks of whoever waits meanwhile: a short job that runs in a break of a long one passes by them."""


@contextmanager
def turn(cache: Path, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold what `name` says against other memviz processes of a cache. Calls `waiting`, which may raise to give up.

    What is held already is held on.

    Raises Failure where the lock cannot be written.
    """
    folder = cache / "locks"
    with refusing(cache):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    if path in _HELD.get():
        yield
        return
    lock = FileLock(path)
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
    token = _HELD.set(_HELD.get() | {path})
    try:
        yield
    finally:
        _HELD.reset(token)
        lock.release()
