"""How fast the Map page is with 50,000 points in headless Chromium: drawn, a step, hovering, a lasso and its table.

Needs a finished sweep with 3,125 rows or more that pass; the map is made first, through the page. A longest frame far
above 16 ms is a freeze one feels.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.chromium import chromium
from support.serving import ROOT, start_server

MINUTES = 60_000
WATCH = """() => {
  window.longest = 0;
  let last = performance.now();
  const tick = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def longest_frame(page: Page) -> float:
    """Milliseconds since the last call."""
    return float(page.evaluate("() => { const found = window.longest; window.longest = 0; return found; }"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--model", help="The first of the sweep's otherwise.")
    parser.add_argument("--beside", default="none")
    parser.add_argument("--cache", type=Path, help="Where results are kept; a temporary folder otherwise.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, chromium() as browser:
        cache = asked.cache or Path(temporary) / "cache"
        link = cache / "sweeps" / "benchbenchbench"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            os.symlink(asked.sweep.resolve(), link)
        environment = {"MEMVIZ_CACHE": str(cache), "MEMVIZ_OFFLINE": "true"}
        with start_server(ROOT / "app.py", env=environment, log=Path(temporary) / "log") as server:
            model = f"&of={asked.model}" if asked.model else ""
            url = f"{server.url}/map?sweep={link.name[:12]}{model}&beside={asked.beside}&points=50%2C000&steps=16"
            url += "&parts=background&parts=held-out&parts=planted"
            page = browser.new_page(viewport={"width": 1440, "height": 1200})
            page.set_default_timeout(20 * MINUTES)
            page.goto(url)
            compute, drawn = page.get_by_role("button", name="Compute", exact=True), page.locator(".map[data-drawn]")
            expect(compute.or_(drawn).first).to_be_visible(timeout=5 * MINUTES)
            if compute.count():
                compute.click()
            page.get_by_text("Trustworthiness").wait_for()  # the growing map is drawn before
            print(*page.get_by_text(re.compile("n = [0-9,]+ points")).all_inner_texts(), sep="\n")
            measure(browser.new_page(viewport={"width": 1440, "height": 1200}), url)


def measure(page: Page, url: str) -> None:
    page.set_default_timeout(5 * MINUTES)
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(".map[data-drawn]").wait_for()
    print(f"link to drawn: {time.perf_counter() - start:.2f} s")
    page.wait_for_timeout(3000)
    page.evaluate(WATCH)
    slider, took = page.locator(".map input[type=range]"), []
    for number in range(10):
        begun = time.perf_counter()
        slider.press("ArrowLeft" if number % 4 < 2 else "ArrowRight")
        page.evaluate(FRAMES)
        took.append(1000 * (time.perf_counter() - begun))
        page.wait_for_timeout(500)
    print(f"a step: {statistics.median(took):.0f} ms to its next frames; longest frame {longest_frame(page):.0f} ms")
    page.get_by_text("all steps at once").click()
    page.wait_for_timeout(1500)
    print(f"all steps drawn at once: longest frame {longest_frame(page):.0f} ms")
    box = page.locator(".map .area").first.bounding_box()
    assert box
    for number in range(30):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.02 * number), box["y"] + box["height"] / 2)
    page.evaluate(FRAMES)
    print(f"hovering over all of them: longest frame {longest_frame(page):.0f} ms")
    corners = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)]
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=10)
    start = time.perf_counter()
    page.mouse.up()
    expect(page.locator(".map .count")).to_contain_text("selected", timeout=MINUTES)
    print(f"lasso to {page.locator('.map .count').inner_text()}: {time.perf_counter() - start:.2f} s")
    expect(page.get_by_text(re.compile("^Selected on the map"))).to_be_visible(timeout=2 * MINUTES)
    print(f"to their table: {time.perf_counter() - start:.2f} s; longest frame {longest_frame(page):.0f} ms")


if __name__ == "__main__":
    main()
