"""Tasks in the background: one queue, a lane a device, jobs with progress and a real cancel."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from typing import Any

from memviz.engine.turns import GATE
from memviz.errors import MemvizError, sentence
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Context, Task, answer

log = logging.getLogger(__name__)
KEPT_SECONDS = 600.0
"""Ended jobs are remembered this long, for the sessions that wait for them."""


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
    _sessions: set[str] = field(default_factory=set)
    _alone_since: float | None = None
    _cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.status in (Status.QUEUED, Status.RUNNING)

    @property
    def seconds(self) -> float:
        """Since it started, 0 while it waits."""
        return 0.0 if self.started is None else (self.ended or time.monotonic()) - self.started

    def attend(self, session: str) -> None:
        """A session waits for this job."""
        self._sessions.add(session)
        self._alone_since = None

    def leave(self, session: str) -> None:
        """A session is gone, or no longer interested."""
        self._sessions.discard(session)
        if not self._sessions and self._alone_since is None:
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
        GATE.let_pass()
        if total:
            self.done, self.total = done, total
        if self.given_up:
            raise Cancelled

    def say(self, stage: str) -> None:
        """What the task does now."""
        self.stage = stage
        if self.given_up:
            raise Cancelled

    def show(self, partial: Any) -> None:
        """What is known of the result so far."""
        self.partial = partial


@dataclass
class Lane:
    """One thread that runs jobs, with the engine of one device."""

    device: str
    """As settings name it."""
    backend: Any = None
    thread: threading.Thread | None = None
    waits: bool = False
    """For a job."""

    def holds(self, job: Job) -> bool:
        """Whether a model that the job is about is in this device's memory."""
        names = () if self.backend is None else self.backend.residents.names()
        return any(name in names for name in job.task.model_names)


