"""The page Inside the model: by AppTest without a worker, in Chromium on the bundled suite."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from support.pages import MINUTES, download, press_run
from support.serving import Server

from memviz import ui


def test_with_an_empty_cache_nothing_is_read_unasked(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/layers.py").run()
    assert not app.exception and app.title[0].value == "Inside the model"
    tasks = [job.task for job in ui.worker()._jobs.values()]
    assert all(task is None for task in tasks), "models are got ready, nothing more"


# In the browser


@pytest.fixture
def read(first_visit: dict[str, object], server: Server, page: Page) -> Page:
    """The sizes of the suite on the row that the page opens on."""
    page.goto(f"{server.url}/layers")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=4 * MINUTES)
    expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=4 * MINUTES)
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=4 * MINUTES)
    return page


CELL = """([layer, t]) => {
  const graph = document.querySelector(".js-plotly-plot"), {xaxis, yaxis} = graph._fullLayout;
  const box = graph.getBoundingClientRect();
  return [box.x + xaxis._offset + xaxis.d2p(t), box.y + yaxis._offset + yaxis.d2p(layer)];
}"""
DRAWN = """() => {
  const traces = document.querySelector(".js-plotly-plot")._fullData;
  const heat = traces.find(trace => trace.type === "heatmap");
  const rows = Array.from(heat.z, row => Array.from(row));
  return {n_layers: rows.length, m: rows[0].length, top: rows[rows.length - 1]};
}"""


def table(page: Page) -> pd.DataFrame:
    page.get_by_role("button", name="Save as", exact=True).last.click()
    return pd.read_csv(io.BytesIO(download(page, "CSV")), keep_default_na=False, na_values=[""])


@pytest.mark.browser
@pytest.mark.slow
def test_what_is_drawn_is_what_is_exported_and_what_the_trace_says(read: Page, server: Server) -> None:
    drawn = read.evaluate(DRAWN)
    found = table(read)
    assert set(found["mode"]) == {"teacher_forced", "free_running"}
    shown = read.get_by_role("combobox", name=re.compile("Model drawn")).input_value()
    one = found[(found["model"] == shown) & (found["mode"] == "teacher_forced")]
    assert one["layer"].max() + 1 == drawn["n_layers"] and one["t"].max() + 1 == drawn["m"] == 32
    last = one[one["layer"] == one["layer"].max()].sort_values("t")
    np.testing.assert_allclose(np.exp(last["logprob"]), drawn["top"], atol=1e-4)
    right = one["rank"].eq(1).to_numpy().reshape(drawn["n_layers"], -1)
    by_hand = [next((a for a in range(len(right)) if right[a:, t].all()), None) for t in range(drawn["m"])]
    commit = last["commit_layer"]
    assert [None if pd.isna(layer) else int(layer) for layer in commit] == by_hand
    read.keyboard.press("Escape")
    read.get_by_role("button", name=f"Open in Trace, {shown}").click()
    expect(read).to_have_url(re.compile(r"/trace\?run=[0-9a-f]{16}"), timeout=MINUTES)
    press_run(read)
    read.get_by_text("Export", exact=True).click(timeout=2 * MINUTES)
    traced = json.loads(download(read, "JSON"))
    assert last["rank"].tolist() == traced["teacher_forced"]["rank"]
    np.testing.assert_allclose(last["entropy"], traced["teacher_forced"]["entropy"], atol=1e-3)


@pytest.mark.browser
@pytest.mark.wide
@pytest.mark.slow
def test_a_clicked_cell_says_what_that_layer_would_say_and_its_link_too(
    read: Page, server: Server, another: Page, screenshots: Path
) -> None:
    read.mouse.click(*read.evaluate(CELL, [1, 5]))
    expect(read).to_have_url(re.compile("tok=37"), timeout=MINUTES)
    expect(read).to_have_url(re.compile("layer=1"))
    expect(read.get_by_text(re.compile(r"^Layer 1 of \d+, index 37$"))).to_be_visible(timeout=MINUTES)
    read.screenshot(path=screenshots / "cell.png", full_page=True)
    before = server.log.read_text().count("queued: lens")
    another.goto(read.url)
    expect(another.get_by_text(re.compile(r"^Layer 1 of \d+, index 37$"))).to_be_visible(timeout=2 * MINUTES)
    assert server.log.read_text().count("queued: lens") == before, "a link starts nothing"
