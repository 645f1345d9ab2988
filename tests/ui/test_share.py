"""Share on a page: files that need nothing else, a stop of one's own tour, and presenting."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from playwright.sync_api import Page, expect
from support.pages import MINUTES, settle
from support.serving import Server


def saved(page: Page, name: str) -> bytes:
    with page.expect_download() as found:
        page.locator(".share").get_by_role("button", name=name, exact=True).click()
    return Path(found.value.path()).read_bytes()


def test_a_view_is_saved_added_to_a_tour_and_presented(server: Server, page: Page, another: Page) -> None:
    page.goto(f"{server.url}/transitions?sweep=suite")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=MINUTES)
    settle(page)
    page.get_by_role("button", name="Share").click()
    assert saved(page, "PNG").startswith(b"\x89PNG")
    drawing = ElementTree.fromstring(saved(page, "SVG"))
    assert drawing.tag.endswith("}svg")
    main = page.get_by_test_id("stMain")
    main.evaluate("it => it.insertAdjacentHTML('beforeend', '<i data-testid=stSkeleton></i>')")  # as while it is drawn
    with page.expect_download() as found:
        page.locator(".share").get_by_role("button", name="Offline HTML").click()
        expect(page.locator(".share")).to_contain_text("Waiting until the page is drawn")
        page.locator("i[data-testid=stSkeleton]").evaluate("it => it.remove()")
    offline = Path(found.value.path()).read_text("utf-8")
    assert "/transitions?sweep=suite" in offline and "<script" not in offline and 'src="http' not in offline
    another.set_content(offline)
    expect(another.get_by_role("heading", name="Transitions", level=1)).to_be_visible()
    expect(another.locator(".js-plotly-plot svg").first).to_be_visible()
    cells = another.locator(".js-plotly-plot image").first  # a heatmap is one
    assert cells.evaluate("image => image.href.baseVal").startswith("data:image/")
    page.get_by_label("Title of the stop").fill("Who moves")
    page.get_by_label("What to see there").fill("The diagonal.")
    page.get_by_role("button", name="Add to tour").click()
    expect(page.get_by_text(re.compile("^Added: see"))).to_be_visible(timeout=MINUTES)
    page.goto(f"{server.url}/gallery?shown=Your+tour")
    expect(page.get_by_text("The diagonal.")).to_be_visible(timeout=MINUTES)
    settle(page)
    page.get_by_role("link", name="Present").click()
    expect(page.locator(".st-key-tour")).to_contain_text("1 of 1 · Who moves. The diagonal.", timeout=MINUTES)
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/transitions\?.*tour=own-1"))
