"""Several visitors at one worker: long jobs give way, the queue is bounded, and nobody ends what others wait for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from support.machines import end_all
from support.waiting import until

from memviz.engine.turns import turn
from memviz.errors import InputError
from memviz.jobs import Job, Status, Worker
from memviz.jobs import worker as jobs
from memviz.jobs.leftover import Notes, left_over
from memviz.jobs.turns import in_turn
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Answer, Context
from memviz.tasks.trace import TraceTask


@dataclass(frozen=True)
class Long(TraceTask):
    long = True


class Engine:
    """Runs a task by reporting its steps, each once the test lets it."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.passes = threading.Semaphore(0)

    def answer(self, task: TraceTask, context: Context) -> Answer[None]:
        for step in range(task.n_steps):
            assert self.passes.acquire(timeout=20)
            context.report(step + 1, task.n_steps)
        self.ended.append(task.context_ids[0])
        return Answer("f" * 64, None, False)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    stand_in = Engine()
    monkeypatch.setattr(jobs, "answer", stand_in.answer)
    monkeypatch.setattr(jobs, "BREATH", 0.0)
    return stand_in


@pytest.fixture
def worker(tmp_path: Path, engine: Engine) -> Iterator[Worker]:
    made = Worker(Settings(cache=tmp_path), Store(tmp_path / "results", 10**6), make_backend=object)
    yield made
    end_all(made, engine.passes)


def short(n: int) -> TraceTask:
    return TraceTask("tiny", (n,), None, 1)


def long(n: int, n_steps: int = 50) -> Long:
    return Long("tiny", (n,), None, n_steps)


def test_a_long_job_gives_way_to_one_short_one_of_each_who_waits(worker: Worker, engine: Engine) -> None:
    sweep = worker.ask(long(0), "anna")
    until(lambda: sweep.status == Status.RUNNING)
    bens, carls = [worker.ask(short(n), "ben") for n in (1, 2)], worker.ask(short(3), "carl")
    other = worker.ask(long(9, 1), "dora")
    assert [worker.place(job) for job in (*bens, carls, other)] == [0, 2, 1, 3], "the sweep is before no trace"
    engine.passes.release(3)  # one step of the sweep, then a trace of each
    until(lambda: engine.ended == [1, 3])
    assert sweep.done == 1 and sweep.active and bens[1].status == Status.QUEUED
    engine.passes.release(2)
    until(lambda: engine.ended == [1, 3, 2])
    assert sweep.done == 2 and other.status == Status.QUEUED, "two long ones do not share"
    engine.passes.release(49)
    until(lambda: engine.ended == [1, 3, 2, 0, 9])


def test_a_job_in_a_break_passes_by_the_locks_of_the_long_one_and_others_do_not(tmp_path: Path) -> None:
    seen: list[str] = []

    def enter(name: str) -> None:
        def waiting() -> None:
            raise TimeoutError

        try:
            with turn(tmp_path, "cpu", waiting):
                seen.append(name)
        except TimeoutError:
            seen.append(f"{name} waits")

    with turn(tmp_path, "cpu", lambda: None):
        for run, name in ((copy_context().run, "break"), (lambda f, n: f(n), "stranger")):
            thread = threading.Thread(target=run, args=(enter, name))
            thread.start()
            thread.join()
    enter("later")
    assert seen == ["break", "stranger waits", "later"]


def in_turn_by_trying(queued: Sequence[Job], turns: dict[str, int], least: int) -> list[int]:
    """The definition: again and again the job whose sessions were served least, the oldest of those."""
    waiting, served, order = list(queued), dict(turns), []
    while waiting:
        first = min(waiting, key=lambda job: (min((served.get(s, least) for s in job.sessions), default=least), job.id))
        waiting.remove(first)
        order.append(first.id)
        for session in first.sessions:
            served[session] = served.get(session, least) + 1
    return order


