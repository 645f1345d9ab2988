"""Every page for people who use a keyboard, a narrow window, a zoomed one, or a screen reader, on shipped results."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.axe import faults_by_axe
from support.cut import cut_texts
from support.pages import FIRST_EXAMPLES, MINUTES, in_scheme, open_example, open_settings, settle
from support.serving import Server

from memviz.gallery import examples
from memviz.ui.common.doors import DOORS

LINKS = {door.name: door.name for door in DOORS} | FIRST_EXAMPLES
"""Page -> address of the gallery's first example of it, its own where there is none."""
SAMPLE = {"trace", "compare", "map", "population", "sweeps", "gallery", "glossary"}
"""Pages of each kind: a prompt, several models, a canvas, figures of a sweep, a form, pictures, text."""
WIDTHS = (1152, 390)
"""A window of 1440 pixels at 125 % zoom, and a phone."""
TRACE = next(example for example in examples() if example.page == "trace")
MOST_STOPS = 120
FITS = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  return main.scrollWidth <= main.clientWidth;
}"""
FOCUSED = """() => {
  let node = document.activeElement;
  while (node.shadowRoot && node.shadowRoot.activeElement) node = node.shadowRoot.activeElement;
  const look = (element) => {
    const found = [];
    for (let at = element; at && at.nodeType === 1 && found.length < 6; at = at.parentElement) {
      const {outlineStyle, outlineColor, boxShadow, borderColor, backgroundColor} = getComputedStyle(at);
      found.push(outlineStyle === "none" ? "" : outlineColor, boxShadow, borderColor, backgroundColor);
    }
    return found.join();
  };
  const before = window.focused;
  const seen = !before || look(before.node) !== before.look;
  window.focused = {node, look: look(node)};
  const label = node.getAttribute("aria-label") || node.labels?.[0]?.innerText || node.innerText || "";
  return {name: label.trim().slice(0, 60), role: node.getAttribute("role") || node.tagName, seen};
}"""
"""Where the focus is, and whether the place before it, or what holds it, looked different while it had the focus."""


def opened(page: Page, server: Server, name: str) -> None:
    if "?" in LINKS[name]:
        open_example(page, server, LINKS[name])
    else:
        page.goto(f"{server.url}/{LINKS[name].removeprefix(DOORS[0].name)}")
    block = page.get_by_test_id("stMainBlockContainer")
    expect(block.get_by_role("heading").first).to_be_visible(timeout=MINUTES)
    settle(page)


@pytest.mark.parametrize(
    "name", [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.wide) for name in LINKS]
)
def test_a_page_keeps_the_rules_of_axe_and_fits_its_window(name: str, server: Server, page: Page) -> None:
    missed: list[str] = []
    page.on("response", lambda answer: missed.append(answer.url) if answer.status >= 400 else None)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    opened(page, server, name)
    assert missed == [], "nothing is asked at a wrong address"
    if name == "trace":
        page.get_by_text("Export", exact=True).click()
        expect(page.get_by_test_id("stCode")).to_be_visible(timeout=MINUTES)
    for scheme in ("light", "dark"):
        assert faults_by_axe(page, scheme) == [], scheme
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(FITS)  # figures follow the window a little later
        in_scheme(page, "dark")
        assert page.evaluate(FITS), width
    page.set_viewport_size({"width": 1024, "height": 900})
    in_scheme(page, "dark")
    assert cut_texts(page) == []


def test_a_cut_text_is_found(page: Page) -> None:
    page.set_content(
        "<div data-testid=stMainBlockContainer><p style='width:40px;overflow:hidden;white-space:nowrap'>Surprise me</p>"
        "<p style='width:40px;overflow:auto;white-space:nowrap'>what scrolls</p><p>what has room</p></div>"
    )
    assert cut_texts(page) == ["Surprise me ()"]


def stops(page: Page) -> list[dict[str, Any]]:
    """Where the Tab key leads, from the top of the page until it comes back or leaves."""
    found: list[dict[str, Any]] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        page.wait_for_timeout(60)  # some wrappers are told of the focus by a rendering
        at = page.evaluate(FOCUSED)
        if at["role"] == "BODY":
            break
        found.append(at)
    return found


def test_the_whole_trace_page_is_reached_and_used_by_keyboard(server: Server, page: Page) -> None:
    opened(page, server, "trace")
    open_settings(page)
    page.evaluate("document.activeElement.blur()")
    found = stops(page)
    names = [at["name"] for at in found]
    wanted = ["Model", "Text", "Context", "Continuation", "Decoding", "Surprise me", "Run", "Export"]
    for want in wanted:
        assert any(want in name for name in names), f"{want} is not reached: {names}"
    assert [name for name in names if name.startswith("index ")], "the tokens are not reached"
    left = [at["name"] for at, after in pairwise(found) if not after["seen"] and at["role"] != "MAIN"]
    assert left == [], "focus is seen wherever it is"
    order = [next(i for i, name in enumerate(names) if want in name) for want in wanted]
    assert order == sorted(order), "in the order of reading"


def test_tokens_are_pinned_moved_and_cleared_by_keyboard(server: Server, page: Page) -> None:
    opened(page, server, "trace")
    page.keyboard.press("Tab")
    expect(page.locator(".memviz-skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[role=option]:focus")).to_be_visible()
    page.keyboard.press("ArrowRight")
    pinned = int(str(TRACE.query["tok"]))
    expect(page).to_have_url(re.compile(rf"tok={pinned + 1}\b"))
    expect(page.get_by_text(f"Position {pinned + 1}")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(rf"tok={pinned + 2}\b"))
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("tok="))
