"""The Predictor page and the predictions on the Trace page: by AppTest on made-up numbers, in Chromium end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from support.pages import MINUTES, PREAMBLE_TITLE, choose_model, choose_text, memviz, n_jobs, press_run, settle, strip
from support.serving import Server, start_server
from support.suite import SMALLEST

from memviz import ui
from memviz.catalog import known_models
from memviz.figures.predicted import METHOD_WORDS
from memviz.jobs import Status
from memviz.predictor import FitTask
from memviz.predictor.data import PredictorData
from memviz.predictor.evaluation import evaluate
from memviz.predictor.features import Inputs
from memviz.predictor.files import ABOUT
from memviz.predictor.tables import Tables, write_tables
from memviz.settings import load_settings
from memviz.sweeps import SweepTask
from memviz.ui.predictor import fit_form

N, M = 30, 24
MODEL = SMALLEST

pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Made-up guesses of every method about rows half of whose tokens are hits."""
    generator = np.random.default_rng(0)
    match = generator.random((N, M)) < 0.5
    inputs = Inputs(32, None, np.zeros((N, 32 + M, 3), np.float32))
    names = np.full(N, "prose")
    data = PredictorData(MODEL, M, np.arange(N), np.arange(N) // 2, np.full(N, 2, np.int8), names, inputs, match, None)
    guesses = {name: generator.random((N, M)) for name in METHOD_WORDS}
    guesses["predictor"] = np.where(generator.random((N, M)) < 0.8, match, ~match) * 0.8 + 0.1
    methods = {name: lambda m, guess=guess: guess[:, :m] for name, guess in guesses.items()}
    return evaluate(
        data, methods, {"predictor": "ab" * 32, "fitted_on": MODEL, "model": MODEL, "setting": "causal", "k": 32}
    )


def keep(tables: Tables, cache: Path) -> None:
    """A predictor whose weights are not there, for none is asked."""
    task = FitTask("sweep", "0" * 64, MODEL, "causal", m=M, preset="small")
    folder = cache / "predictors" / ("ab" * 32)
    folder.mkdir(parents=True)
    write_tables(tables, folder)
    epoch = {
        "train_loss": 0.7,
        "validation_loss": 0.6,
        "validation_accuracy": 0.7,
        "learning_rate": 0.1,
        "seconds": 1.0,
    }
    about = {
        "format": 1, "id": "ab" * 32, "model": MODEL, "weights": "none", "setting": "causal", "k": 32, "m": M,
        "preset": asdict(task.sizes), "features": {"hidden": 8, "statistics": ["entropy", "margin", "logprob"]},
        "request": {name: value for name, value in task.request().items() if name != "sweep"},
        "data": {
            "key": "0" * 64, "source": "suite", "rows": {"train": 140, "validation": 30, "test": N},
            "prevalence": {"train": 0.5, "validation": 0.5, "test": 0.5},
        },
        "temperature": 1.25, "n_parameters": 1234, "epochs": [{**epoch, "epoch": 1, "best": True}], "metrics": {},
        "seconds": {"reading": 1.0, "fitting": 2.0}, "created": "2026-01-01T00:00:00+00:00", "versions": {"torch": "2"},
    }  # fmt: skip
    (folder / ABOUT).write_text(json.dumps(about))


def opened(app: AppTest, **query: str) -> AppTest:
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page("../pages/predictor.py").run()
    assert not app.exception, app.exception
    return app


def test_with_nothing_fitted_the_page_says_what_to_do(app: AppTest) -> None:
    opened(app)
    said = [info.value for info in app.info]
    assert "No predictor is fitted yet" in said[0] and "There is no finished sweep yet" in said[1]
    assert ui.worker().n_active == 0


def test_results_are_those_of_the_tables(app: AppTest, tables: Tables, tmp_path: Path) -> None:
    keep(tables, tmp_path / "cache")
    opened(app)
    assert app.query_params["predictor"] == ["abababababab"] or app.query_params["predictor"] == "abababababab"

    def check(m: int) -> None:
        lines = tables.metrics[tables.metrics["m"] == m]
        own = lines[lines["method"] == "predictor"].set_index("metric")["value"]
        cards = {metric.label: metric for metric in app.metric}
        assert cards["Token accuracy"].value == f"{own['token_accuracy']:.3f}"
        assert cards["AUROC"].value == f"{own['auroc']:.3f}"
        rivals = lines[(lines["metric"] == "brier") & ~lines["method"].isin(["predictor", "oracle_rank"])]
        assert cards["Brier score"].delta == f"baseline {rivals['value'].min():.3f}"
        assert any(f"{lines['prevalence'].iloc[0]:.1%} of the test positions are hits" in c.value for c in app.caption)

    check(M)
    app.selectbox(key="m").set_value(16).run()
    assert not app.exception
    check(16)
    assert any("cannot be compared cell by cell" in caption.value for caption in app.caption)
    assert ui.worker().n_active == 0


def test_a_link_to_a_predictor_that_is_gone_says_so(app: AppTest, tables: Tables, tmp_path: Path) -> None:
    keep(tables, tmp_path / "cache")
    opened(app, predictor="0123456789ab")
    assert "predictor 0123456789ab, which is not kept here" in app.warning[0].value


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A finished sweep as far as choosing a fit reads it."""
    about = {"rows": {"n": 500, "sha256": "1"}, "models": [{"name": MODEL, "weights": "w"}], "engine": 1}
    task = SweepTask((MODEL,), continuations=(16, 64))
    found = SimpleNamespace(folder=tmp_path / "sweep", task=task, manifest=about, weights_of=lambda model: "w")
    monkeypatch.setattr(fit_form, "choose_sweep", lambda where: found)
    return found


def button(app: AppTest, label: str) -> Any:
    return next(each for each in app.button if each.label == label)


def test_training_is_a_job_that_can_be_cancelled_and_goes_on(app: AppTest, sweep: Any, tmp_path: Path) -> None:
    opened(app)
    assert any("Fitting takes about" in caption.value for caption in app.caption), "said before it starts"
    app.segmented_control(key="fit_setting").set_value("context").run()
    app.segmented_control(key="fit_preset").set_value("published").run()
    assert "--setting context --preset published --k 32 --m 64" in app.code[0].value
    assert ui.worker().n_active == 0
    button(app, "Train").click().run()
    assert not app.exception
    name = app.query_params["run"]
    request = ui.store().get_request(name if isinstance(name, str) else name[0])
    assert request is not None and request["setting"] == "context" and request["sweep"] == str(sweep.folder)
    (job,) = ui.worker()._jobs.values()
    assert isinstance(job.task, FitTask) and job.status == Status.QUEUED and job.kept
    button(app, "Cancel").click().run()
    assert job.status == Status.CANCELLED
    folder = tmp_path / "cache" / "predictors" / job.task.hash
    folder.mkdir(parents=True)
    epoch = {
        "epoch": 1,
        "train_loss": 0.7,
        "validation_loss": 0.6,
        "validation_accuracy": 0.75,
        "seconds": 1,
        "best": True,
    }
    (folder / "progress.jsonl").write_text(json.dumps(epoch) + "\n")
    app.run()
    assert not app.exception
    assert "Finished epochs are kept" in app.info[0].value
    assert any("token accuracy 0.750 on validation rows" in caption.value for caption in app.caption)
    button(app, "Go on").click().run()
    again = ui.worker().job(job.key)
    assert again is not None and again is not job and again.status == Status.QUEUED


def test_a_link_to_a_fit_starts_nothing(app: AppTest, sweep: Any) -> None:
    task = FitTask(str(sweep.folder), "0" * 64, MODEL, "causal")
    ui.store().put_request(task.hash, task.request())
    opened(app, run=task.hash[:16])
    assert f"{SMALLEST} · causal · default size" in app.markdown[1].value.replace("\\", "")
    assert button(app, "Train") and ui.worker().n_active == 0


def test_the_command_repeats_the_task() -> None:
    task = FitTask("a folder", "0" * 64, MODEL, "published", m=48, seed=3, hidden=False, ngrams=True, n_rows=90)
    said = fit_form.fit_command(task)
    assert said.startswith(f"memviz predictor fit --sweep 'a folder' --models {SMALLEST} --setting published")
    assert said.endswith("--m 48 --seed 3 --sample 90 --no-hidden --ngrams")


# In the browser


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: other pages' tests leave traces behind, and here nothing may have been decoded before."""
    folder = tmp_path_factory.mktemp("predictor-server")
    env = {"MEMVIZ_CACHE": str(folder / "cache"), "MEMVIZ_WARM_UP": "false", "MEMVIZ_AUTORUN": "false"}
    with start_server(env=env, log=folder / "server.log") as started:
        yield started


@pytest.fixture(scope="session")
def fitted(server: Server) -> str:
    """The suite's smallest model, with a small sweep and a predictor of the context setting; its name."""
    cache = Path(server.environment["MEMVIZ_CACHE"])
    found = [m for m in known_models(load_settings(cache=cache)) if m.index == "suite" and m.step == m.n_steps]
    name = min((m for m in found if not m.seed), key=lambda m: (m.n_parameters or 0, m.name)).name
    folder = cache / "sweeps" / "predicted0tested"
    sizes = ("--contexts", "none", "--continuations", "16", "--sample", "60", "--positions")
    memviz(server, "sweep", "--models", name, *sizes, "--out", folder)
    memviz(server, "predictor", "fit", "--sweep", folder, "--setting", "context", "--preset", "small", "--m", "16")
    return name


@pytest.mark.browser
@pytest.mark.wide
@pytest.mark.slow
def test_from_training_to_results(fitted: str, server: Server, page: Page, screenshots: Path) -> None:
    page.set_default_timeout(3 * MINUTES)
    page.goto(f"{server.url}/predictor?view=Train&sweep=predicted0te")
    expect(page.get_by_text("--preset default")).to_be_visible(timeout=MINUTES)  # or the form is drawn once more
    page.get_by_role("radio", name="Small").click()
    expect(page.get_by_text("--preset small")).to_be_visible(timeout=MINUTES)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text("Fitted.", exact=True)).to_be_visible(timeout=5 * MINUTES)
    assert "run=" in page.url
    page.get_by_role("button", name="See its results").click()
    expect(page.get_by_text("How it was fitted")).to_be_visible(timeout=2 * MINUTES)
    expect(page.locator(".js-plotly-plot").nth(7)).to_be_visible(timeout=2 * MINUTES)  # two more with hits and misses
    expect(page).to_have_url(re.compile("predictor=[0-9a-f]{12}"))
    expect(page.get_by_text("of the test positions are hits")).to_be_visible()
    page.screenshot(path=screenshots / "results.png", full_page=True)


