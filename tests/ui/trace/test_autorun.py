"""A changed text or split runs by itself where the last trace was quick; by AppTest with a worker that never starts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest
from support.suite import SMALLEST

from memviz import ui
from memviz.catalog import find_model, read_card
from memviz.jobs import Job, Status
from memviz.passages import PASSAGES
from memviz.records import Run
from memviz.settings import settings
from memviz.tasks.trace import TraceTask, task_of_text, tokenizer_of
from memviz.ui.common.training_rows import ROW
from memviz.ui.trace import autorun

Traced = tuple[AppTest, TraceTask, Run]


@pytest.fixture
def opened(app_traced: Traced, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The stored run by its link, on a server that is as quick as `quick` says and lets traces run by themselves."""

    def open_(quick: float = math.inf, allowed: str = "true") -> AppTest:
        app, task, _ = app_traced
        monkeypatch.setenv("MEMVIZ_AUTORUN", allowed)
        settings.cache_clear()
        for name, value in {"QUICK": quick, "PAUSE": 0.0, "PATIENCE": 0.0}.items():
            monkeypatch.setattr(autorun, name, value)
        app.run()
        app.query_params["run"] = task.hash[:16]
        return app.switch_page("../pages/trace.py").run()

    return open_


def asked_of(n_context: int, n_steps: int = 12) -> Job | None:
    """The job of the stored run's text, divided otherwise."""
    card = read_card(find_model("tiny", settings()), settings())
    assert card is not None
    task = task_of_text(PASSAGES["MIT licence"], card, tokenizer_of(card, settings()), n_context, n_steps)
    return ui.worker().job(task.hash)


def test_an_edit_runs_by_itself_and_a_newer_one_ends_it(opened: Callable[..., AppTest]) -> None:
    app = opened()
    assert ui.worker().n_active == 0, "opening a link never starts work"
    app.number_input(key="trace_context").set_value(10).run()
    assert not app.exception
    first = asked_of(10)
    assert first is not None and first.status == Status.QUEUED
    assert app.query_params["run"] == first.key[:16], "it can be shared, as one that was asked for"
    app.number_input(key="trace_continuation").set_value(13).run()
    second = asked_of(10, 13)
    assert first.status == Status.CANCELLED and second is not None and second.status == Status.QUEUED
    assert not any("Ended" in each.value for each in app.markdown)
    app.number_input(key="trace_continuation").set_value(12)
    app.number_input(key="trace_context").set_value(9).run()
    assert not app.exception and second.status == Status.CANCELLED, "what is stored is shown, and nothing else asked"
    assert ui.worker().n_active == 0 and app.metric


def test_another_row_is_an_edit_too(opened: Callable[..., AppTest]) -> None:
    app = opened()
    app.selectbox(key="trace_source").set_value(ROW).run()
    first = app.query_params["run"]
    app.button(key="trace_surprise").click().run()
    assert not app.exception and ui.worker().n_active == 1, "and the older one is cancelled"
    assert app.query_params["run"] != first


def test_another_model_is_no_edit(opened: Callable[..., AppTest]) -> None:
    app = opened()
    app.selectbox(key="trace_model").set_value(SMALLEST).run()
    assert not app.exception and ui.worker().n_active == 0
    app.number_input(key="trace_context").set_value(10).run()
    assert ui.worker().n_active == 0, "how long it would take is not known"


@pytest.mark.parametrize(("quick", "allowed"), [(0, "true"), (math.inf, "false")])
def test_a_slow_trace_waits_for_its_button(opened: Callable[..., AppTest], quick: float, allowed: str) -> None:
    app = opened(quick, allowed)
    app.number_input(key="trace_context").set_value(10).run()
    assert not app.exception and "Not computed yet" in app.info[0].value
    assert ui.worker().n_active == 0
