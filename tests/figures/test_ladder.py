"""The ladder's data by hand, and its component in Chromium as the standalone page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect
from support.traces import random_trace, small_trace, text_piece

from memviz.figures.ladder import (
    LADDER,
    METRICS,
    Rung,
    ladder_data,
    step_data,
)
from memviz.records import Piece, Trace

TEXTS = ["<bos>", " a", " b", "c", "\n"]


def piece(token_id: int) -> Piece:
    return text_piece(TEXTS[token_id] if token_id < len(TEXTS) else f" w{token_id}")


def rungs(*generated: list[int] | None) -> list[Rung]:
    """Rows that wrote these ids after the small trace's context; None: not computed."""
    return [
        Rung(
            f"m{r}",
            f"row {r}",
            f"{r}M",
            piece,
            ids and replace(small_trace(), generated_ids=np.array([ids])),
            "waiting",
        )
        for r, ids in enumerate(generated)
    ]


def small(**seeds: Any) -> dict[str, Any]:
    return ladder_data(rungs([2, 4, 4], None, [2, 3, 4]), True) | {"view": "grid"} | seeds


def test_values_of_a_small_ladder() -> None:
    data = small()
    said = ["".join(parts) for parts in data["segments"]]
    assert [said[place] for place in data["tokens"]] == ["·b", "c", "↵"]
    assert (data["n_context"], data["n_continuation"], data["first"]) == (2, 3, 2)
    assert data["differs"] == {"free_running": [0, 1, 0], "teacher_forced": [0, 0, 0]}
    first, waiting, last = data["rows"]
    assert waiting == {"name": "m1", "label": "row 1", "facts": "1M", "step": None, "status": "waiting"}
    assert (first["score"], first["prefix"], first["divergence"]) == (pytest.approx(2 / 3), 1, 3)
    assert (last["score"], last["prefix"], last["divergence"]) == (1, 3, None)
    free, forced = first["free_running"], first["teacher_forced"]
    assert [said[place] for place in free["shown"]] == ["·b", "↵", "↵"]
    assert free["match"] == [1, 0, 1] and forced["match"] == [1, 0, 0]
    assert free["surprisal"] == [0.125, 1, 0.25] and forced["surprisal"] == [0.125, 1, 2]
    assert free["top_surprisal"][2] == [0.25, None], "no infinity in JSON"
    assert first["context_entropy"] == [None, 1.25]
    assert [line["label"] for line in data["tracks"][0]["series"]] == ["row 0", "row 2"]
    json.dumps(data, allow_nan=False)


def test_id_follows_the_content_and_some_trace_is_needed() -> None:
    assert small()["id"] == small()["id"] != ladder_data(rungs([2, 4, 4]), True)["id"]
    with pytest.raises(ValueError, match="none of the models has a trace"):
        ladder_data(rungs(None), True)


def test_other_tokenizers_are_drawn_over_characters() -> None:
    other = rungs([2, 4, 4], [2, 3, 4])
    halves = {0: b"", 1: b" a b", 2: b"c", 3: b"\n", 4: b""}
    other[1] = replace(other[1], piece=lambda i: Piece(halves[i], False, ""))
    data = ladder_data(other, False)
    assert data["rows"][0]["spans"] == [[7, 9], [9, 10], [10, 11]]  # "<bos> a b" ends at 9
    assert data["rows"][1]["spans"] == [[4, 5], [5, 6], [6, 6]]
    assert data["first"] == 4 and data["characters"] == list(">·a·bc↵")
    assert data["tracks"] == [] and "differs" not in data


def test_steps_count_what_was_seen_before() -> None:
    known = [replace(rung, step=step) for rung, step in zip(rungs([2, 4, 4], [2, 3, 4]), (10, 20), strict=True)]
    data = step_data(known, np.array([12, 3, 9, 10, 19]), 20, "said")
    assert data["exposures"] == [3, 9, 10, 12, 19]
    assert [(p["step"], p["seen"]) for p in data["points"]] == [(10, 2), (20, 5)]
    assert [p["score"] for p in data["points"]] == pytest.approx([2 / 3, 1])
    assert data["points"][0]["logprob"] == pytest.approx(-(0.125 + 1 + 2) / 3)
    assert step_data(known, None, None, "")["points"][0]["seen"] is None


def many(n: int, k: int = 32, m: int = 96) -> list[Rung]:
    base = random_trace(k, m)
    found = []
    for r in range(n):
        own: Trace = random_trace(k, m, seed=r + 1)
        own = replace(own, context_ids=base.context_ids, continuation_ids=base.continuation_ids)
        found.append(Rung(f"m{r}", f"row {r}", "1M", piece, own, step=r + 1))
    return found


