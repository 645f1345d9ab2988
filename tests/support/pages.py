"""What browser tests do on the Trace page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from support.chromium import DRAWN
from support.serving import ROOT, Server

from memviz.gallery import examples
from memviz.passages import PASSAGES

GRACE = 8
"""Seconds after which the shared server gives up the runs of a session that is gone."""
FIRST_EXAMPLES = {example.page: example.link for example in reversed(examples())}
"""Page -> address of the gallery's first example of it; the tests of accessibility open these."""
IDLE = """() => document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
  && !document.querySelector("[data-stale=true]")"""
"""No script runs, and nothing on the page is of an earlier one: Streamlit fades that."""
STILL = f"""(scheme) => ({IDLE})()
  && getComputedStyle(document.querySelector("[data-testid=stApp]")).colorScheme === scheme
  && document.getAnimations().every(({{playState, effect}}) =>
    playState !== "running" || effect.getComputedTiming().endTime === Infinity)"""
FOCUSED = """() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  const style = getComputedStyle(element);
  return [element.getAttribute("role"), element.dataset.j ?? null, style.outlineStyle, parseFloat(style.outlineWidth)];
}"""
"""Role and token of what has the focus, and its outline."""
MOVING = """() => {
  const found = [];
  const look = (root) => root.querySelectorAll("*").forEach((element) => {
    const style = getComputedStyle(element);
    if (root !== document && [style.transitionDuration, style.animationDuration].some((d) => /[1-9]/.test(d))) {
      found.push(element.className);
    }
    if (element.shadowRoot) look(element.shadowRoot);
  });
  look(document);
  return found;
}"""
"""Classes of what moves on a page, in components too."""
MINUTES = 60_000
SECONDS = 1_000
PREAMBLE_TITLE = "U.S. Constitution, preamble (1787)"
PREAMBLE = PASSAGES[PREAMBLE_TITLE]


def n_jobs(server: Server) -> int:
    return len(re.findall(r"job \d+ queued: trace", server.log.read_text()))


def press_run(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def settle(page: Page) -> None:
    """Wait until no script runs, so that nothing above a button moves it away from under the click."""
    page.wait_for_function(IDLE, timeout=2 * MINUTES)


def in_scheme(page: Page, scheme: str) -> None:
    """Wait until the page stands in a colour scheme, light or dark, and nothing on it moves."""
    page.wait_for_function(STILL, arg=scheme, timeout=2 * MINUTES)


def open_example(page: Page, server: Server, link: str) -> None:
    """Open an example of the gallery: its result is drawn, and nothing is computed for it."""
    before = len(re.findall(r"job \d+ queued", server.log.read_text()))
    page.goto(f"{server.url}/{link}")
    block = page.get_by_test_id("stMainBlockContainer")
    expect(block.locator(DRAWN).first).to_be_visible(timeout=MINUTES)
    expect(page.get_by_text("not computed yet", exact=False)).to_have_count(0)
    expect(page.get_by_text(re.compile("cannot be followed|which is not stored here"))).to_have_count(0)
    queued = re.findall(r"job \d+ queued: (\w+)", server.log.read_text())[before:]
    assert set(queued) <= {"prepare"}  # the default model is loaded in the background of any first visit


def strip(page: Page) -> Locator:
    return page.locator("[role=option][aria-label^=index]")


def token(page: Page, j: int) -> Locator:
    """One of the strip's tokens."""
    return page.locator(f'.token[data-j="{j}"]')


def open_settings(page: Page) -> None:
    """Unfold the settings of a page about one prompt."""
    fold = page.locator("[class*=st-key-][class*=_settings]").get_by_test_id("stExpander").locator("details").first
    expect(fold).to_be_visible(timeout=2 * MINUTES)
    if fold.get_attribute("open") is None:
        fold.locator("summary").first.click()
        expect(fold).to_have_attribute("open", "")


def choose(page: Page, label: str, title: str) -> None:
    open_settings(page)
    box = page.get_by_role("combobox", name=re.compile(label))
    box.click()
    box.fill(title)
    page.get_by_role("option", name=title, exact=True).click()


def choose_model(page: Page, name: str) -> None:
    choose(page, "Model", name)


def choose_text(page: Page, title: str) -> None:
    choose(page, "Text", title)


def write_text(page: Page, text: str) -> None:
    choose_text(page, "Text of your own")
    page.get_by_role("textbox", name="Text", exact=True).fill(text)
    page.get_by_role("textbox", name="Text", exact=True).press("Control+Enter")


def set_number(page: Page, name: str, value: int) -> None:
    open_settings(page)
    field = page.get_by_role("spinbutton", name=name)
    field.fill(str(value))
    field.press("Enter")


def memviz(server: Server, *arguments: str | Path, folder: Path = ROOT) -> None:
    """The command line on the server's cache, in this process: a new one would import torch first."""
    from memviz import cli

    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            if name.startswith("MEMVIZ_"):
                patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr("sys.argv", ["memviz", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
    assert left.value.code == 0, arguments


def download(page: Page, name: str) -> bytes:
    settle(page)  # a file is made when it is clicked, by the run that drew the button: a later run has no such file
    with page.expect_download() as found:
        page.get_by_role("button", name=name, exact=True).click()
    return Path(found.value.path()).read_bytes()


def metric(page: Page, label: str) -> str:
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").inner_text()


def when_indexed(page: Page) -> None:
    """Wait until the training data are indexed, which the first Run asks for."""
    expect(page.get_by_text(re.compile("^Index .*: exact counts over"))).to_be_visible(timeout=2 * MINUTES)
