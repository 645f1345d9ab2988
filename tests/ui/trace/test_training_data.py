"""Training rows and n-gram counts on the Trace page, in Chromium, against the suite's own files."""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from support.pages import (
    MINUTES,
    SECONDS,
    choose_model,
    download,
    metric,
    open_settings,
    press_run,
    set_number,
    settle,
    strip,
    when_indexed,
    write_text,
)
from support.serving import Server

from memviz.catalog import find_model
from memviz.demo.samples import Samples
from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.gallery import first_example
from memviz.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="module")
def first_row(samples: Samples) -> int:
    """The row of the gallery's first example, which the Trace page opens on."""
    example = first_example("trace")
    assert example is not None
    return int(re.findall(r"row ([\d,]+)", example.prompt)[0].replace(",", ""))


@pytest.fixture(scope="module")
def largest(samples: Samples) -> str:
    models = [find_model(name, Settings()) for name in samples.models]
    whole = [model for model in models if model.step == model.n_steps and not model.seed]
    return max(whole, key=lambda model: model.n_parameters or 0).name


def brute_counts(rows: np.ndarray, n: int, until: int | None, without: int | None) -> np.ndarray:
    """Counts of the n-gram that ends at each index of `rows`, by looking at every exposure; NaN where none does."""
    data = read_data(SUITE_FOLDER / "corpus")
    found: Counter[tuple[int, ...]] = Counter()
    wanted = {tuple(rows[end - n : end]) for end in range(n, len(rows) + 1)}
    segments = data.segments()
    seen = segments[(segments["row"] != without) & (until is None or segments["step"] <= until)]
    for (row, offset, n_tokens), times in seen.groupby(["row", "row_offset", "n_tokens"]).size().items():
        ids = data.ids[row][offset : offset + n_tokens].tolist()
        for gram in zip(*(ids[i:] for i in range(n)), strict=False):
            if gram in wanted:
                found[gram] += times
    counts = [found[tuple(rows[end - n : end])] for end in range(n, len(rows) + 1)]
    return np.array([np.nan] * (n - 1) + counts)


def exported(page: Page) -> pd.DataFrame:
    page.get_by_text("Export", exact=True).click()
    return pd.read_parquet(io.BytesIO(download(page, "Parquet")))


def test_the_first_visitor_sees_a_row_that_the_largest_model_recites(
    first_visit: dict[str, object], traced: Page, samples: Samples, largest: str, first_row: int
) -> None:
    row = first_row
    assert first_visit["model"] == largest
    assert f"Row {row} · {samples.data.domain[row]}" in str(first_visit["text"])
    assert f"seen {samples.data.bucket[row]} times in training" in str(first_visit["text"])
    expected = samples.matches(largest, 32)[row] / 32
    assert float(metric(traced, "Memorization score")) == pytest.approx(expected, abs=0.006)


def test_a_row_is_found_chosen_and_scored_as_the_suite_says(
    first_visit: dict[str, object], server: Server, page: Page, samples: Samples, largest: str, first_row: int
) -> None:
    matches = samples.matches(largest, 32)
    matches[first_row] = np.nan
    row = int(np.nanargmax(matches))
    sought = max(re.findall(r"[\w ,;]+", samples.texts[row]), key=len)
    page.goto(f"{server.url}/trace")
    open_settings(page)
    page.get_by_text("Choose among the training rows").click()
    page.get_by_role("button", name=samples.domains[0], exact=True).click()
    n_domain = int((samples.data.domain == samples.domains[0]).sum())
    expect(page.get_by_text(f"{n_domain:,} of {samples.n_rows:,} rows fit")).to_be_visible(timeout=MINUTES)
    page.get_by_role("button", name=samples.domains[0], exact=True).click()
    field = page.get_by_role("textbox", name="Search in the text")
    field.fill(sought)
    field.press("Enter")
    fits = [other for other, text in enumerate(samples.texts) if sought.casefold() in text.casefold()]
    assert fits == [row]
    expect(page.get_by_text(f"1 of {samples.n_rows:,} rows fit")).to_be_visible(timeout=MINUTES)
    page.wait_for_timeout(1 * SECONDS)
    page.get_by_test_id("stDataFrame").click(position={"x": 20, "y": 35 + 17})
    expect(page.get_by_text(f"Row {row} ·")).to_be_visible(timeout=MINUTES)
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    assert float(metric(page, "Memorization score")) == pytest.approx(np.nanmax(matches) / 32, abs=0.006)
    table = exported(page)
    assert table["true_id"].tolist() == samples.data.ids[row][:64].tolist(), "ids exactly as in training"
    link = page.url
    page.get_by_role("button", name="Surprise me").click()
    settle(page)
    expect(page.get_by_text(f"Row {row} ·")).to_be_visible()  # the only one that fits
    page.goto(link)
    open_settings(page)
    expect(page.get_by_text(f"Row {row} ·")).to_be_visible(timeout=MINUTES)
    expect(strip(page)).to_have_count(64, timeout=MINUTES)