def test_data_of_thirteen_rows_and_ninety_six_columns_are_small() -> None:
    text = json.dumps(ladder_data(many(13), True), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    assert len(text.encode()) < 400_000


def test_names_of_metrics_are_the_same_on_both_sides() -> None:
    assert tuple(re.findall(r"^  (\w+): \{ name", LADDER.js(), re.MULTILINE)) == METRICS


# In Chromium

browser = pytest.mark.browser


@pytest.fixture
def show(page: Page) -> Iterator[Any]:
    """Shows a ladder's standalone page; no request of any kind may be made."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    def write(data: dict[str, Any]) -> None:
        page.set_content(LADDER.page(data, "A ladder"))
        expect(page.get_by_role("grid")).to_be_visible()

    yield write
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == []


def cell(page: Page, r: int, t: int) -> Locator:
    return page.locator(f'.rung[data-r="{r}"] .cell[data-t="{t}"]')


@browser
def test_cells_say_match_and_miss_without_colour(page: Page, show: Any) -> None:
    show(small())
    assert page.locator(".rung .score").all_inner_texts() == ["0.67", "1.00"]
    assert page.locator(".rung .end").all_inner_texts()[1:] == ["3", "", "none"]
    expect(page.locator(".rung .status")).to_have_text("waiting")
    label = "row 0, index 3, true c, generated newline, miss, p 0.368, entropy 1.50 nats, first divergence"
    expect(cell(page, 0, 1)).to_have_attribute("aria-label", label)
    styles = [cell(page, 0, t).evaluate("c => getComputedStyle(c).borderBottomStyle") for t in (0, 1)]
    assert styles == ["solid", "dashed"]
    expect(cell(page, 0, 2)).to_have_class(re.compile("apart"))
    page.get_by_label("teacher-forced").check()
    expect(cell(page, 0, 2)).not_to_have_class(re.compile("apart"))
    assert "its context is its own text" not in (cell(page, 0, 2).get_attribute("aria-label") or "")


@browser
def test_only_differing_columns_and_differences(page: Page, show: Any) -> None:
    show(small())
    page.get_by_label("only differing").check()
    assert [cell(page, 0, t).is_visible() for t in range(3)] == [False, True, False]
    page.get_by_label("only differing").uncheck()
    expect(page.get_by_role("button", name="row 0")).to_have_attribute("aria-pressed", "false")
    page.get_by_label("differences").check()
    expect(page.get_by_role("button", name="row 0")).to_have_attribute("aria-pressed", "true")
    assert cell(page, 2, 1).inner_text() == "+", "right where the baseline is wrong"
    page.get_by_role("button", name="row 2").click()
    assert cell(page, 0, 1).inner_text() == "−"
    expect(page.get_by_role("button", name="row 1")).to_be_disabled()
    page.get_by_label("differences").uncheck()
    page.get_by_role("button", name="row 0").click()
    expect(page.get_by_label("differences")).to_be_checked()


@browser
def test_one_selection_by_pointer_and_keys(page: Page, show: Any) -> None:
    show(small(pinned=2))
    heading = page.get_by_text(re.compile("What did each model want to say"))
    expect(heading).to_have_text("What did each model want to say at index 2?")
    lines = page.locator(".says .line:visible")
    assert lines.count() == 3, "a head, and a line for each row that has a result"
    assert "✓ 0.882" in lines.nth(1).inner_text().replace("\n", " ")
    cell(page, 0, 0).focus()
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text("What did each model want to say at index 3?")
    expect(cell(page, 2, 1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.querySelector('main').shadowRoot.activeElement.dataset.t") == "1"
    expect(cell(page, 2, 1)).to_be_focused()
    page.keyboard.press("End")
    expect(heading).to_have_text("What did each model want to say at index 4?")
    page.keyboard.press("Escape")
    page.mouse.move(2, 2)
    expect(heading).to_have_text("What did each model want to say?")
    cell(page, 0, 1).hover()
    expect(heading).to_have_text("What did each model want to say at index 3?")


@browser
@pytest.mark.parametrize("width", [1440, 500])
def test_thirteen_rows_of_ninety_six_columns_scroll_in_their_own_box(page: Page, show: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    rows = many(13)
    show(ladder_data(rows, True, steps=step_data(rows, np.array([1, 5]), 20, "two exposures")) | {"view": "grid"})
    assert page.locator(".rung .cell").count() == 13 * 96
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    cell(page, 3, 95).scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="row 3", exact=True)).to_be_in_viewport()
    expect(page.get_by_text("When was it memorized?")).to_be_visible()
    assert page.locator(".curves .line.r12").count() >= 1


@browser
def test_characters_are_shared_and_nothing_is_compared(page: Page, show: Any) -> None:
    other = rungs([2, 4, 4], [2, 3, 4])
    parts = {0: b"", 1: b"<bos> a", 2: b" ", 3: b"bc", 4: b"\n"}
    other[1] = replace(other[1], piece=lambda i: Piece(parts[i], False, ""))
    show(ladder_data(other, False) | {"view": "grid"})
    assert page.get_by_label("differences").count() == page.get_by_label("only differing").count() == 0
    boxes = [cell(page, r, t).bounding_box() for r, t in ((0, 0), (1, 0), (1, 1))]
    assert boxes[0] and boxes[1] and boxes[2]
    assert boxes[0]["x"] == pytest.approx(boxes[1]["x"], abs=1), "both start with the space"
    assert boxes[0]["width"] == pytest.approx(2 * boxes[1]["width"], abs=1), "two characters against one"
    cell(page, 1, 1).click()
    expect(page.get_by_text("at character 8?")).to_be_visible()
    assert page.locator(".says .line:visible").count() == 3
    assert page.locator(".cell[aria-selected=true]").count() == 2, "the token of each row that lies over it"


@browser
def test_it_is_read_first_as_lines_of_text(page: Page, show: Any) -> None:
    show(small(view=None))
    assert page.get_by_role("radio", name="read").is_checked()
    lines = page.locator(".read [data-r]")
    kinds = [[each.get_attribute("class") for each in line.locator(".cell").all()] for line in lines.all()]
    assert kinds == [["cell match", "cell own", "cell match apart"], [], ["cell match"] * 3]
    assert lines.nth(0).locator("svg.flag").count() == 1 and lines.nth(2).locator("svg.flag").count() == 0
    assert lines.nth(1).inner_text().endswith("waiting")
    assert page.locator(".read .text .words").text_content() == "<bos> a bc↵", "spaces are spaces"
    lines.nth(2).locator(".cell").first.click()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("want to say at index 3?")).to_be_visible()
    page.get_by_role("radio", name="grid").check()
    expect(page.locator(".read")).to_be_hidden()
    expect(page.locator(".rung .cell.is-pinned")).to_have_count(2)


LOAD = """async (source) => {
  window.module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}"""


@browser
def test_pure_functions(page: Page) -> None:
    page.set_content("<!doctype html>")
    page.evaluate(LOAD, LADDER.js())

    def m(expression: str) -> Any:
        return page.evaluate(f"() => {{ const m = window.module; return {expression}; }}")

    mode = "{ surprisal: [0, Math.log(4), null], entropy: [0, 3, 9], match: [1, 0, 1] }"
    assert m(f'[0, 1, 2].map((t) => m.shareAt("p", {mode}, t))') == pytest.approx([1, 0.25, 1])
    assert m(f'[0, 1, 2].map((t) => m.shareAt("entropy", {mode}, t))') == [1, 0.5, 0]
    other = "{ surprisal: [Math.log(2), 0, 0], entropy: [6, 3, 0], match: [0, 0, 1] }"
    assert m(f'[0, 1].map((t) => m.gain("p", {mode}, {other}, t))') == pytest.approx([0.5, -0.75])
    assert m(f"[0, 1, 2].map((t) => m.gainMark({mode}, {other}, t))") == ["+", "", ""]
    assert m(f"m.gainMark({other}, {mode}, 0)") == "−"
    row = "{ n_context: 4, divergence: 5 }"
    assert m(f'[0, 1, 2].map((t) => m.isApart({row}, "free_running", t))') == [False, False, True]
    assert m(f'm.isApart({row}, "teacher_forced", 2)') is False
    data, spans = "{ aligned: false, first: 3 }", "{ status: null, spans: [[3, 5], [4, 5], [5, 9]] }"
    assert m(f"[0, 1, 2, 5, 6].map((c) => m.tokenAt({data}, {spans}, c))") == [0, 0, 2, 2, None]
    assert m(f"m.spanOf({data}, {spans}, 2)") == [2, 6]
    assert m("m.rounds(2611, 8)") == [0, 500, 1000, 1500, 2000, 2500]
    colours = 'm.coloursFor("#111927", "#ffffff")'
    lines = m(f"m.rowColours(13, {colours}).map((c) => m.contrast(c, '#ffffff'))")
    assert lines == sorted(lines) and lines[0] >= 4.5 and lines[-1] > 9, "from light to dark, all read as words"