def test_who_waits_for_another_process_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    held, said = FileLock(tmp_path / "locks" / "cpu.lock"), list[str]()
    held.acquire()
    with turn(tmp_path, "cpu", held.release, said.append):
        assert said == ["waiting for another memviz process to leave cpu"]


def test_the_order_is_that_of_its_definition() -> None:
    chance = random.Random(1)
    for _ in range(50):
        turns = {name: chance.randrange(6) for name in "abc"}
        queued = [Job(n, str(n), short(n)) for n in range(chance.randrange(25))]
        for job in queued:
            job.sessions = set(chance.sample("abcde", chance.randrange(4)))
        assert [job.id for job, _ in in_turn(queued, turns, 3)] == in_turn_by_trying(queued, turns, 3)


def test_the_order_of_two_thousand_is_found_at_once() -> None:
    queued = [Job(n, str(n), short(n), sessions={str(n % 20)}) for n in range(2000)]
    start = time.thread_time()
    assert len(list(in_turn(queued, {}, 0))) == 2000
    assert time.thread_time() - start < 0.5, "it took 2.1 s when each place was sought among all"


def test_a_session_and_all_together_may_ask_for_so_many_and_each_for_one(worker: Worker, engine: Engine) -> None:
    for n in range(jobs.MOST_OF_A_SESSION):
        worker.ask(short(n), "anna")
    with pytest.raises(InputError, match="60 runs of yours are under way or waiting, the most there may be: wait"):
        worker.ask(short(1000), "anna")
    worker.ask(short(0), "anna")  # joins its own
    for n in range(jobs.MOST_IN_ALL - jobs.MOST_OF_A_SESSION):
        worker.ask(short(2000 + n), f"session {n // 50}")
    worker.ask(short(3000), "ben")
    with pytest.raises(InputError, match="301 runs are under way or waiting here, the most there may be: wait a while"):
        worker.ask(short(3001), "ben")
    assert worker.n_active == jobs.MOST_IN_ALL + 1
    engine.passes.release(jobs.MOST_IN_ALL + 1)
    until(lambda: worker.n_active == 0, 20)
    worker.ask(short(1000), "anna")  # there is room again
    engine.passes.release()


def test_who_asked_ends_a_job_and_all_may_once_they_left(worker: Worker, engine: Engine) -> None:
    job = worker.ask(long(0), "anna")
    job.attend("ben")  # he opened the link
    assert job.may_end("anna") and not job.may_end("ben")
    worker.ask(long(0), "carl")
    worker.cancel(job, "carl")
    assert job.active and not job.given_up and job.may_end("anna") and not job.may_end("carl")
    worker.leave("anna")
    assert job.may_end("ben") and job.may_end("anybody")
    worker.cancel(job, "ben")
    engine.passes.release()
    until(lambda: job.status == Status.CANCELLED)


def test_what_a_killed_process_was_to_go_on_with_is_found(worker: Worker, engine: Engine, tmp_path: Path) -> None:
    plain, kept = worker.ask(short(1), "anna"), worker.ask(short(2), "anna")
    worker.keep(kept, True)
    worker.keep(worker.ask(short(3), "anna"), True)
    assert left_over(tmp_path) == {}, "it lives"
    engine.passes.release()
    until(lambda: not plain.active)
    worker._notes._lock.release()  # type: ignore[union-attr] # what its end does
    found = left_over(tmp_path)
    assert sorted(map(str, found.values())) == sorted(map(str, (kept.task.request(), short(3).request())))
    engine.passes.release(2)
    until(lambda: worker.n_active == 0)
    assert left_over(tmp_path) == {} and not list((tmp_path / "locks" / "jobs").glob("*/"))


def test_a_job_that_is_no_longer_to_go_on_is_not_offered(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.add("a" * 64, {"task": "trace"})
    notes.add("b" * 64, {"task": "trace"})
    notes.drop("a" * 64)
    notes._lock.release()  # type: ignore[union-attr]
    assert [path.stem for path in left_over(tmp_path)] == ["b" * 64]