@pytest.mark.browser
@pytest.mark.wide
@pytest.mark.slow
def test_what_the_context_tells_is_shown_before_the_run_and_beside_the_truth(
    fitted: str, server: Server, page: Page, screenshots: Path
) -> None:
    page.set_default_timeout(3 * MINUTES)
    before = n_jobs(server)
    page.goto(f"{server.url}/trace")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible(timeout=2 * MINUTES)
    choose_model(page, fitted)
    choose_text(page, PREAMBLE_TITLE)  # what the page opens on is traced already: its results ship
    settle(page)
    page.get_by_role("combobox", name=re.compile("Said by")).click()  # a fit of one's own never speaks by itself
    page.get_by_role("option", name=re.compile("fitted 20")).click()  # of the context setting alone
    settle(page)
    page.get_by_role("button", name="Predict from the context alone").click()
    expect(page.get_by_text(re.compile("^Expected to be reproduced: .* of 16 tokens"))).to_be_visible(
        timeout=2 * MINUTES
    )
    assert n_jobs(server) == before, "nothing was decoded"
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    made = re.compile("Context only: made .* before this text was generated")
    expect(page.get_by_text(made)).to_be_visible(timeout=MINUTES)
    expect(page.locator(".cell:visible")).to_have_count(32)
    expect(strip(page).nth(40)).to_have_attribute("aria-label", re.compile(r"P\(memorized\) [01]\.\d\d, context only"))
    expect(strip(page).nth(50)).not_to_have_attribute("aria-label", re.compile("memorized"))  # beyond its m
    page.screenshot(path=screenshots / "trace.png", full_page=True)
