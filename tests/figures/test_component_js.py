"""The component's pure functions, called in Chromium, which needs no other JavaScript engine."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from memviz.figures.linked import TRACE
from memviz.figures.source import TYPING

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
LOAD = """async (source) => {
  window.module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}"""


@pytest.fixture
def module(page: Page) -> Any:
    """Evaluates an expression over the module `m`."""
    page.set_content("<!doctype html>")
    page.evaluate(LOAD, TRACE.js())

    def evaluate(expression: str) -> Any:
        return page.evaluate(f"() => {{ const m = window.module; return {expression}; }}")

    return evaluate


def themes() -> list[tuple[str, str]]:
    """(text, background) of Streamlit's defaults and of this app's own themes."""
    found = [("#31333f", "#ffffff"), ("#fafafa", "#0e1117")]
    config = ROOT / ".streamlit" / "config.toml"
    if config.exists():
        theme = tomllib.loads(config.read_text("utf-8"))["theme"]
        found += [(theme[name]["textColor"], theme[name]["backgroundColor"]) for name in ("light", "dark")]
    return found


def test_contrast_is_that_of_wcag(module: Any) -> None:
    assert module('m.contrast("#000000", "#ffffff")') == pytest.approx(21)
    assert module('m.contrast("#777777", "#ffffff")') == pytest.approx(4.48, abs=0.005)  # the well-known near miss
    assert module('m.mix("#000000", "#ff8000", 0.5)') == "#804000"
    assert module('m.hexOf("rgb(17, 25, 39)")') == "#111927"


@pytest.mark.parametrize(("text", "background"), themes())
def test_every_colour_reads_well(module: Any, text: str, background: str) -> None:
    colours = f'm.coloursFor("{text}", "{background}")'
    for name in ("muted", "match", "miss", "main", "faint", "change"):
        assert module(f'm.contrast({colours}.{name}, "{background}")') >= 4.5, name  # text
    on_band = f"m.contrast({colours}.main, {colours}.band)"
    assert module(on_band) >= 3  # WCAG 1.4.11, a line
    shades = f"Array.from({{ length: 65 }}, (_, i) => m.mix({colours}.low, {colours}.high, i / 64))"
    fills = f"[...{shades}, {colours}.matchFill, {colours}.missFill]"
    worst = f'Math.min(...{fills}.map((fill) => m.contrast(fill, m.ink(fill, "{text}", "{background}"))))'
    assert module(worst) >= 4.5


def test_fill_scales_are_fixed(module: Any) -> None:
    assert module('[0, 3, 6, 9].map((v) => m.shareOf("entropy", v))') == [1, 0.5, 0, 0]
    assert module('[1, 10, 1000, 99999].map((v) => m.shareOf("rank", v))') == pytest.approx([1, 2 / 3, 0, 0])
    assert module('[0, 5, 10, 20].map((v) => m.shareOf("margin", v))') == [0, 0.5, 1, 1]
    assert module('m.shareOf("entropy", null)') is None


def test_ticks(module: Any) -> None:
    assert module("m.ticks(0, 8, 5)") == [0, 2, 4, 6, 8]
    assert module("m.ticks(0, 63, 10)") == [0, 8, 16, 24, 32, 40, 48, 56]
    assert module("m.ticks(0, 2, 10, { finest: 1 })") == [0, 1, 2]
    assert module("m.ticks(0, 0, 10, { finest: 1 })") == [0]
    assert module('m.ticks(1, 1e6, 3, { scale: "log" })') == [1, 100, 10_000, 1_000_000]
    assert module('m.along(100, [1, 10000], "log")') == pytest.approx(0.5)
    assert module('m.along(0, [1, 10000], "log")') == 0


def test_line_paths(module: Any) -> None:
    path = "m.linePath([1, null, 2, 3], (j) => 10 * j, (v) => v, 0, 3{})"
    assert module(path.format("")) == "M0.0 1.0M20.0 2.0L30.0 3.0"
    assert module(path.format(", true")) == "M-5.0 1.0H5.0M15.0 2.0H25.0L25.0 3.0H35.0"


def test_words(module: Any) -> None:
    assert module("[0, 0.004, 7.5, 9, null].map(m.probability)") == ["1.000", "0.996", "0.001", "1e−4", "–"]
    assert module('[["", "·", "the"], ["", "·"], ["a", "↵"], ["<b>"]].map(m.spoken)') == [
        "the",
        "space",
        "a newline",
        "<b>",
    ]
    assert module("[m.number(-0.5, 1), m.reading(1234.5678)]") == ["−0.5", "1,234.568"]


def test_what_is_typed_is_told_once_after_the_last_key(page: Page) -> None:
    page.set_content("<textarea></textarea><textarea class=heard></textarea>")
    page.evaluate(LOAD, TYPING.js())
    page.evaluate("""() => {
      window.told = [];
      document.addEventListener("keydown", ({key, ctrlKey, target}) => told.push(`${key} ${ctrlKey} ${target.value}`));
      window.module.default({data: {fields: ".heard"}});
      for (const field of document.querySelectorAll("textarea")) {
        for (const text of ["a", "ab", "abc"]) {
          field.value = text;
          field.dispatchEvent(new InputEvent("input", {bubbles: true}));
        }
      }
    }""")
    page.wait_for_function("told.length")
    assert page.evaluate("told") == ["Enter true abc"]
