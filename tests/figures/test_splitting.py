"""A text's tokens with the border between context and continuation: its data, and its component in Chromium."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.traces import text_piece

from memviz.figures.splitting import N_SHOWN, SPLIT, split_data
from memviz.records import Piece

HOSTILE = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u202eabc", "\u200b", "\n", "&amp;", "**b**"]

MOUNT = """
async ([source, css, data]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  document.body.replaceChildren();
  const host = document.body.appendChild(document.createElement("div"));
  const parent = host.attachShadow({ mode: "open" });
  parent.append(Object.assign(document.createElement("style"), { textContent: css }));
  window.reports = [];
  window.show = (data) =>
    module.default({ data, parentElement: parent, setStateValue: (...report) => window.reports.push(report) });
  window.show(data);
}
"""


def data_of(pieces: list[Piece], n_context: int, n_continuation: int) -> dict[str, Any]:
    return split_data(pieces[:N_SHOWN], len(pieces), n_context, n_continuation)


def pieces(*texts: str) -> list[Piece]:
    return [text_piece(text) for text in texts]


def mount(page: Page, data: dict[str, Any]) -> None:
    page.set_content("<!doctype html><body></body>")
    page.evaluate(MOUNT, [SPLIT.js(), SPLIT.css(), data])


def reports(page: Page) -> list[list[Any]]:
    page.wait_for_timeout(250)  # past the delay in which a held key reports nothing
    return page.evaluate("window.reports")


def classes(page: Page) -> list[str]:
    return [(token.get_attribute("class") or "").removeprefix("token ") for token in page.locator(".token").all()]


def test_data_are_the_segments_and_the_two_numbers() -> None:
    data = data_of(pieces("We", " the", "\n"), 2, 5)
    assert len(data.pop("id")) == 16
    assert data == {"segments": [["We"], ["", "·", "the"], ["", "↵"]], "rest": 0, "context": 2, "continuation": 5}


def test_the_id_follows_the_text_alone() -> None:
    first = data_of(pieces("a", "b"), 1, 1)
    assert data_of(pieces("a", "b"), 2, 3)["id"] == first["id"]
    assert data_of(pieces("a", "c"), 1, 1)["id"] != first["id"]
    assert data_of(pieces("ab"), 1, 1)["id"] != first["id"]


def test_long_texts_are_cut_and_say_so() -> None:
    texts = [f" {i}" for i in range(N_SHOWN + 7)]
    data = data_of(pieces(*texts), 4, 4)
    assert len(data["segments"]) == N_SHOWN and data["rest"] == 7
    whole = data_of(pieces(*texts[:N_SHOWN]), 4, 4)
    assert whole["rest"] == 0
    assert whole["id"] != data["id"], "what is left out is drawn too"


def test_hostile_tokens_are_plain_data() -> None:
    data = data_of([*pieces(*HOSTILE), Piece(b"\xf0\x9f", False, "x"), Piece(b"", True, "<|end|>")], 1, 1)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["segments"][0] == ["<script>alert(1)</script>"]
    assert data["segments"][2] == ["", "⟨RLO⟩", "abc"]
    assert data["segments"][-2:] == [["", "⟨F0⟩⟨9F⟩"], ["", "<|end|>"]]


@pytest.mark.browser
def test_hostile_tokens_are_drawn_as_text(page: Page) -> None:
    mount(page, data_of(pieces(*HOSTILE), 1, 1))
    assert page.locator(".token").all_inner_texts() == [
        "<script>alert(1)</script>", "<img·src=x·onerror=alert(1)>", "⟨RLO⟩abc", "⟨ZWSP⟩", "↵", "&amp;", "**b**",
    ]  # fmt: skip
    assert page.locator(".split script, .split img, .split b").count() == 0


@pytest.mark.browser
def test_each_token_is_context_continuation_or_unused(page: Page) -> None:
    mount(page, data_of(pieces("a", "b", "c", "d", "e"), 2, 2))
    assert classes(page) == ["context", "context", "continuation first", "continuation", "unused"]


@pytest.mark.browser
def test_a_click_and_the_keys_move_the_border(page: Page) -> None:
    mount(page, data_of(pieces(*"abcdefghijkl"), 2, 2))
    slider = page.get_by_role("slider", name="Tokens of context")
    page.locator(".token").nth(5).click()
    assert classes(page).index("continuation first") == 5
    assert reports(page) == [["context", 5]]
    slider.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):  # as fast as a held key
        page.keyboard.press(key)
    assert reports(page)[1:] == [["context", 2]], "only where it stops"
    page.keyboard.press("PageUp")  # as the ARIA pattern of sliders has it: up is more
    expect(slider).to_have_attribute("aria-valuenow", "10")
    expect(slider).to_have_attribute("aria-valuetext", "10 tokens of context, 2 of continuation")
    for key, at in (("End", "11"), ("ArrowRight", "11"), ("Home", "1"), ("ArrowUp", "2"), ("ArrowDown", "1")):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", at)
    page.locator(".token").nth(0).click()
    expect(slider).to_have_attribute("aria-valuenow", "1")  # a context has at least one token


@pytest.mark.browser
def test_a_rerun_keeps_the_nodes_and_takes_the_number(page: Page) -> None:
    data = data_of(pieces(*"abcdef"), 2, 2)
    mount(page, data)
    page.locator(".split").focus()
    page.evaluate("window.kept = document.querySelector('div').shadowRoot.querySelector('.token')")
    page.evaluate("(data) => window.show(data)", {**data, "context": 4})
    assert classes(page).index("continuation first") == 4
    assert page.evaluate("window.kept.isConnected"), "the focus and the scroll would be lost"
    page.evaluate("(data) => window.show(data)", data_of(pieces("x", "y"), 1, 1))
    assert page.locator(".token").all_inner_texts() == ["x", "y"]


@pytest.mark.browser
def test_an_older_answer_does_not_undo_a_newer_move(page: Page) -> None:
    data = data_of(pieces(*"abcdefghijkl"), 2, 2)
    mount(page, data)
    page.locator(".split").focus()
    page.keyboard.press("ArrowRight")
    assert reports(page) == [["context", 3]]
    page.keyboard.press("ArrowRight")
    page.evaluate("(data) => window.show(data)", {**data, "context": 3})
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "4")
    assert reports(page)[1:] == [["context", 4]]
    page.evaluate("(data) => window.show(data)", {**data, "context": 4})
    page.evaluate("(data) => window.show(data)", {**data, "context": 9})  # typed into the number's own field
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "9")


@pytest.mark.browser
def test_a_number_past_the_end_is_still_a_valid_slider(page: Page) -> None:
    mount(page, data_of(pieces("a", "b", "c"), 24, 40))
    slider = page.get_by_role("slider")
    assert classes(page) == ["context"] * 3
    now, most = (int(slider.get_attribute(f"aria-value{name}") or -1) for name in ("now", "max"))
    assert 1 <= now <= most
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuenow", "2")


@pytest.mark.browser
def test_the_border_is_brought_into_view(page: Page) -> None:
    mount(page, data_of(pieces(*(f" word{i}" for i in range(N_SHOWN))), 500, 8))
    border = page.locator(".first")
    box, frame = border.bounding_box(), page.locator(".split").bounding_box()
    assert box and frame and frame["y"] <= box["y"] < frame["y"] + frame["height"]
