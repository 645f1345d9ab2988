"""The population pages: by AppTest without sweeps, in Chromium on a small sweep of the bundled suite."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest
from support.pages import MINUTES, download, memviz, n_jobs, settle
from support.serving import Server

from memviz import ui
from memviz.catalog import find_model, known_models
from memviz.corpus.known import index_of
from memviz.demo.suite import SUITE_FOLDER
from memviz.jobs import Status
from memviz.population import (
    Filters,
    FrequencyTask,
    align,
    boundary_differences,
    labels_of,
    rows_of_cell,
    size_points,
    summary,
)
from memviz.population.membership import judged, membership_points
from memviz.settings import load_settings, settings
from memviz.sweeps import (
    RowSet,
    Sweep,
    SweepTask,
    read_row_set,
    read_sweep,
    run_sweep,
)
from memviz.sweeps.kept import outdated
from memviz.tasks.base import Context, answer, task_from
from memviz.tokenizer import Tokenizer

PAGES = ("population", "transitions", "boundary", "membership")
TRAINED = Filters(parts=("planted", "background"))
"""What the pages look at before anybody chose anything."""

pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.mark.parametrize("name", PAGES)
def test_without_a_sweep_a_page_says_how_to_make_one(app: AppTest, name: str) -> None:
    app.run()
    app.switch_page(f"../pages/{name}.py").run()
    assert not app.exception
    assert "There is no finished sweep yet" in app.info[0].value
    assert ui.worker().n_active == 0


def test_a_sweep_from_the_page_is_a_job_that_can_be_cancelled_and_goes_on(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/sweeps.py").run()
    assert not app.exception
    app.number_input(key="sweep_sample").set_value(7).run()
    app.button(key="sweep_run").click().run()
    assert not app.exception
    request = ui.store().get_request(app.query_params["run"])
    assert request is not None
    task = task_from(request, SweepTask)
    assert task.rows.sample == 7 and task.positions
    job = ui.worker().job(task.hash)
    assert job is not None and job.status == Status.QUEUED and job.kept
    assert any("--sample 7" in code.value for code in app.code)
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert job.status == Status.CANCELLED
    app.run()
    assert "Batches that were done are kept" in app.info[0].value
    next(button for button in app.button if button.label == "Run").click().run()
    again = ui.worker().job(task.hash)
    assert again is not job and again is not None and again.status == Status.QUEUED


def test_a_sweep_without_models_is_one_sentence(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/sweeps.py").run()
    app.multiselect(key="sweep_models").set_value([]).run()
    assert not app.exception
    assert "a sweep needs a model" in app.error[0].value


def test_a_link_to_a_sweep_starts_nothing(app: AppTest) -> None:
    models = tuple(model.name for model in ui.bundled_models()[:1])
    task = SweepTask(models, contexts=(4,), continuations=())
    ui.store().put_request(task.hash, task.request())
    app.run()
    app.query_params["run"] = task.hash[:16]
    app.switch_page("../pages/sweeps.py").run()
    assert not app.exception
    assert "Run" in [button.label for button in app.button]
    assert ui.worker().n_active == 0


@pytest.mark.slow
def test_the_boundary_page_counts_what_each_model_had_seen(app_at_work: AppTest) -> None:
    app, names = app_at_work, ("suite-1.8m", "suite-1.8m@step165")
    task = SweepTask(names, RowSet(buckets=(64,), sample=12), contexts=(8,), continuations=(32,), positions=True)
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    app.run()
    app.switch_page("../pages/boundary.py").run()
    assert not app.exception
    for tokens, kind in (("true", "other"), ("generated", "stream")):
        app.segmented_control(key="tokens").set_value(tokens).run()
        app.segmented_control(key="count").set_value(kind).run()
        said = " ".join(element.value for element in app.info)
        assert "The n-grams of these 12 rows" in said and f"{tokens} tokens" in said
        next(button for button in app.button if button.label == "Count them").click().run()
        assert not app.exception
        deadline = time.monotonic() + 120
        while ui.worker().n_active and time.monotonic() < deadline:
            time.sleep(0.05)
        app.run()
        assert not app.exception and not app.info and not app.error
        quantity = "frequency_1" if tokens == "true" else "frequency_1_generated"
        tables = [table.value for table in app.dataframe if "edge moved, less all rows" in table.value]
        assert len(tables) == 2, "entropy and frequency"
        sweep = read_sweep(task.folder(settings()))
        corpus = index_of(find_model(names[0], settings()), Tokenizer(SUITE_FOLDER / "corpus", []), settings())
        assert corpus is not None
        for model, until in zip(names, (None, 164), strict=True):
            generated = (model, "sliding", 32) if tokens == "generated" else None
            found = answer(FrequencyTask(sweep, corpus, kind, until, generated), Context(settings(), ui.store())).result
            given = {"generated" if generated else "frequencies": found}
            lines = boundary_differences([align(sweep, model, **given)], quantity)
            labels = labels_of(sweep)
            shown = tables[1][tables[1]["model"] == labels[model]]["difference"].tolist()
            expected = [1000 * value for value in lines["jump"]]
            assert [cell.split(" ")[0] for cell in shown] == [
                "–" if value != value else f"{value:+.2f}" for value in expected
            ]


@pytest.mark.slow
def test_membership_and_what_stands_beside_m_are_the_librarys(app: AppTest) -> None:
    task = SweepTask(("suite-0.3m",), RowSet(buckets=(0, 16, 64), sample=48), contexts=(), continuations=(32,))
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    sweep = read_sweep(task.folder(settings()))
    app.run()
    app.switch_page("../pages/membership.py").run()
    assert not app.exception and not app.info and not app.error
    expected = judged(membership_points(sweep.sequences))
    assert app.dataframe[0].value["AUROC"].str.split(" ").str[0].tolist() == [f"{a:.3f}" for a in expected["auroc"]]
    app.switch_page("../pages/population.py").run()
    assert not app.exception and not any("M alone is known" in caption.value for caption in app.caption)
    manifest = json.loads((sweep.folder / "manifest.json").read_text())
    columns = manifest["tables"]["sequences"]["columns"]
    for name in [name for name in columns if name.startswith(("common_run", "min_k"))]:
        del columns[name]
    (sweep.folder / "manifest.json").write_text(json.dumps(manifest))  # as an older sweep's
    app.run()
    assert not app.exception
    assert any("M alone is known here: this sweep was made before memviz kept" in each.value for each in app.caption)
    app.switch_page("../pages/membership.py").run()
    assert not app.exception and "made before memviz kept Min-20 %++" in app.info[0].value
    assert set(app.dataframe[0].value["statistic"]) == {"Perplexity", "zlib"}


@pytest.mark.slow
def test_a_sweep_whose_file_was_written_since_can_be_run_again(app: AppTest, tmp_path: Path) -> None:
    path, model = tmp_path / "rows.jsonl", "suite-0.3m"
    text = " ".join(f"word{i}" for i in range(40))
    path.write_text(json.dumps({"text": text}) + "\n")
    task = SweepTask((model,), RowSet(str(path)), contexts=(8,), continuations=(8,), context_at=8, continuation_at=8)
    ui.store().put_request(task.hash, task.request())
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    app.run()
    app.query_params["run"] = task.hash[:16]
    app.switch_page("../pages/sweeps.py").run()
    assert not app.exception and app.success[0].value == "Finished earlier; nothing to do."
    path.write_text(json.dumps({"text": f"other {text}"}) + "\n")
    app.run()
    assert not app.exception and not app.success
    assert "has been written since" in app.warning[0].value
    next(button for button in app.button if button.label == "Run again").click().run()
    assert not app.exception
    job = ui.worker().job(task.hash)
    assert job is not None and job.status == Status.QUEUED
    old = task.finished(settings())
    assert old is not None
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    new = task.finished(settings())
    assert new is not None and outdated(new, settings()) is None
    assert new.manifest["rows"]["sha256"] != old.manifest["rows"]["sha256"]
    manifest = task.folder(settings()) / "manifest.json"
    for said, change in (("version of memviz", ("engine", -1)), ("other weights", ("models", [
        {**new.manifest["models"][0], "weights": "0" * 64}
    ]))):  # fmt: skip
        manifest.write_text(json.dumps(new.manifest | dict([change])))
        changed = task.finished(settings())
        assert changed is not None and said in (outdated(changed, settings()) or "")


# In the browser


@dataclass(frozen=True)
class Swept:
    """A sweep in the server's cache, and what a link calls it."""

    sweep: Sweep
    name: str
    names: dict[str, str]

    @property
    def models(self) -> list[str]:
        return list(self.sweep.task.models)


