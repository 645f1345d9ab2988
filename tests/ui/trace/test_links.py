"""The Trace page by AppTest: what a link restores, what it does not start, and what it says of a bad one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from memviz import ui
from memviz.catalog import find_model, read_card
from memviz.demo.index import SUITE, build_suite_index
from memviz.engine.preparing import prepare
from memviz.records import Run
from memviz.settings import settings
from memviz.tasks.base import Context, answer
from memviz.tasks.preparing import IndexTask
from memviz.tasks.trace import TraceTask, task_of_ids, tokenizer_of
from memviz.tokenizer import _encoded
from memviz.ui.common import process, training_rows


def open_link(app: AppTest, name: str) -> AppTest:
    app.run()
    app.query_params["run"] = name
    return app.switch_page("../pages/trace.py").run()


def test_a_link_refills_the_widgets_and_shows_the_result(app_traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, run = app_traced
    open_link(app, task.hash[:16])
    assert not app.exception and not app.error
    assert app.selectbox(key="trace_model").value == "tiny"
    assert app.selectbox(key="trace_source").value == "MIT licence"
    assert (app.number_input(key="trace_context").value, app.number_input(key="trace_continuation").value) == (9, 12)
    shown = {metric.label: metric.value for metric in app.metric}
    score = np.mean(run.trace.generated_ids == run.trace.continuation_ids)
    assert shown["Memorization score M"] == f"{score:.2f}"
    assert any("from the store" in caption.value and "tiny" in caption.value for caption in app.caption)
    assert not any("--ids-file" in code.value for code in app.code), "a closed expander is not filled"
    app.session_state["trace_open_export"] = True
    app.run()
    assert any("--ids-file" in code.value for code in app.code)


@pytest.mark.parametrize(("page", "what"), [("trace", "run"), ("compare", "comparison")])
@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("0123456789abcdef", "This link names {what} 0123456789abcdef, which is not stored here"),
        ("../../etc", "This link cannot be followed"),
    ],
)
def test_links_that_cannot_be_followed_say_so(app: AppTest, page: str, what: str, run: str, said: str) -> None:
    app.run()
    nonsense = {"tok": "x", "mode": "constructor", "metric": "constructor", "base": "constructor"}
    for name, value in {"run": run, **(nonsense if page == "compare" else {})}.items():
        app.query_params[name] = value
    app.switch_page(f"../pages/{page}.py").run()
    assert not app.exception
    assert any(said.format(what=what) in warning.value for warning in app.warning)


def test_a_changed_widget_leaves_the_link_and_asks_for_a_run(app_traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, _ = app_traced
    open_link(app, task.hash[:16])
    app.number_input(key="trace_context").set_value(10).run()
    assert not app.exception
    assert "Not computed yet" in app.info[0].value
    assert "run" not in app.query_params


def test_a_rerun_splits_no_text_again(app_traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, _ = app_traced
    open_link(app, task.hash[:16])
    before = _encoded.cache_info()
    app.run()
    after = _encoded.cache_info()
    assert not app.exception and after.misses == before.misses and after.hits > before.hits


def test_a_link_to_a_result_that_is_gone_shows_the_request_and_starts_nothing(
    app_traced: tuple[AppTest, TraceTask, Run],
) -> None:
    app, task, _ = app_traced
    ui.store().clear()
    open_link(app, task.hash[:16])
    assert not app.exception
    assert app.number_input(key="trace_context").value == 9
    assert "Not computed yet" in app.info[0].value
    assert ui.worker().n_active == 0


def test_a_text_that_is_too_short_is_one_sentence(app_traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, _ = app_traced
    open_link(app, task.hash[:16])
    app.selectbox(key="trace_source").set_value("Text of your own").run()
    assert not app.error and "Paste or type a passage" in app.info[0].value
    app.text_area(key="trace_text").set_value("short").run()
    assert not app.exception and not app.error
    assert any("has no truth" in caption.value for caption in app.caption), "it is decoded, and that is said"
    assert ui.worker().n_active == 0
    card = read_card(find_model("tiny", settings()), settings())
    assert card is not None
    own = tokenizer_of(card, settings())
    longer = next(text for n in range(99) if 9 < len(own.encode(text := "ab " * n)) < 9 + 12)
    app.text_area(key="trace_text").set_value(longer).run()
    assert re.search(r"the text has \d+ tokens .* give a longer text or smaller numbers", app.error[0].value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("context", 0, "Context is 0: give a number from 1 to 2,000,000"),
        ("context", -7, "Context is -7: give a number from 1 to 2,000,000"),
        ("continuation", 3_000_000, "Continuation is 3,000,000: give a number from 1 to 2,000,000"),
        ("temperature", -0.5, "Temperature is -0.5: give a number from 0.01 to 100"),
        ("top_k", -1, "Top-k is -1: give a number from 0 to 1,000,000"),
        ("top_p", 1.5, "Top-p is 1.5: give a number from 0.01 to 1"),
        ("seed", -1, "Seed is -1: give a number from 0 to 9,007,199,254,740,991"),
    ],
)
def test_numbers_out_of_range_are_said_and_not_changed(
    app_traced: tuple[AppTest, TraceTask, Run], key: str, value: float, sentence: str
) -> None:
    app, task, _ = app_traced
    open_link(app, task.hash[:16])
    app.toggle(key="trace_sampled").set_value(True).run()
    app.number_input(key=f"trace_{key}").set_value(value).run()
    assert not app.exception
    assert [error.value.replace("\\", "") for error in app.error] == [sentence]  # Markdown, escaped
    assert app.number_input(key=f"trace_{key}").value == value


def test_a_model_of_unknown_training_data_says_which_index_it_would_need(
    app_traced: tuple[AppTest, TraceTask, Run],
) -> None:
    app, task, _ = app_traced
    open_link(app, task.hash[:16])
    assert any("What tiny was trained on is not known to memviz" in info.value for info in app.info)
    assert any(code.value.startswith("memviz corpus build --model tiny --input ") for code in app.code)
    app.selectbox(key="trace_source").set_value(training_rows.ROW).run()
    assert not app.exception
    assert any("Its text is split anew by this model's tokenizer" in each.value for each in app.caption)


def test_a_run_that_was_left_stays_on_the_page(app_traced: tuple[AppTest, TraceTask, Run]) -> None:
    app, task, _ = app_traced
    ui.store().clear()
    open_link(app, task.hash[:16])
    app.button(key="trace_run").click().run()
    job = ui.worker().job(task.hash)
    assert job is not None and job.active
    assert not any("Under way" in element.value for element in app.markdown), "it is the page's own run"
    app.number_input(key="trace_context").set_value(10).run()
    job.report(5, 22)
    app.run()
    under_way = "**Under way:** tiny, 9 + 12 tokens · 5 of 22 positions"
    assert any(under_way in element.value for element in app.markdown)
    app.button(key=f"show-{job.id}").click().run()
    assert app.number_input(key="trace_context").value == 9
    assert not any("Under way" in element.value for element in app.markdown)
    app.number_input(key="trace_context").set_value(10).run()
    app.button(key=f"stop-{job.id}").click().run()
    assert not job.active
    assert not any("Under way" in element.value for element in app.markdown)


@pytest.fixture
def row_traced(app: AppTest) -> tuple[AppTest, TraceTask, int]:
    """A stored run of the suite's largest model on a planted row other than the first visitor's; no index."""
    rows = process.samples()
    assert rows is not None
    card = prepare(find_model(process.default_model(), settings()), settings())
    row = next(row for row in range(rows.known_row(card.name) + 1, rows.n_rows) if rows.data.bucket[row] > 1)
    task = task_of_ids(rows.data.ids[row].tolist(), card, 20, 30)
    answer(task, Context(settings(), ui.store()))
    ui.store().put_request(task.hash, task.request())
    return app, task, row


def test_a_link_restores_the_training_row(
    row_traced: tuple[AppTest, TraceTask, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, task, row = row_traced
    open_link(app, task.hash[:16])
    assert not app.exception and not app.error
    assert app.selectbox(key="trace_source").value == training_rows.ROW
    assert app.session_state["trace_row"] == row
    assert (app.number_input(key="trace_context").value, app.number_input(key="trace_continuation").value) == (20, 30)
    assert any(metric.label == "Memorization score M" for metric in app.metric)
    monkeypatch.setattr(training_rows.random, "choice", lambda rows: rows[row + 1])
    app.button(key="trace_surprise").click().run()
    assert not app.exception
    assert "run" not in app.query_params and app.session_state["trace_row"] == row + 1, "all rows fit"


def test_a_link_alone_builds_no_index(row_traced: tuple[AppTest, TraceTask, int]) -> None:
    app, task, _ = row_traced
    open_link(app, task.hash[:16])
    assert any("The index of the training data is not built yet" in info.value for info in app.info)
    assert ui.worker().job(IndexTask(SUITE).hash) is None
    next(button for button in app.button if button.label == "Build the index").click().run()
    assert not app.exception
    assert ui.worker().job(IndexTask(SUITE).hash) is not None


def test_pressing_run_asks_for_the_index_too(row_traced: tuple[AppTest, TraceTask, int]) -> None:
    app, task, _ = row_traced
    open_link(app, task.hash[:16])
    app.button(key="trace_run").click().run()
    assert ui.worker().job(task.hash) is None, "the result is stored"
    assert ui.worker().job(IndexTask(SUITE).hash) is not None


def test_with_an_index_the_page_counts(row_traced: tuple[AppTest, TraceTask, int]) -> None:
    app, task, _ = row_traced
    build_suite_index(settings())
    open_link(app, task.hash[:16])
    assert not app.exception and not app.error
    said = " ".join(element.value for element in (*app.caption, *app.markdown, *app.info))
    assert "exact counts over" in said
    assert "In the prompt's own row:" in said and any(m.label.startswith("Boundary difference") for m in app.metric)
    app.segmented_control(key="trace_ngram_order").set_value(2).run()
    assert not app.exception
    app.session_state["trace_open_export"] = True
    app.run()
    assert not app.exception
