"""Several devices: each runs one job, and a job goes to the free one that holds its model."""

from __future__ import annotations

import threading
import time

import pytest
from support.machines import Engine, Machine, ended, task
from support.waiting import until

from memviz.engine.turns import Gate
from memviz.jobs import Status, Worker


@pytest.fixture
def three_devices(worker: Worker, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker whose first engine has found two other devices beside its own."""
    monkeypatch.setattr(Machine, "beside", ("cuda:1", "cuda:2"))
    engine.passes.release()
    until(ended(worker.ask(task(0), "anna")))
    return worker


def test_the_real_engine_is_that_of_its_lane(worker: Worker) -> None:
    backend = worker._default_backend("cpu")
    assert (backend.settings.device, backend.device.type, backend.others) == ("cpu", "cpu", [])


def test_every_device_runs_one_job(three_devices: Worker, engine: Engine) -> None:
    queued = [three_devices.ask(task(n, model=f"model {n}"), "anna") for n in range(1, 5)]
    until(lambda: len(engine.ran) == 1 + 3)
    assert [job.status for job in queued].count(Status.QUEUED) == 1
    assert three_devices.place(next(job for job in queued if job.status == Status.QUEUED)) == 3
    engine.passes.release(4)
    until(lambda: all(not job.active for job in queued))
    assert engine.most_at_once == 3
    assert sorted(engine.devices[job.task.context_ids[0]] for job in queued[:3]) == ["auto", "cuda:1", "cuda:2"]


def test_a_job_goes_to_the_free_device_that_holds_its_model(three_devices: Worker, engine: Engine) -> None:
    for n, model in enumerate("abc"):  # each on a device of its own
        three_devices.ask(task(10 + n, model=model), "anna")
    until(lambda: len(engine.ran) == 1 + 3)
    home = {model: engine.devices[10 + n] for n, model in enumerate("abc")}
    assert len(set(home.values())) == 3 and set(three_devices.models_in_memory) == set("abc")
    engine.passes.release(100)
    until(lambda: three_devices.n_active == 0)
    for n, model in enumerate("cabbca" * 3):
        until(ended(three_devices.ask(task(20 + n, model=model), "anna")))
        assert engine.devices[20 + n] == home[model]


def test_a_busy_device_does_not_keep_its_models_to_itself(three_devices: Worker, engine: Engine) -> None:
    long = three_devices.ask(task(1, 50), "anna")
    until(lambda: engine.ran == [0, 1])
    engine.passes.release()
    other = three_devices.ask(task(2), "ben")
    until(lambda: engine.ran == [0, 1, 2])
    assert engine.devices[1] != engine.devices[2] and long.active
    engine.passes.release(60)
    until(lambda: not long.active and not other.active)


def test_a_model_is_loaded_while_no_other_device_computes() -> None:
    gate, events, passes = Gate(), [], threading.Semaphore(0)

    def compute() -> None:
        with gate.working():
            for _ in range(3):
                passes.acquire()
                events.append("pass")
                gate.let_pass()

    def load() -> None:
        with gate.working(), gate.alone():
            events.append("loading")
            passes.release(2)
            time.sleep(0.05)
            events.append("loaded")

    first = threading.Thread(target=compute)
    first.start()
    second = threading.Thread(target=load)
    second.start()
    time.sleep(0.05)
    assert events == [], "the pass under way is waited for"
    passes.release()
    for thread in (first, second):
        thread.join(5)
    assert events == ["pass", "loading", "loaded", "pass", "pass"]
