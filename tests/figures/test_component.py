"""The linked component in Chromium, as the standalone page: the same module that Streamlit mounts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from support.pages import token
from support.traces import random_trace, small_trace

from memviz.figures.linked import Marks
from memviz.figures.predicted import predicted_track
from memviz.figures.tracks import Track

pytestmark = pytest.mark.browser

Show = Callable[..., None]


def classes(page: Page, j: int) -> set[str]:
    page.wait_for_timeout(50)  # a frame
    return set((token(page, j).get_attribute("class") or "").split()) - {"token"}


def middles(page: Page) -> list[tuple[float, float]]:
    """(top, middle) of every token."""
    boxes = [box.bounding_box() for box in page.locator(".token").all()]
    return [(box["y"], box["x"] + box["width"] / 2) for box in boxes if box]


def overflow(page: Page) -> int:
    """CSS pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def x_of(page: Page, selector: str) -> float:
    return page.locator(selector).evaluate("(n) => [n.getBoundingClientRect()].map((b) => (b.left + b.right) / 2)[0]")


def test_strip_shows_both_rows_and_every_mark(page: Page, show: Show) -> None:
    show()
    assert page.locator(".token .index").all_inner_texts() == ["0", "1", "2", "3", "4"]
    assert token(page, 1).locator(".piece").all_inner_texts() == ["·a"]  # context: one row
    assert token(page, 3).locator(".piece").all_inner_texts() == ["c", "↵"]
    assert classes(page, 2) == {"match", "stop"}
    assert classes(page, 3) == {"miss", "fragile"}
    assert classes(page, 4) == {"match", "again"}
    assert token(page, 3).locator("svg.flag").count() == 1
    assert page.locator("svg.flag").count() == 2  # and the legend's
    assert token(page, 2).locator("i.space").all_inner_texts() == ["·", "·"]
    label = "index 3, true c, generated newline, miss, p 0.368, rank 2, entropy 1.50 nats, first divergence, fragile"
    assert token(page, 3).get_attribute("aria-label") == label
    assert token(page, 0).get_attribute("aria-label") == "index 0, context <bos>, nothing predicted yet"


def test_a_newline_breaks_the_line(page: Page, show: Show) -> None:
    show(random_trace(2, 4, n_vocabulary=3), ["a", "\n", "b"], marks=None)
    tops = [token(page, j).bounding_box()["y"] for j in range(2, 6)]  # type: ignore[index]
    breaks = [page.locator(f'.token[data-j="{j}"] + .break').count() for j in range(2, 5)]
    for (top, below), is_broken in zip(pairwise(tops), breaks, strict=True):
        assert (below > top) == bool(is_broken)
    assert 1 in breaks


def test_hover_links_strip_curve_and_alternatives(page: Page, show: Show) -> None:
    show()
    token(page, 3).hover()
    assert classes(page, 3) == {"miss", "fragile", "hovered"}
    expect(page.locator(".panel strong")).to_have_text("Position 3")
    expect(page.locator(".tip")).to_be_visible()
    expect(page.locator(".tip .facts")).to_have_text("p 0.368 · rank 2 · entropy 1.50 nats")
    assert page.locator(".tip .head").inner_text().split() == ["·b", "→", "↵"]  # what was read, what came
    expect(page.locator(".hair")).to_have_attribute("visibility", "visible")
    assert x_of(page, ".hair path") == pytest.approx(x_of(page, ".curve path.divergence"), abs=1)
    page.mouse.move(2, 2)
    expect(page.locator(".tip")).to_be_hidden()
    expect(page.locator(".hovered")).to_have_count(0)
    box = page.locator("svg.curve").bounding_box()
    assert box
    page.mouse.move(x_of(page, ".curve path.divergence"), box["y"] + 150)
    expect(page.locator(".hovered")).to_have_attribute("data-j", "3")
    expect(page.locator(".panel strong")).to_have_text("Position 3")
    expect(page.locator(".tip")).to_be_hidden()  # the panel is beside the curve


def test_click_pins_keys_move_escape_clears(page: Page, show: Show) -> None:
    show()
    token(page, 3).click()
    expect(token(page, 3)).to_have_attribute("aria-selected", "true")
    expect(page.locator(".pin")).to_have_attribute("visibility", "visible")
    expect(page.locator(".unseen")).to_contain_text("Pinned: index 3, true c")
    for key, j in [("ArrowRight", 4), ("ArrowRight", 4), ("Home", 0), ("ArrowLeft", 0), ("End", 4), ("ArrowLeft", 3)]:
        page.keyboard.press(key)
        expect(page.locator(".pinned")).to_have_attribute("data-j", str(j))
        expect(page.locator(".stop")).to_have_attribute("tabindex", "0")
        assert page.locator('.token[tabindex="0"]').count() == 1
    page.keyboard.press("Escape")
    expect(page.locator(".pinned")).to_have_count(0)
    expect(page.locator('[aria-selected="true"]')).to_have_count(0)
    expect(page.locator(".unseen")).to_have_text("Selection cleared")
    page.locator("svg.curve").click(position={"x": 60, "y": 100})
    expect(page.locator(".pinned")).to_have_count(1)