@pytest.fixture(scope="session")
def swept(server: Server) -> Swept:
    """Whole models of the bundled suite, at most two, on a sample of its rows."""
    cache = Path(server.environment["MEMVIZ_CACHE"])
    found = [m for m in known_models(load_settings(cache=cache)) if m.index == "suite" and m.step == m.n_steps]
    smallest = sorted((m for m in found if not m.seed), key=lambda m: (m.n_parameters or 0, m.name))[:2]
    folder = cache / "sweeps" / "tested0tested0"
    sizes = ("--contexts", "16,32", "--context-mode", "sliding,anchored", "--continuations", "16,40")
    models = ",".join(model.name for model in smallest)
    memviz(server, "sweep", "--models", models, *sizes, "--sample", "48", "--positions", "--out", folder)
    sweep = read_sweep(folder)
    return Swept(sweep, folder.name[:12], labels_of(sweep))


@pytest.fixture
def visit(swept: Swept, server: Server, page: Page) -> Any:
    """Open a population page on the sweep, drawn to its end."""

    def open_(name: str, query: str = "") -> Page:
        page.set_default_timeout(3 * MINUTES)
        page.goto(f"{server.url}/{name}?sweep={swept.name}{query}")
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=MINUTES)
        expect(plot(page)).to_be_visible(timeout=2 * MINUTES)
        settle(page)
        return page

    return open_


