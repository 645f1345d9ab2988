"""A worker whose passes end when the test lets them; test_company has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.machines import GRACE, Engine, Machine, end_all

from memviz.jobs import Worker
from memviz.jobs import worker as jobs
from memviz.settings import Settings
from memviz.store import Store


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    stand_in = Engine()
    monkeypatch.setattr(jobs, "answer", stand_in.answer)
    return stand_in


@pytest.fixture
def worker(tmp_path: Path, engine: Engine) -> Iterator[Worker]:
    settings = Settings(cache=tmp_path, grace=GRACE)
    made = Worker(settings, Store(tmp_path / "results", 10**6), make_backend=Machine)
    yield made
    end_all(made, engine.passes)
