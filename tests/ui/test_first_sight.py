"""What a visitor sees on each page with an empty cache, before any click: a picture, and no job for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from support.chromium import DRAWN
from support.pages import MINUTES
from support.serving import ROOT, start_server

from memviz import ui
from memviz.ui.common.doors import DOORS

FORMS = ("precision", "sweeps", "glossary")
"""Pages that ask or explain, and draw nothing by themselves."""
ON_EXAMPLES = ("trace", "compare", "layers", "causes", "map")
"""Pages whose picture is a shipped result, and would be a button without it."""
PAGES = [door.name for door in DOORS if door.name not in FORMS]
HIGHEST = 260
"""Pixels from the top of the window, 1440 x 900, at which the first picture or its frame starts."""
FRAME = "[class*=st-key-frame-], [data-testid^=stBidi], [data-testid=stPlotlyChart]"
DRAWINGS = ("plotly_chart", "bidi_component", "imgs")


@pytest.mark.parametrize("name", ON_EXAMPLES)
def test_it_is_a_picture_and_nothing_is_asked(name: str, app: AppTest) -> None:
    app.switch_page(f"../pages/{name}.py").run()
    assert not app.exception
    assert any(len(app.get(kind)) for kind in DRAWINGS)
    assert not [each.value for each in app.info if "not computed" in each.value.lower()]
    assert ui.worker().n_active == 0


@pytest.mark.wide
def test_it_is_drawn_in_a_browser(page: Page, tmp_path: Path) -> None:
    environment = {"MEMVIZ_CACHE": str(tmp_path / "cache"), "MEMVIZ_OFFLINE": "true"}
    page.set_viewport_size({"width": 1440, "height": 900})
    with start_server(ROOT / "app.py", env=environment, log=tmp_path / "log") as server:
        for name in PAGES:
            page.goto(f"{server.url}/{name.removeprefix(DOORS[0].name)}")
            block = page.get_by_test_id("stMainBlockContainer")
            first = block.locator(f"{DRAWN}, img").first
            expect(first, name).to_be_visible(timeout=2 * MINUTES)
            if name not in ("overview", "gallery"):  # which begin with words
                assert block.locator(FRAME).first.bounding_box()["y"] <= HIGHEST, name  # type: ignore[index]
            if name == "map":
                pane = first.bounding_box()
                assert pane and pane["width"] == pane["height"] >= 600
            if name == "trace":
                strip, panel = (page.locator(of).first.bounding_box() for of in ("[role=listbox]", ".panel"))
                assert strip and panel and panel["x"] > strip["x"] + strip["width"] and panel["y"] < strip["y"] < 900
        queued = re.findall(r"job \d+ queued: (\w+)", server.log.read_text())
        assert set(queued) <= {"prepare"}  # the default model is loaded behind any first visit
