"""The Compare page in Chromium, on the shared server: whatever suite is there, its sizes and its training steps."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from support.pages import MINUTES, download, n_jobs, open_settings, press_run, settle, strip
from support.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def scores(page: Page) -> Locator:
    return page.locator(".rung .score")


def rungs(page: Page) -> Locator:
    return page.locator(".rung[data-r]")


def cells(page: Page, r: int = 0) -> Locator:
    return page.locator(f'.rung[data-r="{r}"] .cell')


@pytest.fixture(scope="module")
def compared_link(first_visit: dict[str, object], server: Server, window: BrowserContext) -> str:
    """The address of the sizes of the suite on the first visitor's row, computed."""
    page = window.new_page()
    page.goto(f"{server.url}/compare")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=4 * MINUTES)
    page.get_by_role("radio", name="grid").check(timeout=2 * MINUTES)
    expect(page).to_have_url(re.compile("view=grid"))
    press_run(page)
    expect(scores(page).first).to_be_visible(timeout=2 * MINUTES)
    expect(scores(page)).to_have_count(rungs(page).count(), timeout=4 * MINUTES)
    expect(page).to_have_url(re.compile(r"run=[0-9a-f]{16}"))
    link = page.url
    page.close()
    return link


@pytest.fixture
def compared(compared_link: str, page: Page) -> Page:
    """The sizes of the suite on the first visitor's row."""
    page.goto(compared_link)
    expect(scores(page).first).to_be_visible(timeout=2 * MINUTES)
    expect(scores(page)).to_have_count(rungs(page).count(), timeout=2 * MINUTES)
    return page


def test_a_deep_link_shows_the_request_and_starts_nothing(
    first_visit: dict[str, object], server: Server, page: Page
) -> None:
    before = n_jobs(server)
    page.goto(f"{server.url}/compare")
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible(timeout=MINUTES)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=4 * MINUTES)
    lines = page.locator(".read [data-r]")
    expect(lines.first).to_be_visible(timeout=2 * MINUTES)
    own = lines.locator(".cell.own")
    assert own.count() and page.locator(".read svg.flag").count() == page.locator(".read .line:has(.own)").count()
    assert lines.last.locator(".cell").count() == lines.last.locator(".cell.match").count() == 32, "the largest recites"
    assert n_jobs(server) == before


def test_every_size_is_a_row_and_exported(compared: Page, screenshots: Path) -> None:
    compared.screenshot(path=screenshots / "light.png", full_page=True)
    n = rungs(compared).count()
    assert n > 1
    shown = [float(text) for text in scores(compared).all_inner_texts()]
    compared.get_by_text("Export", exact=True).click()
    document = json.loads(download(compared, "JSON"))
    assert [row["memorization_score"] for row in document["rows"]] == pytest.approx(shown, abs=0.0051)
    sizes = [row["n_parameters"] for row in document["rows"]]
    assert sizes == sorted(sizes)
    table = pd.read_csv(io.BytesIO(download(compared, "CSV")), keep_default_na=False, na_values=[""])
    assert table["model"].nunique() == n and len(table) == n * 64
    matches = table[table["part"] == "continuation"].groupby("model", sort=False)["match"].mean()
    assert list(matches) == pytest.approx(shown, abs=0.0051)
    lines = compared.get_by_test_id("stCode").inner_text().strip().splitlines()
    assert len(lines) == n and all(line.startswith("memviz trace --model ") for line in lines)
    ids = json.loads(download(compared, "Token ids"))
    assert ids["context_ids"] == document["rows"][0]["context_ids"]