@pytest.mark.wide
def test_counts_are_those_of_every_exposure(traced: Page, samples: Samples, first_row: int) -> None:
    when_indexed(traced)
    row = first_row
    table = exported(traced)
    ids = samples.data.ids[row][:64]
    for n, kind, without in ((2, "stream", None), (3, "stream", None), (3, "other", row)):
        expected = brute_counts(ids, n, None, without)
        np.testing.assert_array_equal(table[f"true_count_{n}gram_{kind}"], expected)
    difference = expected[32] - expected[31]
    assert metric(traced, "Boundary difference") == f"{difference:+,.0f}".replace("-", "−")
    strip(traced).nth(40).click()
    reading = traced.locator(".plot .caption").first
    expect(reading).to_contain_text(f"· {expected[40]:,.0f} in other rows · suite, exact")
    traced.get_by_role("radio", name="stream", exact=True).or_(
        traced.get_by_role("button", name="stream", exact=True)
    ).click()
    stream = brute_counts(ids, 3, None, None)
    expect(reading).to_contain_text(f"· {stream[40]:,.0f} in stream · suite, exact", timeout=MINUTES)
    expect(strip(traced).nth(40)).to_have_attribute("aria-selected", "true")


def test_a_pinned_token_leads_to_the_rows_that_hold_it(traced: Page, first_row: int, screenshots: Path) -> None:
    when_indexed(traced)
    row = first_row
    strip(traced).nth(33).click()
    expect(traced.get_by_text("The longest verbatim span through token 33")).to_be_visible(timeout=MINUTES)
    expect(traced.get_by_text(re.compile("In the prompt's own row: 64 tokens, 0 to 63, in 1 row"))).to_be_visible()
    cells = traced.get_by_role("row").filter(has_text="▁").or_(traced.get_by_role("row").filter(has_text="█"))
    assert cells.first.get_by_role("cell").first.inner_text() == str(row)
    for j in (40, 45, 50, 36, 60):
        strip(traced).nth(j).click()
        expect(traced.get_by_text(f"The longest verbatim span through token {j}")).to_be_visible(timeout=MINUTES)
        traced.wait_for_timeout(2 * SECONDS)  # what stood there before goes last
        buttons = traced.get_by_role("button", name=re.compile(r"^Open row \d+")).all_inner_texts()
        if buttons:
            break
    traced.screenshot(path=screenshots / "rows.png", full_page=True)
    other = buttons[0].split()[-1]
    assert other != str(row), "the row shown is not offered"
    traced.get_by_role("button", name=f"Open row {other}", exact=True).click()
    expect(traced.get_by_text(f"row {other} of").first).to_be_visible(timeout=MINUTES)
    expect(traced).not_to_have_url(re.compile("tok="))


@pytest.mark.wide
def test_a_checkpoint_counts_what_it_has_seen(
    first_visit: dict[str, object], server: Server, page: Page, samples: Samples
) -> None:
    models = [find_model(name, Settings()) for name in samples.models]
    early = next(model for model in models if (model.step or 0) < (model.n_steps or 0))
    page.goto(f"{server.url}/trace")
    choose_model(page, early.name)
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    when_indexed(page)
    table = exported(page)
    assert early.step is not None
    expected = brute_counts(table["true_id"].to_numpy(), 3, early.step - 1, None)
    np.testing.assert_array_equal(table["true_count_3gram_stream"], expected)
    assert page.get_by_text(f"Only what was seen up to step {early.step:,}").count() == 1


@pytest.mark.wide
def test_a_text_from_elsewhere_is_said_to_be_from_elsewhere(
    first_visit: dict[str, object], server: Server, page: Page, screenshots: Path
) -> None:
    page.goto(f"{server.url}/trace")
    letters = np.random.default_rng(3).choice(list("qjzxvkwQJZXVKW"), 300)
    write_text(page, "".join(letters))
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    expect(page.get_by_text(re.compile("^This text is not from suite"))).to_be_visible(timeout=2 * MINUTES)
    expect(page.locator("svg.curve")).to_have_count(1)
    page.screenshot(path=screenshots / "elsewhere.png", full_page=True)
    assert page.get_by_text("Boundary difference").count() == 0
    page.get_by_text("Show the counts all the same").click()
    expect(page.locator("svg.curve")).to_have_count(3)
    expect(page.get_by_text("Boundary difference")).to_be_visible()


def test_numbers_out_of_range_stay_and_are_said(first_visit: dict[str, object], server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace")
    for value, sentence in (
        (0, "Context is 0: give a number from 1 to"),
        (100, "100 of context and 32 of continuation"),
        (200, "The text has 128 tokens, fewer than 200 of context"),
    ):
        set_number(page, "Context", value)
        expect(page.get_by_text(sentence)).to_be_visible(timeout=MINUTES)
        expect(page.get_by_role("spinbutton", name="Context")).to_have_value(str(value))


CARDS_A_ROW = """(expected) => {
    const cards = [...document.querySelectorAll(".st-key-cards [data-testid=stMetric]")];
    const tops = cards.map((card) => card.getBoundingClientRect().y);
    const rows = [...new Set(tops)].sort((a, b) => a - b).map((y) => tops.filter((top) => top === y).length);
    return JSON.stringify(rows) === JSON.stringify(expected);
}"""


def test_narrow_pages_have_two_cards_a_row_and_readable_explanations(trace_link: str, page: Page) -> None:
    page.set_viewport_size({"width": 500, "height": 1200})
    page.goto(trace_link)
    expect(strip(page)).to_have_count(64, timeout=MINUTES)
    # The strip comes before the cards, and the page moves while they are drawn: all in one look, until they stand.
    page.wait_for_function(CARDS_A_ROW, arg=[2, 2, 1], timeout=MINUTES)
    page.get_by_text("All measures").click()
    explanation = page.locator(".st-key-measures").get_by_role("row").nth(1).get_by_role("cell").nth(2)
    expect(explanation).to_be_visible(timeout=MINUTES)
    box = explanation.bounding_box()
    assert box and box["width"] > 360
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"
