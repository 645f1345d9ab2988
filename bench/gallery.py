"""How soon the gallery's examples are on the screen, on a server with an empty cache, without network, in Chromium.

For each example in turn: its card on the Gallery page clicked, by the page's own clock from the click to the frame
after the first figure, token, cell or map is there; and its link opened by a new visitor. Beside them the title of an
empty Streamlit page by a new visitor, as a ratio. Medians of rounds; target for a click: a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.chromium import chromium
from support.serving import ROOT, start_server

from memviz.gallery import Example, examples

TARGET = 1.0
EMPTY = 'import streamlit as st\n\nst.title("Empty")\n'
DRAWN = {
    "trace": ".trace .token",
    "compare": "[role=grid] [role=gridcell], .ladder",
    "map": ".map[data-drawn]",
}
"""By page; elsewhere a figure of Plotly."""
FIGURE = ".js-plotly-plot .main-svg"
CLOCK = """selector => {
  const isThere = (root) =>
    [...root.querySelectorAll(selector)].some((each) => each.checkVisibility()) ||
    [...root.querySelectorAll("*")].some((each) => each.shadowRoot && isThere(each.shadowRoot));
  window.drawnAfter = new Promise((done) => {
    const begin = () => {
      const start = performance.now();
      const look = () => {
        requestAnimationFrame(isThere(document) ? () => done((performance.now() - start) / 1000) : look);
      };
      look();
    };
    addEventListener("click", begin, { capture: true, once: true });
  });
}"""


def wait_drawn(page: Page, example: Example) -> None:
    page.get_by_test_id("stMainBlockContainer").locator(DRAWN.get(example.page, FIGURE)).first.wait_for()


def clicked(page: Page, url: str, example: Example) -> float:
    page.goto(f"{url}/gallery?shown=All+examples")
    card = page.get_by_role("link", name=example.title)
    card.wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate(CLOCK, DRAWN.get(example.page, FIGURE))
    card.click()
    return page.evaluate("window.drawnAfter")


def opened(page: Page, url: str, example: Example | None) -> float:
    start = time.perf_counter()
    page.goto(f"{url}/{example.link if example else ''}", wait_until="commit")
    if example:
        wait_drawn(page, example)
    else:
        page.locator("h1").first.wait_for()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        (folder / "empty.py").write_text(EMPTY)
        environment = {"MEMVIZ_CACHE": str(folder / "cache"), "MEMVIZ_OFFLINE": "true"}
        with (
            start_server(ROOT / "app.py", env=environment, log=folder / "log") as server,
            start_server(folder / "empty.py", env=environment, log=folder / "empty.log") as second,
        ):
            first = browser.new_page()
            print(f"first page of all, the Overview: {opened(first, server.url, None):.2f} s")
            while " done after" not in (folder / "log").read_text():  # what is opened and loaded behind it
                time.sleep(0.2)
            worst = 0.0
            for example in examples():
                clicks, links, empty = [], [], []
                for _ in range(rounds):
                    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
                        clicks.append(clicked(context.new_page(), server.url, example))
                    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
                        links.append(opened(context.new_page(), server.url, example))
                    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
                        empty.append(opened(context.new_page(), second.url, None))
                click, link, nothing = (statistics.median(each) for each in (clicks, links, empty))
                worst = max(worst, click)
                print(
                    f"{example.name}: click {click:.2f} s (first {clicks[0]:.2f}); link {link:.2f} s, "
                    f"{link / nothing:.1f} times the empty page's {nothing:.2f} s"
                )
            print(f"slowest click {worst:.2f} s, target {TARGET:g} s: {'met' if worst <= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
