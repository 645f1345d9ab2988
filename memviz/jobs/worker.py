"""The worker: a queue, and a lane a device that runs what waits in it."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from memviz.engine.turns import GATE
from memviz.errors import InputError, sentence
from memviz.jobs.job import Cancelled, Job, Status
from memviz.jobs.leftover import Notes
from memviz.jobs.turns import in_turn
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Context, Task, answer

log = logging.getLogger(__name__)
KEPT_SECONDS = 600.0
"""Ended jobs are remembered this long, for the sessions that wait for them."""
MOST_OF_A_SESSION = 60
"""Jobs that one session may have under way or waiting."""
MOST_IN_ALL = 300
"""Of all sessions; one that has none may ask for one all the same."""
BREATH = 1.0
"""Seconds that a long job runs between two breaks, in which others run."""


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
    """Runs one job a device in order of arrival, taking turns between sessions; long ones give way to the others.

    A job goes to a free device that holds its model, else to any free one. torch is imported by its threads alone, so
    how many devices there are is known once the first engine has started.
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
        self._notes = Notes(settings.cache)

    def ask(self, task: Task[Any], session: str | None = None) -> Job:
        """The job of a task: the one under way where an equal one is, else a new one at the end of the queue.

        Raises InputError where the session, or all together, have asked for too much.
        """
        with self._changed:
            job = self._jobs.get(task.hash)
            if job is None or not job.active or job.given_up:
                self._forget_old()
                self._refuse_more(session)
                grace = self._settings.grace
                job = self._jobs[task.hash] = Job(next(self._ids), task.hash, task, kept=task.kept, grace=grace)
                log.info("job %d queued: %s", job.id, task.kind)
            if session is not None:
                job.attend(session)
                job.askers.add(session)
                self._turns[session] = max(self._turns.get(session, 0), self._turn)
            self._start_lanes()
            self._changed.notify_all()
        self.keep(job, job.kept)
        return job

    def job(self, key: str) -> Job | None:
        """The job of a task's hash, under way or ended a while ago."""
        return self._jobs.get(key)

    def jobs_of(self, session: str) -> list[Job]:
        """What a session waits for or has waited for, oldest first; ended jobs are forgotten after a while."""
        with self._changed:
            return [job for job in self._jobs.values() if session in job.sessions]

    def jobs(self) -> list[Job]:
        """Every job under way or waiting, in the order in which they run."""
        with self._changed:
            waiting = (job for job in self._jobs.values() if job.status == Status.QUEUED)
            running = [job for job in self._jobs.values() if job.status == Status.RUNNING]
            return running + [job for job, _ in in_turn(waiting, self._turns, self._turn)]

    def place(self, job: Job) -> int:
        """Jobs before this one as the queue stands, the running one included; a long one is before no short one."""
        before = self.jobs()
        before = before[: before.index(job)] if job in before else []
        return sum(job.task.long or not other.task.long for other in before)

    def keep(self, job: Job, kept: bool) -> None:
        """Whether a job goes on without any session; then it is offered again where this process is killed before."""
        job.kept = kept
        if kept and job.askers:
            self._notes.add(job.key, job.task.request())
        if not kept or not job.active:
            self._notes.drop(job.key)

    def cancel(self, job: Job, session: str | None = None) -> None:
        """Give a job up: at once where it waits, within one forward pass where it runs.

        A session that is not the only one that asked for it withdraws, and the job goes on for the others.
        """
        with self._changed:
            job.askers.discard(session or "")
            if session is not None and job.askers & job.sessions:
                job.leave(session)
                return
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

    def _refuse_more(self, session: str | None) -> None:
        if session is None:
            return
        active = [job for job in self._jobs.values() if job.active]
        n_own = sum(session in job.askers for job in active)
        if n_own >= MOST_OF_A_SESSION:
            raise InputError(f"{n_own} runs of yours are under way or waiting, the most there may be: wait for some")
        if n_own and len(active) >= MOST_IN_ALL:
            raise InputError(f"{len(active)} runs are under way or waiting here, the most there may be: wait a while")

    def _forget_old(self) -> None:
        now = time.monotonic()
        for key, job in list(self._jobs.items()):
            if job.ended is not None and now - job.ended > KEPT_SECONDS:
                del self._jobs[key]

    def _default_backend(self, device: str) -> Any:
        from memviz.engine.backend import Backend

        return Backend(self._settings.model_copy(update={"device": device}), n_spare_cores=1)

    def _start_lanes(self) -> None:
        for i, lane in enumerate(self._lanes):
            if lane.thread is None or not lane.thread.is_alive():
                lane.thread = threading.Thread(target=self._work, args=(lane,), name=f"memviz-worker-{i}", daemon=True)
                lane.thread.start()

    def _next(self, lane: Lane) -> Job:
        """The queued job of the session that was served least, the oldest of it; waits for one.

        What another lane that waits too holds the model of is left to that lane.
        """

        def fits(job: Job) -> bool:
            others = (other for other in self._lanes if other is not lane and other.waits)
            return lane.holds(job) or not any(other.holds(job) for other in others)

        with self._changed:
            while True:
                if job := self._take(fits):
                    lane.waits = False
                    self._changed.notify_all()  # what was left to this lane may be taken by others
                    return job
                lane.waits = True
                self._changed.wait(timeout=1.0 if any(job.active for job in self._jobs.values()) else None)

    def _take(self, fits: Callable[[Job], bool]) -> Job | None:
        """The queued job whose turn it is among those that fit, counted among the turns; None where none waits."""
        with self._changed:
            queued = [job for job in self._jobs.values() if job.status == Status.QUEUED]
            for job in queued:
                if job.given_up:
                    self._end(job, Status.CANCELLED)
            fitting = (job for job in queued if job.status == Status.QUEUED and fits(job))
            for job, turn in in_turn(fitting, self._turns, self._turn):
                self._turn = max(self._turn, turn)
                for session in tuple(job.sessions):
                    self._turns[session] = self._turns.get(session, self._turn) + 1
                job.status, job.started = Status.RUNNING, time.monotonic()
                return job
            return None

    def _break(self, lane: Lane) -> Callable[[], None]:
        """What a long job calls at every report: now and then a short one of each group that waits runs to its end.

        In a thread of its own, so that no mode of the long job's thread reaches it; locks of the long job hold for it.
        """
        since = time.monotonic()

        def give_way() -> None:
            nonlocal since
            if time.monotonic() - since < BREATH:
                return
            served: set[str] = set()

            def fits(job: Job) -> bool:
                return not job.task.long and not job.sessions & served

            while job := self._take(fits):
                served.update(job.sessions)
                run = contextvars.copy_context().run
                thread = threading.Thread(target=run, args=(self._finish, job, lane), name="memviz-short", daemon=True)
                with GATE.resting():
                    thread.start()
                    thread.join()
            since = time.monotonic()

        return give_way

    def _work(self, lane: Lane) -> None:
        while True:
            job = self._next(lane)
            if job.task.long:
                job.give_way = self._break(lane)
            self._finish(job, lane, then_waits=True)

    def _finish(self, job: Job, lane: Lane, then_waits: bool = False) -> None:
        """Run a job to its end, whatever that is."""
        try:
            with GATE.working():
                self._run(job, lane)
            status = Status.DONE
        except Cancelled:
            status = Status.CANCELLED
        except Exception as error:
            status = Status.FAILED
            said, name = sentence(error), type(error).__name__
            job.error = said or f"something went wrong ({name}); the server's log says where"
            log.log(logging.INFO if said else logging.ERROR, "job %d failed: %s", job.id, name, exc_info=said is None)
        with self._changed:
            self._end(job, status)
            lane.waits = then_waits

    def _end(self, job: Job, status: Status) -> None:
        job.status, job.ended = status, time.monotonic()
        self._notes.drop(job.key)
        log.info("job %d %s after %.2f s", job.id, status.value, job.seconds)

    def _run(self, job: Job, lane: Lane) -> None:
        start = lambda: self._engine(job, lane)  # noqa: E731
        context = Context(self._settings, self._store, job.report, job.say, job.show, start=start)
        job.result, _, was_stored = answer(job.task, context)
        job.computed = not was_stored

    def _engine(self, job: Job, lane: Lane) -> Any:
        if lane.backend is None:
            job.say("starting the engine")
        if lane.backend is None:  # a short job may have started it just then
            lane.backend = self._make_backend(lane.device)
            if lane is self._lanes[0]:
                with self._changed:
                    self._lanes += [Lane(device) for device in lane.backend.others]
                    self._start_lanes()
        return lane.backend