def test_a_link_keeps_what_was_chosen_and_starts_nothing(compared: Page, server: Server, another: Page) -> None:
    cells(compared).nth(5).click()
    expect(compared).to_have_url(re.compile("tok=37"))
    compared.get_by_label("teacher-forced").check()
    compared.get_by_label("fill").select_option("entropy")
    compared.get_by_label("differences").check()
    name = rungs(compared).nth(1).get_by_role("button")
    name.click()
    for part in ("mode=teacher_forced", "metric=entropy", "diff=1", "base="):
        expect(compared).to_have_url(re.compile(part))
    before = n_jobs(server)
    another.goto(compared.url)
    expect(scores(another)).to_have_count(rungs(compared).count(), timeout=2 * MINUTES)
    expect(another.get_by_text("want to say at index 37?")).to_be_visible()
    expect(another.get_by_label("teacher-forced")).to_be_checked()
    expect(another.get_by_label("fill")).to_have_value("entropy")
    expect(another.get_by_label("differences")).to_be_checked()
    expect(rungs(another).nth(1).get_by_role("button")).to_have_attribute("aria-pressed", "true")
    assert n_jobs(server) == before


def test_the_keyboard_moves_the_pinned_token(compared: Page) -> None:
    cells(compared).nth(3).click()
    expect(compared).to_have_url(re.compile("tok=35"))
    compared.keyboard.press("ArrowRight")
    compared.keyboard.press("ArrowRight")
    expect(compared).to_have_url(re.compile("tok=37"))
    compared.keyboard.press("ArrowDown")
    expect(cells(compared, 1).nth(5)).to_be_focused()
    compared.keyboard.press("Escape")
    expect(compared).not_to_have_url(re.compile("tok="))


def test_to_trace_and_back_with_the_same_prompt(compared: Page) -> None:
    n, shown = rungs(compared).count(), scores(compared).all_inner_texts()
    cells(compared).nth(8).click()
    expect(compared).to_have_url(re.compile("tok=40"))
    compared.get_by_role("button", name="Open in Trace").click()
    expect(strip(compared)).to_have_count(64, timeout=2 * MINUTES)
    expect(compared.get_by_text("Position 40")).to_be_visible()
    metric = compared.get_by_test_id("stMetric").filter(has_text="Memorization score")
    expect(metric.get_by_test_id("stMetricValue")).to_have_text(shown[-1])
    compared.get_by_role("button", name="Open in Compare").click()
    expect(scores(compared)).to_have_count(n, timeout=2 * MINUTES)
    assert scores(compared).all_inner_texts() == shown


@pytest.mark.wide
def test_training_steps_say_when_it_was_memorized(
    first_visit: dict[str, object], server: Server, page: Page, screenshots: Path
) -> None:
    page.goto(f"{server.url}/compare")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=4 * MINUTES)
    open_settings(page)
    settle(page)  # a rerun would close the list
    box = page.get_by_role("combobox", name=re.compile("Models"))
    box.click()
    steps = page.get_by_role("option", name=re.compile("Training steps of"))
    steps.first.click()
    expect(page.get_by_text(re.compile("are stored|Not computed"))).to_be_visible(timeout=2 * MINUTES)
    press_run(page)
    expect(page.get_by_text("When was it memorized?")).to_be_visible(timeout=4 * MINUTES)
    expect(page.get_by_text(re.compile(r"Row \d+ of the training data: (shown|held out)"))).to_be_visible()
    labels = [int(re.sub(r"\D", "", text)) for text in page.locator(".rung .base").all_inner_texts()]
    assert labels == sorted(labels)
    page.screenshot(path=screenshots / "steps.png", full_page=True)


def test_a_changed_context_is_tried_and_linked(compared: Page, server: Server, another: Page) -> None:
    compared.get_by_text("Change the context, and see").click()
    expect(compared.get_by_role("button", name="Try them")).to_be_visible(timeout=MINUTES)
    settle(compared)
    compared.get_by_role("button", name="Try them").click()
    expect(compared.get_by_text(re.compile(r"Scanned: 32 lengths, 1 to 32 \(every one\)"))).to_be_visible(
        timeout=2 * MINUTES
    )
    expect(compared).to_have_url(re.compile("change=[0-9a-f]{16}"))
    expect(compared.locator(".js-plotly-plot")).to_be_visible(timeout=MINUTES)
    before = server.log.read_text().count("queued: perturbation")
    another.goto(compared.url)
    expect(another.get_by_text(re.compile(r"Scanned: 32 lengths"))).to_be_visible(timeout=2 * MINUTES)
    assert server.log.read_text().count("queued: perturbation") == before