def test_up_and_down_go_to_the_nearest_token_of_the_next_line(page: Page, show: Show) -> None:
    page.set_viewport_size({"width": 500, "height": 2000})
    show(random_trace(8, 30), None, marks=None)
    places = middles(page)
    lines = sorted({top for top, _ in places})
    assert len(lines) > 4
    for j in (0, 5, 12, 20, 37):
        for key, step in (("ArrowDown", 1), ("ArrowUp", -1)):
            line = lines.index(places[j][0]) + step
            rows = [i for i, (top, _) in enumerate(places) if 0 <= line < len(lines) and top == lines[line]]
            nearest = min(rows, key=lambda i: abs(places[i][1] - places[j][1]), default=j)
            token(page, j).focus()
            page.keyboard.press(key)
            expect(page.locator(".pinned")).to_have_attribute("data-j", str(nearest))


def test_tab_reaches_the_strip_and_shows_where_it_is(page: Page, show: Show) -> None:
    show()
    for _ in range(3):  # mode, fill, strip
        page.keyboard.press("Tab")
    expect(token(page, 2)).to_be_focused()
    assert token(page, 2).evaluate("(node) => getComputedStyle(node).outlineStyle") == "solid"
    expect(page.locator(".panel strong")).to_have_text("Position 2")
    page.keyboard.press("Enter")
    expect(token(page, 2)).to_have_attribute("aria-selected", "true")


def test_modes(page: Page, show: Show) -> None:
    show(pinned=4)
    curve = page.locator(".curve path.line.main").last
    before = curve.get_attribute("d")
    page.get_by_label("teacher-forced").check()
    assert token(page, 4).locator(".piece").all_inner_texts() == ["↵", "<bos>"]
    assert classes(page, 4) == {"miss", "pinned", "stop"}  # no longer "again": contexts are true throughout
    assert "most likely <bos>, miss, p 0.135, rank 7" in (token(page, 4).get_attribute("aria-label") or "")
    assert page.locator(".curve path.line.main").last.get_attribute("d") != before
    page.get_by_label("free-running").check()
    assert curve.get_attribute("d") == before


def test_fills_are_on_fixed_scales(page: Page, show: Show) -> None:
    show()
    lower = token(page, 3).locator(".piece").last

    def fill() -> str:
        return lower.evaluate("(node) => node.style.getPropertyValue('--fill')")

    found = {}
    for name in ("match", "entropy", "surprisal", "rank", "margin"):
        page.locator("select[name=fill]").select_option(name)
        found[name] = fill()
    assert found["match"] == "#fbe1d5"
    assert found["entropy"] != found["surprisal"]
    assert found["margin"] == "#eff4fb"  # margin 0.01: the light end
    assert page.locator(".scale").inner_text().split() == ["0", "logits", "10"]
    assert page.locator("select[name=fill] option").all_inner_texts()[2:4] == ["−log p(true)", "rank of true"]


def test_decode_only(page: Page, show: Show) -> None:
    show(small_trace(has_truth=False), marks=None, fill="match", mode="teacher_forced", pinned=4)
    assert token(page, 4).locator(".piece").all_inner_texts() == ["↵"]
    assert page.locator("input[type=radio], .match, .miss").count() == 0
    assert page.locator("select[name=fill]").input_value() == "entropy"
    assert page.locator("select[name=fill] option").all_inner_texts()[1] == "−log p(generated)"
    expect(page.locator(".panel .note")).to_contain_text("generated token rank 1")


HOSTILE = [
    "<script>window.broken = 1</script>", "<img src=x onerror='window.broken = 2'>", "\u202eesrever", "a\u200db",
    "</script><script>window.broken = 3</script>", "שלום", "&lt;b&gt;",
]  # fmt: skip


def test_hostile_tokens_are_text(page: Page, show: Show) -> None:
    show(random_trace(7, 30, n_vocabulary=len(HOSTILE)), HOSTILE, marks=None, pinned=8)
    shown = set(page.locator(".piece").all_text_contents())
    assert "<script>window.broken·=·1</script>" in shown
    assert {"⟨RLO⟩esrever", "a⟨ZWJ⟩b", "שלום", "&lt;b&gt;"} <= shown
    assert page.locator(".trace script, .trace img, .trace b").count() == 0
    for j in range(37):
        token(page, j).hover()
    assert page.evaluate("window.broken") is None
    assert token(page, 8).locator(".piece").first.evaluate("(n) => getComputedStyle(n).unicodeBidi") == "isolate"


