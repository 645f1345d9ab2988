"""A page that needs to know the device asks the worker for it, and says why where it is not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from memviz.errors import Failure
from memviz.jobs import Worker
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.preparing import EngineTask
from memviz.ui.common import process

ASKED: list[str] = []
"""Names of the threads that asked for the device."""


def missing_device(device: str) -> object:
    ASKED.append(threading.current_thread().name)
    raise Failure("device cuda is not there: set MEMVIZ_DEVICE to auto or cpu")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    settings = Settings(cache=tmp_path)
    found = Worker(settings, Store(tmp_path / "results", 10**6), make_backend=missing_device)
    monkeypatch.setattr(process, "worker", lambda: found)
    monkeypatch.setattr("memviz.ui.common.answers.worker", lambda: found)
    monkeypatch.setattr("memviz.ui.common.progress.worker", lambda: found)
    yield found


def page(dtype: str) -> None:
    import streamlit as st
    from support.suite import SMALLEST

    from memviz.tasks.trace import TraceTask
    from memviz.ui.common.answers import stored

    st.title(str(stored(TraceTask(SMALLEST, (1, 2), None, 3, dtype=dtype))))


def test_at_float32_nothing_is_asked(worker: Worker) -> None:
    app = AppTest.from_function(page, args=("float32",)).run(timeout=30)
    assert not app.exception and app.title[0].value == "None" and worker.job(EngineTask().hash) is None


def test_below_it_the_worker_is_asked_and_its_error_is_shown(worker: Worker) -> None:
    ASKED.clear()
    app = AppTest.from_function(page, args=("bfloat16",)).run(timeout=30)
    job = worker.job(EngineTask().hash)
    assert job is not None and not app.title, "the page stops until the device is known"
    thread = worker._lanes[0].thread
    for _ in range(600):
        if not job.active:
            break
        assert thread is not None
        thread.join(0.05)
    app.run(timeout=30)
    assert ASKED == ["memviz-worker-0"]
    assert app.error[0].value.startswith("device cuda is not there")
    assert not app.title and not app.exception
