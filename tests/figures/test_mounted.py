"""The linked component as Streamlit mounts it: what it reports, and that a rerun builds nothing anew."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from support.pages import token
from support.traces import MARKS, TEXTS, pieces_of, small_trace

from memviz.figures.linked import TRACE, linked_data

pytestmark = pytest.mark.browser

MOUNT = """async ([source, css, data]) => {
  window.trace = (await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })))).default;
  window.host = document.body.appendChild(document.createElement("div")).attachShadow({ mode: "open" });
  host.append(Object.assign(document.createElement("style"), { textContent: css }));
  window.said = [];
  window.data = data;
  window.mount = (seeds) => trace({
    data: { ...data, ...seeds }, parentElement: host, setStateValue: (name, value) => said.push([name, value]),
  });
}"""


@pytest.fixture
def mounted(page: Page) -> Page:
    """`mount(seeds)` calls the component as Streamlit does; `said` is what it reported."""
    page.set_content("<!doctype html><body></body>")
    trace = small_trace()
    data = linked_data(trace, 0, pieces_of(trace, TEXTS), marks=MARKS)
    page.evaluate(MOUNT, [TRACE.js(), TRACE.css(), data])
    return page


def test_reports_and_survives_reruns(mounted: Page) -> None:
    page = mounted
    page.evaluate("void mount({ pinned: 1 })")
    expect(page.locator(".pinned")).to_have_attribute("data-j", "1")
    token(page, 2).click()
    page.get_by_label("teacher-forced").check()
    page.locator("select[name=fill]").select_option("rank")
    assert page.evaluate("said") == [["pinned", 2], ["mode", "teacher_forced"], ["fill", "rank"]]
    node = token(page, 2).element_handle()
    page.evaluate("void mount({ pinned: 1 })")  # the page kept its first seed
    page.evaluate("void mount({ pinned: 2, mode: 'teacher_forced', fill: 'rank' })")  # or sends back what it heard
    expect(page.locator(".pinned")).to_have_attribute("data-j", "2")
    assert page.get_by_label("teacher-forced").is_checked()
    assert node.evaluate("(n) => n.isConnected")  # nothing was built anew
    page.evaluate("void mount({ pinned: 4, mode: 'free_running' })")  # a wish of the page's own
    expect(page.locator(".pinned")).to_have_attribute("data-j", "4")
    assert page.get_by_label("free-running").is_checked()
    page.evaluate("void mount({ pinned: 99, id: 'another' })")
    expect(page.locator(".pinned")).to_have_count(0)
    assert page.locator(".trace").count() == 1


def test_other_tracks_leave_strip_and_selection_as_they_are(mounted: Page) -> None:
    page = mounted
    page.evaluate("void mount({})")
    token(page, 2).click()
    node = token(page, 2).element_handle()
    steps = {"id": "n", "label": "count", "unit": "rows", "kind": "steps", "scale": "log", "domain": [0.5, 100]}
    steps["series"] = [{"label": "2-gram", "values": [None, 0, 10, 1, 3], "style": "main"}]
    for texts in (["a", "b", "c", "d", "e"], ["v", "w", "x", "y", "z"]):
        page.evaluate(
            "(track) => void mount({ tracks: [...data.tracks, track], tracks_id: track.texts[0] })",
            {**steps, "texts": texts},
        )
        expect(page.locator(".plot .caption")).to_have_text(texts[2])
    assert node.evaluate("(n) => n.isConnected")
    expect(page.locator(".pinned")).to_have_attribute("data-j", "2")
    expect(page.locator("svg.curve")).to_have_count(2)
    page.evaluate("void mount({})")
    expect(page.locator("svg.curve")).to_have_count(1)


def test_a_held_key_reports_once_and_late_echoes_are_ignored(mounted: Page) -> None:
    page = mounted
    page.evaluate("void mount({})")
    token(page, 0).click()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("said.length === 2")
    assert page.evaluate("said") == [["pinned", 0], ["pinned", 3]]
    page.keyboard.press("ArrowRight")
    page.evaluate("void mount({ pinned: 0 })")  # the page's answer to the click, overtaken by the keys
    page.evaluate("void mount({ pinned: 3 })")
    expect(page.locator(".pinned")).to_have_attribute("data-j", "4")


def test_cleanup(mounted: Page) -> None:
    page = mounted
    page.evaluate("{ const late = mount({}); window.end = mount({}); late(); void 0; }")
    expect(page.locator(".trace")).to_have_count(1)  # an overtaken call's cleanup takes nothing away
    page.evaluate("void end()")
    expect(page.locator(".trace")).to_have_count(0)
    page.evaluate("void mount({ pinned: 2 })")
    expect(page.locator(".pinned")).to_have_count(1)