def test_further_tracks(page: Page, show: Show) -> None:
    cells = [{"label": "P", "values": [None, 0, 0.5, 1, 1], "style": "main"}]
    cells += [{"label": "truth", "values": [None, 0, 1, 1, 0], "style": "border"}]
    counts = [{"label": "2-gram", "values": [None, 1, 1000, None, 10], "style": "main"}]
    tracks: list[Track] = [
        {"id": "n", "label": "2-gram count", "unit": "occurrences", "kind": "steps", "scale": "log",
         "domain": (1, 1e6), "series": counts, "texts": [None, None, "“a b”, exact", None, None]},
        {"id": "p", "label": "P(memorized)", "unit": "probability", "kind": "cells", "scale": "linear",
         "domain": (0, 1), "series": cells},
    ]  # type: ignore[list-item,typeddict-item]  # fmt: skip
    show(tracks=tracks, pinned=2)
    assert page.locator("svg.curve").count() == 2
    assert page.locator(".cell").count() == 5
    assert token(page, 2).locator(".cell").get_attribute("data-border") == "1"
    expect(page.locator(".bar .caption").nth(1)).to_have_text("index 2 · entropy 0.5 · −log p(true) 0.125")
    expect(page.locator(".plot .head")).to_have_text("2-gram count (occurrences)“a b”, exact")
    token(page, 4).hover()
    expect(page.locator(".plot .caption")).to_have_text("2-gram 10")  # where it has no words of its own


def test_rows_of_cells_say_what_they_hold(page: Page, show: Show) -> None:
    rows: list[Track] = [
        predicted_track("published", np.array([0.2, 0.9, 0.5]), np.array([True, False, True]), 2),
        predicted_track("context", np.array([0.1, float("nan"), 0.3]), np.array([True, False, True]), 2),
    ]
    show(tracks=rows)
    assert token(page, 1).locator(".cell:visible").count() == 0, "nothing is said of the context: no room is taken"
    assert [cell.get_attribute("data-border") for cell in token(page, 2).locator(".cell").all()] == ["1", "1"]
    assert [cell.get_attribute("data-border") for cell in token(page, 3).locator(".cell").all()] == ["0", ""]
    styles = [
        cell.evaluate("(n) => getComputedStyle(n).backgroundColor") for cell in token(page, 3).locator(".cell").all()
    ]
    assert styles[0] != styles[1] == "rgba(0, 0, 0, 0)"
    dashes = [
        token(page, j).locator(".cell").first.evaluate("(n) => getComputedStyle(n).borderBottomStyle") for j in (2, 3)
    ]
    assert dashes == ["solid", "dashed"]
    token(page, 2).hover()
    expect(page.locator(".tip .cells")).to_have_text("P(memorized) 0.20, publishedP(memorized) 0.10, context only")
    assert token(page, 3).get_attribute("aria-label").endswith("fragile, P(memorized) 0.90, published")  # type: ignore[union-attr]
    keys = [text.replace("\n", " ") for text in page.locator(".key.cells").all_inner_texts()]
    assert keys[0].startswith("row 1 below the tokens: P(memorized), published, free-running, border: the truth")
    assert keys[1].startswith("row 2 below the tokens: P(memorized), context only")
    assert overflow(page) <= 0


def test_a_thousand_tokens(page: Page, show: Show) -> None:
    show(random_trace(24, 976), None, marks=Marks(30, 31, (40,), 30), pinned=900)
    page.wait_for_function("document.querySelector('main').shadowRoot.querySelector('.strip').scrollTop > 1000")
    assert page.evaluate("scrollY") == 0  # the strip scrolls, not the page
    page.locator("svg.curve").hover(position={"x": 60, "y": 100})
    expect(page.locator(".hovered")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 700, 1440])
def test_every_width_and_theme(page: Page, show: Show, screenshots: Path, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    show(random_trace(12, 40), None, marks=Marks(16, 18, (20,), 16), pinned=16)
    expect(page.locator(".trace")).to_have_attribute("data-theme", scheme)
    assert overflow(page) <= 0
    assert page.locator(".length").first.evaluate("(n) => getComputedStyle(n).transitionDuration") == "0s"
    curve, panel = (page.locator(selector).bounding_box() for selector in (".curves", ".panel"))
    assert curve
    assert panel
    assert (panel["x"] > curve["x"] + curve["width"] - 1) == (width == 1440)  # beside it, or under it
    page.screenshot(path=screenshots / f"trace-{width}-{scheme}.png", full_page=True)


def test_theme_follows_the_page(page: Page, show: Show) -> None:
    page.emulate_media(color_scheme="light")
    show()
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".trace")).to_have_attribute("data-theme", "dark")