def plot(page: Page) -> Locator:
    return page.locator(".js-plotly-plot .plot-container").first


PLACE = """([x, y]) => {
  const graph = document.querySelector(".js-plotly-plot"), {xaxis, yaxis} = graph._fullLayout;
  const box = graph.getBoundingClientRect();
  return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)];
}"""


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_on_a_cell_lists_its_sequences_and_one_opens(visit: Any, swept: Swept, server: Server) -> None:
    page, before = visit("transitions"), n_jobs(server)
    one, other = swept.models
    points = size_points(TRAINED.apply(swept.sweep.sequences))
    counts = {(i, j): len(rows_of_cell(points, one, other, i, j)) for i in range(5) for j in range(5)}
    (level, to), n = max(counts.items(), key=lambda item: item[1])
    page.mouse.click(*page.evaluate(PLACE, [to, level]))
    expect(page).to_have_url(re.compile("level=.*to=|to=.*level="), timeout=MINUTES)
    expect(page.get_by_text(re.compile(f": {n:,} sequences?$"))).to_be_visible(timeout=MINUTES)
    page.get_by_role("button", name="Keep these rows").click()
    page.get_by_role("textbox", name="Name of the row set").fill("clicked")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved: sweep it from")).to_be_visible(timeout=MINUTES)
    saved = read_row_set("clicked", load_settings(cache=Path(server.environment["MEMVIZ_CACHE"])))
    assert list(saved.rows) == rows_of_cell(points, one, other, level, to).tolist()
    page.keyboard.press("Escape")
    box = page.get_by_test_id("stDataFrame").bounding_box()
    assert box
    page.mouse.click(box["x"] + 20, box["y"] + 55)
    page.get_by_role("button", name="Open in Trace").click()
    expect(page).to_have_url(re.compile(r"/trace\?run=[0-9a-f]{16}"), timeout=MINUTES)
    expect(page.get_by_text(f"Row {saved.rows[0]}", exact=True)).to_be_visible(timeout=2 * MINUTES)
    expect(page.get_by_text("Not computed yet")).to_be_visible(timeout=MINUTES)
    assert n_jobs(server) == before, "opening starts nothing"


