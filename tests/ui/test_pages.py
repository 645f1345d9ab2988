"""Every page by AppTest: what it says without a model, with one, and of a result."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from support.suite import LARGEST

from memviz import ui
from memviz.gallery import examples
from memviz.jobs import Job, Worker
from memviz.predictor.data import parts_of
from memviz.rows.hub import Asked, add_data_set
from memviz.settings import settings
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.tasks.trace import TraceTask
from memviz.ui.common import process, training_rows
from memviz.ui.common.runs import note

WORK = Worker._work


def test_overview_says_what_memorization_is_and_which_models_there_are(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert app.title[0].value == "memviz"
    assert "memorized" in app.markdown[0].value
    assert len(app.table[0].value) == 5 and app.table[0].value["model"].iloc[0].endswith("m")
    app.session_state["overview_models"] = True
    app.run()
    names = app.dataframe[0].value["model"].tolist()
    assert {"smollm2-135m", "gemma-3-270m", "pythia-410m-deduped"} <= set(names)
    states = dict(app.dataframe[0].value[["model", "state"]].itertuples(index=False))
    assert {states[model.name] for model in ui.bundled_models()} == {"ready"}
    assert states["pythia-410m-deduped"] == "to be added"
    assert ui.worker().n_active == 0


def test_overview_says_what_the_cache_holds(app: AppTest, tmp_path: Path) -> None:
    for name, n_bytes in (("models/a/b", 2_300_000), ("sweeps/c", 400_000), ("results/x", 10**6), ("noise/d", 10)):
        path = tmp_path / "cache" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(n_bytes))
    app.session_state["overview_machine"] = True
    app.run()
    lines = dict(app.table[1].value.itertuples(index=False))
    assert lines["beside them in the cache"] == "models 2.3 MB, sweeps 0.4 MB"
    assert lines["of it made and kept"] == "0.4 of at most 10,737 MB; nothing of it goes by itself"


def test_the_sweeps_page_offers_a_data_set_that_was_added(app: AppTest, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jsonl").write_text('{"text": "one"}\n')
    add_data_set(Asked(str(tmp_path / "mine")), settings())
    app.run()
    app.switch_page("../pages/sweeps.py").run()
    app.selectbox(key="sweep_source").set_value("mine").run()
    assert not app.exception and any("/data/mine/rows.parquet" in code.value for code in app.code)


def watching(job: object) -> None:
    from memviz.ui.common.progress import watch

    watch(job, "A run", cancel=True)  # type: ignore[arg-type]


def test_whether_a_run_goes_on_alone_is_one_thing_for_all_who_watch(app: AppTest) -> None:
    job = Job(1, "key", TraceTask(LARGEST, (1,), None, 1))
    anna, ben = (AppTest.from_function(watching, args=(job,)).run() for _ in range(2))
    anna.toggle[0].set_value(True).run()
    ben.run()
    assert job.kept and ben.toggle[0].value
    ben.toggle[0].set_value(False).run()
    anna.run()
    assert not job.kept and not anna.toggle[0].value


def test_a_models_own_label_is_text(app: AppTest) -> None:
    task = TraceTask(LARGEST, (1,), None, 1)
    facts = dict.fromkeys(("revision", "weights", "dtype", "device", "created"), "x") | {"seconds": 1.0}
    versions = {"torch": "1", "transformers": "2"}
    said = note(task, {**facts, "label": "[Sign in](https://evil.example)", "versions": versions})
    assert r"\[Sign in\]\(https" in said


@pytest.mark.parametrize("name", ["predicted", "returns", "few"])
def test_predictions_say_whether_fitting_read_the_row(name: str, app: AppTest) -> None:
    example = next(each for each in examples() if each.name == name)
    row = int(example.prompt.removeprefix("row ").partition(", ")[0].replace(",", ""))
    part = parts_of(read_sweep(SHIPPED))[row]
    assert name != "predicted" or part == "test"
    said = f"Row {row} is a test row: fitting never read it" if part == "test" else f"Fitting read row {row}"
    app.run()
    app.query_params["run"] = example.query["run"]
    app.switch_page("../pages/trace.py").run()
    assert not app.exception and any(said in caption.value for caption in app.caption)


def test_thresholds_of_shipped_predictors_are_round_numbers(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/predictor.py").run()
    (slider,) = app.select_slider
    assert not app.exception and slider.value == 0.5
    assert {"0.1", "0.5"} <= set(slider.options) and all(len(option) <= 4 for option in slider.options)


def test_the_first_visit_finds_the_suites_largest_model_ready_and_names_a_row(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/trace.py").run()
    assert not app.exception
    assert app.title[0].value == "Trace"
    whole = [model for model in ui.bundled_models() if model.step == model.n_steps and not model.seed]
    largest = max(whole, key=lambda model: model.n_parameters or 0)
    assert app.selectbox(key="trace_model").value == process.default_model() == largest.name
    assert app.selectbox(key="trace_source").value == training_rows.ROW
    row = app.session_state["trace_row"]
    assert any(f"**Row {row}**" in element.value for element in app.markdown)
    assert not app.button(key="trace_run").disabled
    assert {metric.label: metric.value for metric in app.metric}["Memorization score M"] == "1.00"
    assert ui.worker().n_active == 0


def test_the_embedded_model_waits_to_be_asked_for(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/trace.py").run()
    app.selectbox(key="trace_model").set_value("smollm2-135m").run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Surprise me", "Run", r"Get smollm2\-135m ready"]
    assert ui.worker().job("prepare smollm2-135m") is None


def test_settings_that_cannot_be_used_are_one_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_DTYPE", "float8")
    app.run()
    assert not app.exception
    assert "setting dtype = 'float8' cannot be used" in app.error[0].value


def test_a_device_that_is_not_there_is_one_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision is of one device, which the worker says: the page itself imports no torch."""
    missing = "mps" if sys.platform != "darwin" else "cuda"
    monkeypatch.setattr(Worker, "_work", WORK)
    monkeypatch.setenv("MEMVIZ_DTYPE", "float16")
    monkeypatch.setenv("MEMVIZ_DEVICE", missing)
    app.run()
    app.switch_page("../pages/trace.py").run()
    deadline = time.monotonic() + 60
    while not app.error and time.monotonic() < deadline:
        time.sleep(0.1)
        app.run()
    assert not app.exception
    assert app.error[0].value.replace("\\", "") == f"device {missing} is not there: set MEMVIZ_DEVICE to auto or cpu"
