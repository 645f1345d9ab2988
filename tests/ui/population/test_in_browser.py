"""The population pages in Chromium, on a small sweep of the bundled suite."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect
from support.pages import MINUTES, download, memviz, n_jobs, open_settings, settle
from support.serving import Server

from memviz.catalog import known_models
from memviz.population import (
    Filters,
    labels_of,
    rows_of_cell,
    size_points,
    summary,
)
from memviz.settings import load_settings
from memviz.sweeps import (
    Sweep,
    read_row_set,
    read_sweep,
)

TRAINED = Filters(parts=("planted",))
"""What the pages look at before anybody chose anything."""

pytestmark = [pytest.mark.usefixtures("nothing_shipped"), pytest.mark.browser, pytest.mark.slow]


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
    expect(page.get_by_text(f"row {saved.rows[0]} of")).to_be_visible(timeout=2 * MINUTES)
    expect(page.get_by_text("Not computed yet")).to_be_visible(timeout=MINUTES)
    assert n_jobs(server) == before, "opening starts nothing"


@pytest.mark.wide
def test_what_is_drawn_is_in_the_address_and_comes_back(visit: Any, swept: Swept) -> None:
    page = visit("population", "&quantity=Share%20with%20M%20%3D%201&parts=held-out&m=16")
    expect(page.get_by_role("radio", name="Share with M = 1")).to_be_checked(timeout=MINUTES)
    open_settings(page)
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


@pytest.mark.wide
def test_a_figures_data_are_those_of_the_library(visit: Any, swept: Swept) -> None:
    page = visit("population", "&small=true")
    page.get_by_role("button", name="Save as").first.click()
    got = pd.read_csv(io.BytesIO(download(page, "CSV")))
    points = size_points(TRAINED.apply(swept.sweep.sequences))
    expected = summary(points, ["model"]).set_index("model").loc[got["model"]].reset_index()
    pd.testing.assert_frame_equal(got, expected[got.columns.tolist()], check_dtype=False)
    again = pd.read_parquet(io.BytesIO(download(page, "Parquet")))
    assert list(again.columns) == list(got.columns)
    assert "memviz sweep" in page.get_by_test_id("stCode").first.inner_text()


@pytest.mark.wide
def test_the_boundary_page_draws_entropy_and_its_differences(visit: Any, swept: Swept, screenshots: Path) -> None:
    page = visit("boundary", "&moved=true&minus=true&pooled=true")
    expect(page.get_by_text("Differences at the boundary")).to_be_visible(timeout=2 * MINUTES)
    # a figure a model, and the two of where recitation breaks off
    expect(page.locator(".js-plotly-plot")).to_have_count(len(swept.models) + 2, timeout=2 * MINUTES)
    page.screenshot(path=screenshots / "boundary.png", full_page=True)


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
