"""The Trace page in Chromium, on one server: from the first visit by a link to the last export."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect
from support.pages import (
    FOCUSED,
    MINUTES,
    MOVING,
    PREAMBLE,
    PREAMBLE_TITLE,
    choose_model,
    choose_text,
    download,
    in_scheme,
    memviz,
    metric,
    n_jobs,
    open_settings,
    press_run,
    set_number,
    strip,
    when_indexed,
    write_text,
)
from support.serving import Server

from memviz.catalog import find_model, read_card
from memviz.measures.score import memorization_score
from memviz.passages import PASSAGES
from memviz.rows.cells import as_written
from memviz.settings import load_settings
from memviz.store import Store
from memviz.tasks.base import Context, stored
from memviz.tasks.trace import task_of_text, tokenizer_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_deep_link_as_the_first_visit_works(first_visit: dict[str, object]) -> None:
    pages = ["Overview", "Gallery", "Trace", "Compare", "Inside the model", "Causes", "Population", "Transitions"]
    pages += ["Boundary", "Map", "Dynamics", "Membership", "Predictor", "Precision", "Sweeps", "Glossary"]
    assert first_visit["links"] == pages
    assert first_visit["missing"] == 0


def test_the_page_says_what_the_command_line_says(
    first_visit: dict[str, object], server: Server, page: Page, tmp_path: Path, screenshots: Path
) -> None:
    page.goto(f"{server.url}/trace")
    model = str(first_visit["model"])
    choose_model(page, model)
    choose_text(page, PREAMBLE_TITLE)
    set_number(page, "Context", 24)
    set_number(page, "Continuation", 40)
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    page.screenshot(path=screenshots / "light.png")
    text, out = tmp_path / "text.txt", tmp_path / "out.json"
    text.write_text(PREAMBLE)
    numbers = ("--context", "24", "--continuation", "40")
    memviz(server, "trace", "--model", model, "--text-file", text, *numbers, "--out", out)
    said = json.loads(out.read_text())
    page.get_by_text("Export", exact=True).click()
    assert json.loads(download(page, "JSON")) == said
    assert float(metric(page, "Memorization score")) == pytest.approx(said["memorization_score"], abs=0.005)
    assert said["memorization_score"] == pytest.approx(
        sum(a == b for a, b in zip(said["generated_ids"], said["continuation_ids"], strict=True)) / 40
    )


def test_exports_hold_the_row_and_repeat_it(traced: Page, server: Server, browser: Browser, tmp_path: Path) -> None:
    when_indexed(traced)
    traced.get_by_text("Export", exact=True).click()
    document = json.loads(download(traced, "JSON"))
    ngrams, predicted = document.pop("ngrams"), document.pop("p_memorized")
    comma, parquet = (download(traced, name) for name in ("CSV", "Parquet"))
    table = pd.read_csv(io.BytesIO(comma), keep_default_na=False, na_values=[""])
    assert list(table["index"]) == list(range(64))
    assert list(table["generated_id"]) == document["context_ids"] + document["generated_ids"]
    assert list(table["true_id"][32:]) == document["continuation_ids"]
    assert list(table["true_count_2gram_other"][1:]) == ngrams["true_count_2gram_other"][1:]
    for setting, values in predicted.items():
        assert list(table[f"p_memorized_{setting}"][32:]) == pytest.approx(values, rel=1e-6)
    for mode, name in (("free_running", "entropy"), ("teacher_forced", "rank"), ("teacher_forced", "logprob")):
        assert list(table[f"{mode}_{name}"][32:]) == pytest.approx(document[mode][name], rel=1e-6)
    again = pd.read_parquet(io.BytesIO(parquet))
    assert list(again.columns) == list(table.columns) and len(again) == 64
    assert list(again["generated_token"]) == list(map(as_written, table["generated_token"]))

    (tmp_path / "trace.html").write_bytes(download(traced, "HTML"))
    context = browser.new_context(offline=True)
    page = context.new_page()
    heard: list[str] = []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto((tmp_path / "trace.html").as_uri())
    strip(page).nth(30).hover()
    expect(page.get_by_text("Position 30")).to_be_visible()
    strip(page).nth(31).click()
    expect(strip(page).nth(31)).to_have_attribute("aria-selected", "true")
    context.close()
    assert [entry for entry in heard if not entry.startswith(("file:", "blob:", "data:"))] == []

    shown = traced.get_by_test_id("stCode").inner_text()
    words = shlex.split(shown)
    (tmp_path / words[words.index("--ids-file") + 1]).write_bytes(download(traced, "Token ids"))
    assert words.pop(0) == "memviz"
    memviz(server, *words, folder=tmp_path)
    assert json.loads((tmp_path / words[words.index("--out") + 1]).read_text()) == document


def test_hover_click_keys_and_escape_share_one_selection(traced: Page) -> None:
    tokens = strip(traced)
    tokens.nth(30).hover()
    expect(traced.get_by_text("Position 30")).to_be_visible()
    tokens.nth(26).click()
    expect(traced).to_have_url(re.compile("tok=26"))
    expect(traced.get_by_text("Position 26")).to_be_visible()
    traced.keyboard.press("ArrowRight")
    expect(traced.get_by_text("Position 27")).to_be_visible()
    expect(traced).to_have_url(re.compile("tok=27"))
    traced.mouse.move(5, 5)
    traced.keyboard.press("Escape")
    expect(traced).not_to_have_url(re.compile("tok="))


def test_modes_and_fills_are_kept_in_the_link(traced: Page, screenshots: Path) -> None:
    traced.get_by_label("teacher-forced").check()
    expect(traced).to_have_url(re.compile("mode=teacher_forced"))
    traced.get_by_label("fill").select_option("rank")
    expect(traced).to_have_url(re.compile("fill=rank"))
    traced.reload()
    expect(strip(traced)).to_have_count(64, timeout=MINUTES)
    expect(traced.get_by_label("teacher-forced")).to_be_checked()
    expect(traced.get_by_label("fill")).to_have_value("rank")
    traced.screenshot(path=screenshots / "teacher-forced.png")


def test_a_link_shows_the_stored_result_without_starting_work(traced: Page, server: Server, another: Page) -> None:
    strip(traced).nth(40).click()
    expect(traced).to_have_url(re.compile("tok=40"))
    before = n_jobs(server)
    another.goto(traced.url)
    expect(strip(another)).to_have_count(64, timeout=MINUTES)
    expect(another.get_by_text("Position 40")).to_be_visible()
    expect(strip(another).nth(40)).to_have_attribute("aria-selected", "true")
    assert n_jobs(server) == before


@pytest.mark.parametrize(
    "wish",
    ["tok=" + "9" * 5000 + "&mode=constructor&fill=constructor", pytest.param("tok=-1", marks=pytest.mark.wide)],
    ids=["much", "negative"],
)
def test_a_link_that_asks_for_nonsense_shows_the_result(trace_link: str, page: Page, wish: str) -> None:
    page.goto(f"{trace_link}&{wish}")
    expect(strip(page)).to_have_count(64, timeout=MINUTES)
    expect(page.get_by_role("radio", name="free-running")).to_be_checked()


HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \u202eright to left\u202c "
    "zero\u200bwidth joiner\u200d tab\there\nnew line **bold** $x^2$ :material/home: \U0001f926\U0001f3fd "
    "and the end of it."
)


@pytest.mark.wide
def test_hostile_text_is_shown_as_text(
    first_visit: dict[str, object], server: Server, page: Page, screenshots: Path
) -> None:
    page.goto(f"{server.url}/trace")
    write_text(page, HOSTILE)
    set_number(page, "Continuation", 12)
    press_run(page)
    expect(strip(page)).to_have_count(44, timeout=2 * MINUTES)
    shown = "".join(strip(page).locator(".piece:nth-child(2)").all_text_contents())
    assert shown.startswith("<script>document.title")
    assert page.title() != "owned"
    page.screenshot(path=screenshots / "hostile.png")
    page.reload()
    expect(strip(page)).to_have_count(44, timeout=MINUTES)
    assert page.title() != "owned"


def test_dark_and_narrow(trace_link: str, page: Page, screenshots: Path) -> None:
    for scheme, width in (("dark", 420), ("light", 420), ("dark", 1440)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 1000})
        if page.url != trace_link:
            page.goto(trace_link)
        expect(strip(page)).to_have_count(64, timeout=MINUTES)
        in_scheme(page, scheme)
        page.screenshot(path=screenshots / f"{scheme}-{width}.png")
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"


@pytest.mark.wide
def test_passages_are_measured_and_not_assumed(
    first_visit: dict[str, object], server: Server, page: Page, screenshots: Path
) -> None:
    page.goto(f"{server.url}/trace")
    model = str(first_visit["model"])
    choose_text(page, PREAMBLE_TITLE)
    set_number(page, "Context", 5)
    set_number(page, "Continuation", 6)
    page.get_by_text(f"What {model} does with each of the passages").click()
    page.get_by_role("button", name=f"Run the {len(PASSAGES)} not run yet").click()
    rows = page.get_by_role("row").filter(has_text=re.compile(r"of 6 tokens"))
    expect(rows).to_have_count(len(PASSAGES), timeout=2 * MINUTES)
    expect(page.get_by_role("button", name=re.compile("not run yet"))).to_have_count(0)
    page.screenshot(path=screenshots / "measured.png")
    settings = load_settings(cache=Path(server.environment["MEMVIZ_CACHE"]))
    card = read_card(find_model(model, settings), settings)
    assert card is not None
    store, tokenizer = Store(settings.cache / "results", settings.cache_limit), tokenizer_of(card, settings)
    for title, passage in PASSAGES.items():
        task = task_of_text(passage, card, tokenizer, 5, 6, dtype=settings.dtype)
        run = stored(task, Context(settings, store))
        assert run is not None
        cells = rows.filter(has_text=title).get_by_role("cell").all_inner_texts()
        assert cells[-2] == f"{memorization_score(run.trace)[0]:.2f}"


def test_the_keyboard_alone_reaches_the_strip(traced: Page) -> None:
    page = traced
    for _ in range(60):
        page.keyboard.press("Tab")
        role, at, outline, width = page.evaluate(FOCUSED)
        if role == "option":
            break
    assert (role, at) == ("option", "32")
    assert outline != "none" and width >= 1, "one sees where the focus is"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("tok=34"))
    expect(page.get_by_text("Position 34")).to_be_visible()
    assert page.evaluate(FOCUSED)[:2] == ["option", "34"], "a rerun keeps the focus"
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("tok="))


def test_reduced_motion_is_respected(trace_link: str, page: Page) -> None:
    page.goto(f"{trace_link}&tok=30")
    expect(page.get_by_text("Position 30")).to_be_visible(timeout=MINUTES)
    assert page.evaluate(MOVING) != [], "the test sees the motion that may be"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVING) == []


@pytest.mark.wide
def test_a_link_to_a_run_that_is_gone_offers_to_run_it(trace_link: str, server: Server, page: Page) -> None:
    page.goto(trace_link)
    set_number(page, "Context", 33)
    press_run(page)
    expect(strip(page)).to_have_count(65, timeout=2 * MINUTES)
    expect(page).to_have_url(re.compile("run="))
    memviz(server, "store", "clear")
    before = n_jobs(server)
    page.goto(f"{page.url}&tok=30")
    expect(page.get_by_text("Not computed yet: press Run")).to_be_visible(timeout=MINUTES)
    open_settings(page)
    expect(page.get_by_role("spinbutton", name="Context")).to_have_value("33")
    expect(page.get_by_role("spinbutton", name="Continuation")).to_have_value("32")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    assert n_jobs(server) == before
    press_run(page)
    expect(strip(page)).to_have_count(65, timeout=2 * MINUTES)
    expect(page.get_by_text("Position 30")).to_be_visible()


def test_no_prompt_reaches_the_log(trace_link: str, server: Server) -> None:
    log = server.log.read_text()
    assert "job" in log and "People of the United" not in log and "Traceback" not in log
    assert "it/s]" not in log, "no progress bars of libraries"
