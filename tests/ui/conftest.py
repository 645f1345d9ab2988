"""The app without a browser: its entry script by AppTest, with a cache of its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_folders import write_model
from support.serving import ROOT

warnings.filterwarnings("ignore", category=DeprecationWarning)
from streamlit.testing.v1 import AppTest  # noqa: E402

from memviz import ui  # noqa: E402
from memviz.catalog import find_model  # noqa: E402
from memviz.engine.preparing import prepare  # noqa: E402
from memviz.jobs import Worker  # noqa: E402
from memviz.passages import PASSAGES  # noqa: E402
from memviz.predictor import known  # noqa: E402
from memviz.records import Run  # noqa: E402
from memviz.settings import settings  # noqa: E402
from memviz.sweeps import kept  # noqa: E402
from memviz.tasks.base import Context, answer  # noqa: E402
from memviz.tasks.trace import TraceTask, task_of_text, tokenizer_of  # noqa: E402
from memviz.ui.common import every_page, sweep, widgets  # noqa: E402, F401  # sweep takes SHIPPED as it is now
from memviz.ui.predictor import known as known_here  # noqa: E402


@pytest.fixture
def app_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The entry script with an empty cache, and models in a folder of the test's."""
    monkeypatch.setenv("MEMVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEMVIZ_MODEL_ROOTS", str(tmp_path / "models"))
    monkeypatch.setattr(every_page, "warm_up", lambda: None)
    monkeypatch.setattr(widgets, "MOMENTS", {True: 0.0, False: 0.0})
    shared = (settings, ui.store, ui.worker, ui.bundled_models)
    for once in shared:
        once.cache_clear()
    yield AppTest.from_file(str(ROOT / "memviz" / "dashboard.py"), default_timeout=60)
    for once in shared:
        once.cache_clear()


@pytest.fixture
def app(app_at_work: AppTest, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The same with a worker that never starts."""
    monkeypatch.setattr(Worker, "_work", lambda self, lane: None)
    return app_at_work


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sweep and no predictor of the suite."""
    for module in (kept, known, known_here):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "none")


@pytest.fixture
def app_traced(app: AppTest, tmp_path: Path) -> tuple[AppTest, TraceTask, Run]:
    """The same with a tiny model that is ready, one stored run of it, and the run's link."""
    write_model(tmp_path / "models" / "tiny")
    card = prepare(find_model("tiny", settings()), settings())
    text = PASSAGES["MIT licence"]
    task = task_of_text(text, card, tokenizer_of(card, settings()), 9, 12)
    _, run, _ = answer(task, Context(settings(), ui.store()))
    ui.store().put_request(task.hash, task.request())
    return app, task, run
