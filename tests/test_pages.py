"""Every page by AppTest: what it says without a model, with one, and of a result."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from model_folders import write_model
from serving import ROOT

warnings.filterwarnings("ignore", category=DeprecationWarning)
from streamlit.testing.v1 import AppTest  # noqa: E402

from memviz import ui  # noqa: E402
from memviz.catalog import find_model  # noqa: E402
from memviz.engine.backend import Backend  # noqa: E402
from memviz.engine.preparing import prepare  # noqa: E402
from memviz.passages import PASSAGES  # noqa: E402
from memviz.records import Run  # noqa: E402
from memviz.settings import settings  # noqa: E402
from memviz.tasks import TraceTask, run_hash, run_trace, task_of_text, tokenizer_of  # noqa: E402


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The entry script with an empty cache, and a worker that never starts."""
    monkeypatch.setenv("MEMVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEMVIZ_MODEL_ROOTS", str(tmp_path / "models"))
    for module in (ui, ui.running):
        monkeypatch.setattr(module, "warm_up", lambda at_once=False: None)
    for shared in (settings, ui.store, ui.worker):
        shared.cache_clear()
    yield AppTest.from_file(str(ROOT / "memviz" / "dashboard.py"), default_timeout=20)
    for shared in (settings, ui.store, ui.worker):
        shared.cache_clear()


def test_overview_says_what_memorization_is_and_which_models_there_are(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert app.title[0].value == "memviz"
    assert "memorized" in app.markdown[0].value
    names = app.dataframe[0].value["model"].tolist()
    assert {"smollm2-135m", "gemma-3-270m", "pythia-410m-deduped"} <= set(names)
    assert not app.dataframe[0].value["ready"].any()


def test_trace_without_a_ready_model_offers_to_get_it_ready(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/trace.py").run()
    assert not app.exception
    assert app.title[0].value == "Trace"
    assert [button.label for button in app.button] == ["Run", "Get smollm2-135m ready"]
    assert app.button[0].disabled


def test_settings_that_cannot_be_used_are_one_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_DTYPE", "float8")
    app.run()
    assert not app.exception
    assert "setting dtype = 'float8' cannot be used" in app.error[0].value


@pytest.fixture
def traced(app: AppTest, tmp_path: Path) -> tuple[AppTest, TraceTask, Run]:
    """The same with a tiny model that is ready, and one stored run of it."""
    write_model(tmp_path / "models" / "tiny")
    card = prepare(find_model("tiny", settings()), settings())
    text = PASSAGES["MIT licence"]
    task = task_of_text(text, card, tokenizer_of(card, settings()), 9, 12)
    _, run, _ = run_trace(task, Backend(settings()), ui.store())
    ui.store().put_request(run_hash(task), task.request())
    return app, task, run


def open_link(app: AppTest, name: str) -> AppTest:
    app.run()
    app.query_params["run"] = name
    return app.switch_page("../pages/trace.py").run()


def test_a_link_refills_the_widgets_and_shows_the_result(traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, run = traced
    open_link(app, run_hash(task)[:16])
    assert not app.exception and not app.error
    assert app.selectbox(key="trace_model").value == "tiny"
    assert app.selectbox(key="trace_source").value == "MIT licence"
    assert (app.number_input(key="trace_context").value, app.number_input(key="trace_continuation").value) == (9, 12)
    shown = {metric.label: metric.value for metric in app.metric}
    score = np.mean(run.trace.generated_ids == run.trace.continuation_ids)
    assert shown["Memorization score M"] == f"{score:.2f}"
    assert any("from the store" in caption.value and "tiny" in caption.value for caption in app.caption)
    assert not app.code, "a closed expander is not filled"
    app.session_state["trace_open_export"] = True
    app.run()
    assert "--ids-file" in app.code[0].value


def test_a_changed_widget_leaves_the_link_and_asks_for_a_run(traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, _ = traced
    open_link(app, run_hash(task)[:16])
    app.number_input(key="trace_context").set_value(10).run()
    assert not app.exception
    assert "Not computed yet" in app.info[0].value
    assert "run" not in app.query_params


def test_a_link_to_a_result_that_is_gone_shows_the_request_and_starts_nothing(
    traced: tuple[AppTest, TraceTask, Run],
) -> None:
    app, task, _ = traced
    ui.store().clear()
    open_link(app, run_hash(task)[:16])
    assert not app.exception
    assert app.number_input(key="trace_context").value == 9
    assert "Not computed yet" in app.info[0].value
    assert ui.worker().n_active == 0


def test_a_text_that_is_too_short_is_one_sentence(traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, _ = traced
    open_link(app, run_hash(task)[:16])
    app.selectbox(key="trace_source").set_value("Text of your own").run()
    assert "the text is empty" in app.error[0].value
    app.text_area(key="trace_text").set_value("short").run()
    assert not app.exception
    assert "give a longer text or smaller numbers" in app.error[0].value
