"""The worker: one job at a time, joined where equal, given up within one report, fair between sessions."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.machines import GRACE, Engine, Machine, ended, task
from support.waiting import until

from memviz.demo import index as corpora
from memviz.errors import InputError
from memviz.jobs import Status, Worker
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.preparing import IndexTask


def test_a_job_reports_its_progress_and_ends_with_its_key(worker: Worker, engine: Engine) -> None:
    job = worker.ask(task(1, 3), "anna")
    until(lambda: job.status == Status.RUNNING and job.stage == "decoding")
    engine.passes.release()
    until(lambda: (job.done, job.total) == (1, 3))
    engine.passes.release(2)
    until(ended(job))
    assert (job.status, job.result, job.done) == (Status.DONE, "f" * 64, 3)
    assert worker.job(task(1, 3).hash) is job


def test_one_at_a_time_in_order_with_a_place_in_the_queue(worker: Worker, engine: Engine) -> None:
    queued = [worker.ask(task(n), "anna") for n in range(3)]
    until(lambda: engine.ran == [0])
    assert [worker.place(job) for job in queued] == [0, 1, 2]
    assert worker.n_active == 3
    engine.passes.release(3)
    until(ended(queued[2]))
    assert engine.ran == [0, 1, 2] and engine.most_at_once == 1 and worker.n_active == 0


def test_equal_requests_join_and_ended_ones_run_again(worker: Worker, engine: Engine) -> None:
    first, second = worker.ask(task(1), "anna"), worker.ask(task(1), "ben")
    assert first is second
    engine.passes.release()
    until(ended(first))
    third = worker.ask(task(1), "anna")
    assert third is not first
    engine.passes.release()
    until(ended(third))
    assert engine.ran == [1, 1]


def test_cancel_ends_a_running_job_at_its_next_report_and_a_queued_one_unrun(worker: Worker, engine: Engine) -> None:
    running, waiting, last = (worker.ask(task(n, 50), "anna") for n in range(3))
    until(lambda: engine.ran == [0])
    waiting.cancel()
    running.cancel()
    engine.passes.release()
    until(ended(running))
    assert running.status == Status.CANCELLED and running.done == 1
    until(lambda: engine.ran == [0, 2])
    assert waiting.status == Status.CANCELLED
    last.cancel()
    engine.passes.release()
    until(ended(last))


def test_a_queued_job_is_cancelled_while_another_runs(worker: Worker, engine: Engine) -> None:
    running, waiting = worker.ask(task(1, 2), "anna"), worker.ask(task(2, 2), "ben")
    until(lambda: engine.ran == [1])
    worker.cancel(waiting)
    assert waiting.status == Status.CANCELLED and running.status == Status.RUNNING
    engine.passes.release(2)
    until(ended(running))
    assert running.status == Status.DONE and engine.ran == [1]


def test_a_job_ends_when_its_last_session_is_gone_and_not_before(worker: Worker, engine: Engine) -> None:
    job = worker.ask(task(1, 50), "anna")
    worker.ask(task(1, 50), "ben")
    until(lambda: job.status == Status.RUNNING)
    worker.leave("anna")
    time.sleep(2 * GRACE)
    engine.passes.release()
    until(lambda: job.done == 1)
    assert job.active, "ben still waits"
    worker.leave("ben")
    job.attend("ben")  # he came back within the grace
    time.sleep(2 * GRACE)
    engine.passes.release()
    until(lambda: job.done == 2)
    worker.leave("ben")
    time.sleep(2 * GRACE)
    engine.passes.release()
    until(ended(job))
    assert job.status == Status.CANCELLED


def test_a_kept_job_goes_on_alone(worker: Worker, engine: Engine) -> None:
    job = worker.ask(task(1, 2), "anna")
    job.kept = True
    worker.leave("anna")
    time.sleep(2 * GRACE)
    engine.passes.release(2)
    until(ended(job))
    assert job.status == Status.DONE


def test_a_session_finds_its_own_runs_again(worker: Worker, engine: Engine) -> None:
    mine, joined = worker.ask(task(1), "anna"), worker.ask(task(2), "ben")
    worker.ask(task(2), "anna")
    worker.ask(task(3), "ben")
    assert worker.jobs_of("anna") == [mine, joined]
    engine.passes.release(3)
    until(ended(mine))
    assert mine in worker.jobs_of("anna"), "what ended meanwhile can still be shown"
    assert worker.jobs_of("nobody") == []


def test_an_index_is_built_once_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []
    may_end = threading.Event()

    def build(settings: Settings, report: Callable[[int, int], None]) -> None:
        report(5, 10)
        assert may_end.wait(30)
        built.append(settings.cache)

    monkeypatch.setattr(corpora, "build_suite_index", build)
    worker = Worker(Settings(cache=tmp_path), Store(tmp_path / "results", 10**6), make_backend=lambda device: 1 / 0)
    job = worker.ask(IndexTask("suite"), "anna")
    assert worker.ask(IndexTask("suite"), "ben") is job
    may_end.set()
    until(ended(job))
    assert (job.status, job.kept, job.done, job.total) == (Status.DONE, True, 5, 10)
    assert built == [tmp_path] and worker.job(IndexTask("suite").hash) is not None


def test_sessions_take_turns(worker: Worker, engine: Engine) -> None:
    mine = [worker.ask(task(n), "anna") for n in range(4)]
    until(lambda: engine.ran == [0])
    hers = worker.ask(task(10), "ben")
    engine.passes.release(5)
    until(lambda: not any(job.active for job in (*mine, hers)))
    assert engine.ran == [0, 10, 1, 2, 3]


def test_a_job_that_goes_on_alone_keeps_its_place(worker: Worker, engine: Engine) -> None:
    engine.passes.release(2)
    for n in range(2):
        job = worker.ask(task(n), "anna")
        until(ended(job))
    first = worker.ask(task(10), "anna")
    until(lambda: engine.ran == [0, 1, 10])
    joined, alone = worker.ask(task(11), "ben"), worker.ask(task(12), "carl")
    joined.attend("dora")
    alone.kept = True
    worker.leave("ben")
    worker.leave("carl")
    engine.passes.release(3)
    until(lambda: not any(job.active for job in (first, joined, alone)))
    assert engine.ran == [0, 1, 10, 11, 12]


def test_what_a_session_ran_before_is_neither_credit_nor_debt(worker: Worker, engine: Engine) -> None:
    earlier = [worker.ask(task(n), "anna") for n in range(10)]
    engine.passes.release(10)
    until(lambda: not any(job.active for job in earlier))
    bens = [worker.ask(task(n), "ben") for n in range(20, 24)]
    until(lambda: engine.ran[10:] == [20])
    annas = [worker.ask(task(n), "anna") for n in range(30, 32)]
    places = {job.task.context_ids[0]: worker.place(job) for job in (*bens, *annas)}
    engine.passes.release(6)
    until(lambda: not any(job.active for job in (*bens, *annas)))
    assert engine.ran[10:] == [20, 21, 30, 22, 31, 23]
    assert sorted(places, key=places.__getitem__) == engine.ran[10:] and sorted(places.values()) == list(range(6))


def test_an_error_is_kept_as_one_sentence_and_the_worker_goes_on(
    worker: Worker, engine: Engine, tmp_path: Path
) -> None:
    engine.fail = InputError("token id 7 is outside the vocabulary")
    job = worker.ask(task(1), "anna")
    until(ended(job))
    assert (job.status, job.error) == (Status.FAILED, "token id 7 is outside the vocabulary")
    engine.fail = ZeroDivisionError("division by zero")
    job = worker.ask(task(2), "anna")
    until(ended(job))
    assert job.error == "something went wrong (ZeroDivisionError); the server's log says where"
    full = OSError(errno.ENOSPC, "No space left on device"), RuntimeError("I/O error: No space left (os error 28)")
    for engine.fail in full:
        job = worker.ask(task(4), "anna")
        until(ended(job))
        assert job.error is not None and job.error.startswith("no space left on a disk: free space")
    engine.fail = FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "sweeps" / "x"))
    job = worker.ask(task(5), "anna")
    until(ended(job))
    assert job.error == f"{tmp_path}/sweeps/x cannot be used ({os.strerror(2)}): if it was removed, start again"
    engine.fail = FileNotFoundError(errno.ENOENT, "No such file or directory", "/elsewhere")
    job = worker.ask(task(6), "anna")
    until(ended(job))
    assert job.error == f"/elsewhere cannot be used ({os.strerror(2)}): if it was removed, start again"
    engine.fail = None
    job = worker.ask(task(3), "anna")
    engine.passes.release()
    until(ended(job))
    assert job.status == Status.DONE


def test_a_worker_that_cannot_start_its_engine_says_so_and_tries_again(tmp_path: Path, engine: Engine) -> None:
    tries = []

    def make(device: str) -> Machine:
        tries.append(1)
        if len(tries) == 1:
            raise InputError("device cuda is not there")
        return Machine(device)

    worker = Worker(Settings(cache=tmp_path), Store(tmp_path / "results", 10**6), make_backend=make)
    job = worker.ask(task(1), "anna")
    until(ended(job))
    assert job.error == "device cuda is not there"
    engine.passes.release()
    job = worker.ask(task(1), "anna")
    until(ended(job))
    assert job.status == Status.DONE
