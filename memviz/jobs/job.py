"""One task under way: its progress, who waits for it, and when it is given up."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from memviz.engine.turns import GATE
from memviz.tasks.base import Task


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cancelled(Exception):
    """Raised inside a task whose job was given up."""


@dataclass
class Job:
    """One task under way. Read by any thread; changed by the worker alone, but for `attend`, `leave` and `cancel`."""

    id: int
    key: str
    """The task's hash."""
    task: Task[Any]
    status: Status = Status.QUEUED
    stage: str = "waiting"
    done: int = 0
    total: int = 0
    error: str | None = None
    """One sentence, where it failed."""
    result: str | None = None
    """Key of the stored result."""
    computed: bool = False
    """Whether the result was computed for this job, rather than found in the store."""
    kept: bool = False
    """Goes on without any session."""
    partial: Any = None
    """What is known of the result so far, where the task shows it."""
    grace: float = math.inf
    """Seconds that it goes on without any session, unless it is kept."""
    started: float | None = None
    ended: float | None = None
    sessions: set[str] = field(default_factory=set)
    """Who waits for it, or looks on."""
    askers: set[str] = field(default_factory=set)
    """Who pressed a button for it."""
    give_way: Callable[[], None] = lambda: None
    """Called at each report; lets others run where the task is long."""
    _alone_since: float | None = None
    _cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.status in (Status.QUEUED, Status.RUNNING)

    @property
    def seconds_left(self) -> float | None:
        """By what is done of it, None where nothing is known."""
        return self.seconds * (self.total - self.done) / self.done if self.done and self.total else None

    def may_end(self, session: str) -> bool:
        """Whether a session may end it: one that asked for it, and any once all of those are gone."""
        return session in self.askers or not self.askers & self.sessions

    @property
    def seconds(self) -> float:
        """Since it started, 0 while it waits."""
        return 0.0 if self.started is None else (self.ended or time.monotonic()) - self.started

    def attend(self, session: str) -> None:
        """A session waits for this job."""
        self.sessions.add(session)
        self._alone_since = None

    def leave(self, session: str) -> None:
        """A session is gone, or no longer interested."""
        self.sessions.discard(session)
        if not self.sessions and self._alone_since is None:
            self._alone_since = time.monotonic()

    def cancel(self) -> None:
        """Give up at the next report; `Worker.cancel` also ends a job that waits."""
        self._cancel.set()

    @property
    def given_up(self) -> bool:
        alone = self._alone_since
        deserted = not self.kept and alone is not None and time.monotonic() - alone > self.grace
        return self._cancel.is_set() or deserted

    def report(self, done: int, total: int) -> None:
        """Progress of the task; raises Cancelled where the job was given up."""
        if total:
            self.done, self.total = done, total
        self._go_on()

    def say(self, stage: str) -> None:
        """What the task does now."""
        self.stage = stage
        self._go_on()

    def _go_on(self) -> None:
        GATE.let_pass()
        if not self.given_up:
            self.give_way()
        if self.given_up:
            raise Cancelled

    def show(self, partial: Any) -> None:
        """What is known of the result so far."""
        self.partial = partial
