"""Locks that keep memviz processes, and threads of one, off each other; without torch."""

from __future__ import annotations

import logging
import threading
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
def turn(
    cache: Path, name: str, waiting: Callable[[], None], say: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold what `name` says against other memviz processes of a cache. Calls `waiting`, which may raise to give up.

    What is held already is held on. Tells `say` once where another process has it.

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
                say(f"waiting for another memviz process to leave {name}")
            said = True
            waiting()
    token = _HELD.set(_HELD.get() | {path})
    try:
        yield
    finally:
        _HELD.reset(token)
        lock.release()


class Gate:
    """Lets a thread load a model while no other thread computes: libraries change what is global while they load."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing: set[int] = set()
        self._alone: list[int] = []
        """Threads that load or want to, the first of which does."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Compute, but not while another thread loads."""
        me = threading.get_ident()
        self._enter(me)
        try:
            yield
        finally:
            with self._changed:
                self._computing.discard(me)
                self._changed.notify_all()

    def let_pass(self) -> None:
        """Whoever computes comes by here between passes: wait for those who want to load."""
        if self._alone:
            with self.resting():
                pass

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Not compute for a while: others may load."""
        me = threading.get_ident()
        with self._changed:
            was_computing = me in self._computing
            self._computing.discard(me)
            self._changed.notify_all()
        try:
            yield
        finally:
            if was_computing:
                self._enter(me)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Load, once nobody else does and those who compute have come by."""
        me = threading.get_ident()
        with self._changed:
            was_computing = me in self._computing
            self._computing.discard(me)
            self._alone.append(me)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._alone[0] == me and not self._computing)
        try:
            yield
        finally:
            with self._changed:
                self._alone.remove(me)
                if was_computing:
                    self._computing.add(me)
                self._changed.notify_all()

    def _enter(self, me: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._computing.add(me)


GATE = Gate()
"""The one of this process."""