class Worker:
    """Runs jobs in order of arrival, taking turns between sessions, one at a time on each device.

    A job goes to a free device that holds its model, else to any free one. torch is imported in the lanes alone, so how
    many there are is known once the first has started its engine.
    """

    def __init__(self, settings: Settings, store: Store, make_backend: Callable[[str], Any] | None = None) -> None:
        self._settings = settings
        self._store = store
        self._make_backend = make_backend or self._default_backend
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._lanes = [Lane(settings.device)]
        self._ids = count(1)
        self._turns: dict[str, int] = {}
        self._turn = 0
        """Of the session served last, before it was: who comes after a while starts there, with no credit or debt."""

    def ask(self, task: Task[Any], session: str | None = None) -> Job:
        """The job of a task: the one under way where an equal one is, else a new one at the end of the queue."""
        with self._changed:
            job = self._jobs.get(task.hash)
            if job is None or not job.active or job.given_up:
                self._forget_old()
                grace = self._settings.grace
                job = self._jobs[task.hash] = Job(next(self._ids), task.hash, task, kept=task.kept, grace=grace)
                log.info("job %d queued: %s", job.id, task.kind)
            if session is not None:
                job.attend(session)
                self._turns[session] = max(self._turns.get(session, 0), self._turn)
            self._start_lanes()
            self._changed.notify_all()
            return job

    def job(self, key: str) -> Job | None:
        """The job of a task's hash, under way or ended a while ago."""
        return self._jobs.get(key)

    def jobs_of(self, session: str) -> list[Job]:
        """What a session waits for or has waited for, oldest first; ended jobs are forgotten after a while."""
        with self._changed:
            return [job for job in self._jobs.values() if session in job._sessions]

    def place(self, job: Job) -> int:
        """Jobs before this one as the queue stands, the running one included."""
        with self._changed:
            waiting = [other for other in self._jobs.values() if other.status == Status.QUEUED]
            n_running = sum(other.status == Status.RUNNING for other in self._jobs.values() if other is not job)
            turns, n_before = dict(self._turns), 0
            while job in waiting and (first := self._first(waiting, turns)) is not job:
                waiting.remove(first)
                n_before += 1
        return n_running + n_before

    def cancel(self, job: Job) -> None:
        """Give a job up: at once where it waits, within one forward pass where it runs."""
        with self._changed:
            job.cancel()
            if job.status == Status.QUEUED:
                self._end(job, Status.CANCELLED)

    @property
    def backend(self) -> Any:
        """The first device's engine, None before it has started."""
        return self._lanes[0].backend

    @property
    def device(self) -> tuple[str, str] | None:
        """Kind and name of the engine's device, None before it has started; all of them are alike."""
        return None if self.backend is None else self.backend.where

    @property
    def models_in_memory(self) -> list[str]:
        """Names of the models that any device holds."""
        held = [lane.backend.residents.names() for lane in tuple(self._lanes) if lane.backend is not None]
        return list(dict.fromkeys(name for names in held for name in names))

    @property
    def n_active(self) -> int:
        with self._changed:
            return sum(job.active for job in self._jobs.values())

    def leave(self, session: str) -> None:
        """A session is gone: jobs that nobody else waits for are given up after a while."""
        with self._changed:
            for job in self._jobs.values():
                job.leave(session)
            self._turns.pop(session, None)

    def _forget_old(self) -> None:
        now = time.monotonic()
        for key, job in list(self._jobs.items()):
            if job.ended is not None and now - job.ended > KEPT_SECONDS:
                del self._jobs[key]

    def _default_backend(self, device: str) -> Any:
        from memviz.engine.backend import Backend

        return Backend(replace(self._settings, device=device), n_spare_cores=1)

    def _start_lanes(self) -> None:
        for i, lane in enumerate(self._lanes):
            if lane.thread is None or not lane.thread.is_alive():
                lane.thread = threading.Thread(target=self._work, args=(lane,), name=f"memviz-worker-{i}", daemon=True)
                lane.thread.start()

    def _next(self, lane: Lane) -> Job:
        """The queued job of the session that was served least, the oldest of it; waits for one.

        What another lane that waits too holds the model of is left to that lane.
        """
        with self._changed:
            while True:
                queued = [job for job in self._jobs.values() if job.status == Status.QUEUED]
                for job in queued:
                    if job.given_up:
                        self._end(job, Status.CANCELLED)
                others = [other for other in self._lanes if other is not lane and other.waits]
                queued = [
                    job
                    for job in queued
                    if job.status == Status.QUEUED
                    and (lane.holds(job) or not any(other.holds(job) for other in others))
                ]
                if queued:
                    job = self._first(queued, self._turns)
                    job.status, job.started = Status.RUNNING, time.monotonic()
                    lane.waits = False
                    self._changed.notify_all()  # what was left to this lane may be taken by others
                    return job
                lane.waits = True
                self._changed.wait(timeout=1.0 if any(job.active for job in self._jobs.values()) else None)

    def _first(self, queued: Sequence[Job], turns: dict[str, int]) -> Job:
        """The job whose session was served least, the oldest of those; counts it among the turns."""

        def turn(job: Job) -> tuple[int, int]:
            return min((turns.get(s, self._turn) for s in tuple(job._sessions)), default=self._turn), job.id

        job = min(queued, key=turn)
        if turns is self._turns:
            self._turn = max(self._turn, turn(job)[0])
        for session in tuple(job._sessions):
            turns[session] = turns.get(session, self._turn) + 1
        return job

    def _work(self, lane: Lane) -> None:
        while True:
            job = self._next(lane)
            try:
                with GATE.working():
                    self._run(job, lane)
                status = Status.DONE
            except Cancelled:
                status = Status.CANCELLED
            except Exception as error:
                status = Status.FAILED
                said, expected, name = sentence(error), isinstance(error, MemvizError), type(error).__name__
                job.error = said or f"something went wrong ({name}); the server's log says where"
                log.log(logging.INFO if expected else logging.ERROR, "job %d failed", job.id, exc_info=not expected)
            with self._changed:
                self._end(job, status)
                lane.waits = True

    def _end(self, job: Job, status: Status) -> None:
        job.status, job.ended = status, time.monotonic()
        log.info("job %d %s after %.2f s", job.id, status.value, job.seconds)

    def _run(self, job: Job, lane: Lane) -> None:
        start = lambda: self._engine(job, lane)  # noqa: E731
        context = Context(self._settings, self._store, job.report, job.say, job.show, start=start)
        job.result, _, was_stored = answer(job.task, context)
        job.computed = not was_stored

    def _engine(self, job: Job, lane: Lane) -> Any:
        if lane.backend is None:
            job.say("starting the engine")
            lane.backend = self._make_backend(lane.device)
            if len(self._lanes) == 1:
                with self._changed:
                    self._lanes += [Lane(device) for device in lane.backend.others]
                    self._start_lanes()
        return lane.backend
