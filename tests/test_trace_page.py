"""The Trace page in Chromium, on one server: from the first visit by a link to the last export."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from serving import ROOT, Server

from memviz.passages import PASSAGES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MINUTES = 60_000
PREAMBLE = PASSAGES["U.S. Constitution, preamble (1787)"]


@pytest.fixture(scope="module")
def first_visit(server: Server, browser: Browser) -> dict[str, object]:
    """What the very first visitor of a fresh server sees, coming by a deep link, until the model is ready."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(f"{server.url}/trace")
    expect(page.get_by_role("heading", name="Trace")).to_be_visible(timeout=MINUTES)
    links = page.get_by_test_id("stSidebarNavLink").all_inner_texts()
    missing = page.get_by_text("Page not found").count()
    pictures = ROOT / "build" / "screenshots" / "first-visit"
    pictures.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=pictures / "getting-ready.png")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=4 * MINUTES)
    expect(page.get_by_text("Not computed yet")).to_be_visible()
    page.screenshot(path=pictures / "ready.png")
    context.close()
    return {"links": [text.strip().splitlines()[-1] for text in links], "missing": missing, "url": server.url}


def n_jobs(server: Server) -> int:
    return len(re.findall(r"job \d+ queued: trace", server.log.read_text()))


def press_run(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def strip(page: Page):
    return page.locator('[role=option][aria-label^=index]')


def write_text(page: Page, text: str) -> None:
    page.get_by_role("combobox", name=re.compile("Text")).click()
    page.get_by_role("option", name="Text of your own").click()
    page.get_by_role("textbox", name="Text").fill(text)
    page.get_by_role("textbox", name="Text").press("Control+Enter")


@pytest.fixture
def traced(first_visit: dict[str, object], server: Server, page: Page) -> Page:
    """The preamble's trace on the page, computed by the first test that asks for it."""
    page.goto(f"{server.url}/trace")
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    expect(page).to_have_url(re.compile(r"run=[0-9a-f]{16}"))
    return page


def test_a_deep_link_as_the_first_visit_works(first_visit: dict[str, object]) -> None:
    assert first_visit["links"] == ["Overview", "Trace"]
    assert first_visit["missing"] == 0


def test_the_page_says_what_the_command_line_says(
    traced: Page, server: Server, tmp_path: Path, screenshots: Path
) -> None:
    traced.screenshot(path=screenshots / "light.png")
    text, out = tmp_path / "text.txt", tmp_path / "out.json"
    text.write_text(PREAMBLE)
    command = [sys.executable, "-m", "memviz", "trace", "--model", "smollm2-135m", "--text-file", str(text)]
    command += ["--context", "24", "--continuation", "40", "--out", str(out)]
    subprocess.run(command, check=True, env=server.environment, cwd=ROOT)
    said = json.loads(out.read_text())
    traced.get_by_text("Export", exact=True).click()
    with traced.expect_download() as download:
        traced.get_by_role("button", name="JSON").click()
    shown = json.loads(Path(download.value.path()).read_text())
    assert shown == said
    metric = traced.get_by_test_id("stMetric").filter(has_text="Memorization score").get_by_test_id("stMetricValue")
    assert float(metric.inner_text()) == pytest.approx(said["memorization_score"], abs=0.005)
    assert said["memorization_score"] == pytest.approx(
        sum(a == b for a, b in zip(said["generated_ids"], said["continuation_ids"], strict=True)) / 40
    )


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


def test_a_link_shows_the_stored_result_without_starting_work(traced: Page, server: Server, browser: Browser) -> None:
    strip(traced).nth(40).click()
    expect(traced).to_have_url(re.compile("tok=40"))
    before = n_jobs(server)
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(traced.url)
    expect(strip(page)).to_have_count(64, timeout=MINUTES)
    expect(page.get_by_text("Position 40")).to_be_visible()
    expect(strip(page).nth(40)).to_have_attribute("aria-selected", "true")
    context.close()
    assert n_jobs(server) == before


def test_an_unknown_link_says_so(first_visit: dict[str, object], server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace?run=0123456789abcdef")
    expect(page.get_by_text("This link names run 0123456789abcdef, which is not stored here")).to_be_visible()
    page.goto(f"{server.url}/trace?run=..%2F..%2Fetc")
    expect(page.get_by_text("This link cannot be followed")).to_be_visible()


def test_a_second_session_joins_a_run_and_cancel_stops_it(
    first_visit: dict[str, object], server: Server, page: Page, browser: Browser, screenshots: Path
) -> None:
    page.goto(f"{server.url}/trace")
    page.get_by_role("button", name="Decoding").click()
    page.get_by_text("Decode only").click()
    page.keyboard.press("Escape")
    page.get_by_role("spinbutton", name="Continuation").fill("3000")
    page.get_by_role("spinbutton", name="Continuation").press("Enter")
    before = n_jobs(server)
    press_run(page)
    expect(page.get_by_text("decoding 3000 tokens")).to_be_visible(timeout=MINUTES)
    expect(page).to_have_url(re.compile("run="))
    context = browser.new_context()
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_text("decoding 3000 tokens")).to_be_visible(timeout=MINUTES)
    expect(other.get_by_text(re.compile(r"\d+ of \d+ positions"))).to_be_visible(timeout=MINUTES)
    other.screenshot(path=screenshots / "joined.png")
    assert n_jobs(server) == before + 1
    other.get_by_role("button", name="Cancel").click()
    for view in (other, page):
        expect(view.get_by_text("Cancelled; nothing was kept")).to_be_visible(timeout=MINUTES)
    context.close()
    page.get_by_role("spinbutton", name="Continuation").fill("8")
    page.get_by_role("spinbutton", name="Continuation").press("Enter")
    press_run(page)
    expect(page.get_by_text("Tokens", exact=True)).to_be_visible(timeout=MINUTES)
    page.screenshot(path=screenshots / "decode-only.png")


HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \u202eright to left\u202c "
    "zero\u200bwidth joiner\u200d tab\there\nnew line **bold** $x^2$ :material/home: \U0001f926\U0001f3fd and the end of it."
)


def test_hostile_text_is_shown_as_text(first_visit: dict[str, object], server: Server, page: Page, screenshots: Path) -> None:
    page.goto(f"{server.url}/trace")
    write_text(page, HOSTILE)
    page.get_by_role("spinbutton", name="Continuation").fill("12")
    page.get_by_role("spinbutton", name="Continuation").press("Enter")
    press_run(page)
    expect(strip(page)).to_have_count(36, timeout=2 * MINUTES)
    assert "script" in "".join(strip(page).all_inner_texts())
    assert page.title() != "owned"
    page.screenshot(path=screenshots / "hostile.png")
    page.reload()
    expect(strip(page)).to_have_count(36, timeout=MINUTES)
    assert page.title() != "owned"


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1440), ("light", 420), ("dark", 420)])
def test_dark_and_narrow(traced: Page, browser: Browser, screenshots: Path, scheme: str, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 1000}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(traced.url)
    expect(strip(page)).to_have_count(64, timeout=MINUTES)
    page.wait_for_timeout(500)
    page.screenshot(path=screenshots / "page.png")
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"
    context.close()


def test_too_short_a_text_is_one_sentence(first_visit: dict[str, object], server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace")
    write_text(page, "Too short.")
    expect(page.get_by_text(re.compile(r"the text has \d+ tokens .* give a longer text or smaller numbers"))).to_be_visible()


def test_no_prompt_reaches_the_log(traced: Page, server: Server) -> None:
    log = server.log.read_text()
    assert "job" in log and "People of the United" not in log and "Traceback" not in log