@pytest.mark.browser
@pytest.mark.slow
def test_what_is_drawn_is_in_the_address_and_comes_back(visit: Any, swept: Swept) -> None:
    page = visit("population", "&quantity=Share%20with%20M%20%3D%201&parts=held-out&m=16")
    expect(page.get_by_role("radio", name="Share with M = 1")).to_be_checked(timeout=MINUTES)
    page.get_by_role("button", name="Rows and models").click()
    chosen = page.get_by_role("button", name="held-out", exact=True)
    expect(chosen).to_have_attribute("aria-pressed", "true", timeout=MINUTES)
    page.get_by_role("button", name="planted", exact=True).click()
    expect(page).to_have_url(re.compile("parts=planted"), timeout=MINUTES)
    rows = swept.sweep.rows
    n = int(Filters(parts=("held-out", "planted")).keep(rows).sum())
    expect(page.get_by_text(re.compile(f"^{n} of {len(rows)} rows"))).to_be_visible(timeout=MINUTES)
    page.goto(page.url)
    expect(page.get_by_text(re.compile(f"^{n} of {len(rows)} rows"))).to_be_visible(timeout=2 * MINUTES)
    expect(page.get_by_role("radio", name="Share with M = 1")).to_be_checked(timeout=MINUTES)
    assert "m=16" in page.url


@pytest.mark.browser
@pytest.mark.slow
def test_a_figures_data_are_those_of_the_library(visit: Any, swept: Swept) -> None:
    page = visit("population")
    page.get_by_role("button", name="Data").first.click()
    got = pd.read_csv(io.BytesIO(download(page, "CSV")))
    points = size_points(TRAINED.apply(swept.sweep.sequences))
    expected = summary(points, ["model"]).set_index("model").loc[got["model"]].reset_index()
    pd.testing.assert_frame_equal(got, expected[got.columns.tolist()], check_dtype=False)
    again = pd.read_parquet(io.BytesIO(download(page, "Parquet")))
    assert list(again.columns) == list(got.columns)
    assert "memviz sweep" in page.get_by_test_id("stCode").first.inner_text()


@pytest.mark.browser
@pytest.mark.slow
def test_the_boundary_page_draws_entropy_and_its_differences(visit: Any, swept: Swept, screenshots: Path) -> None:
    page = visit("boundary", "&moved=true&minus=true&pooled=true")
    expect(page.get_by_text("Differences at the boundary")).to_be_visible(timeout=2 * MINUTES)
    # a figure a model, and the two of where recitation breaks off
    expect(page.locator(".js-plotly-plot")).to_have_count(len(swept.models) + 2, timeout=2 * MINUTES)
    page.screenshot(path=screenshots / "boundary.png", full_page=True)


@pytest.mark.browser
@pytest.mark.slow
def test_a_sweep_runs_from_the_page_to_its_figures(server: Server, swept: Swept, page: Page) -> None:
    page.set_default_timeout(3 * MINUTES)
    page.goto(f"{server.url}/sweeps")
    page.get_by_role("spinbutton", name="Sample").fill("5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("--sample 5")).to_be_visible(timeout=2 * MINUTES)
    page.get_by_role("button", name="anchored", exact=True).click()
    expect(page.get_by_text("--context-mode")).to_have_count(0)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text(re.compile("^Finished"))).to_be_visible(timeout=5 * MINUTES)
    page.get_by_role("link", name="Population").nth(1).click()
    expect(page.get_by_text(re.compile(r"^\d+ of 5 rows"))).to_be_visible(timeout=2 * MINUTES)
