"""Take the pictures of docs/images/ anew: examples of the gallery, light and dark, in Chromium on an empty cache.

python scripts/pictures.py [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from PIL import Image  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402
from support.chromium import chromium  # noqa: E402
from support.serving import start_server  # noqa: E402

from memviz.gallery import examples  # noqa: E402

PICTURES = ROOT / "docs" / "images"
WIDTH = 1382
"""Of the window, pixels; the sidebar takes 282 of them and is not shown."""
HEADER = 68
"""Pixels at the top under which pages scroll."""
SECONDS = 1_000


class Shot(NamedTuple):
    """What is shown of an example's page."""

    example: str
    query: dict[str, str]
    drawn: str
    """A selector of what stands there when the page is drawn."""
    top: str
    """A selector of what comes first in the picture."""
    height: int
    """Pixels."""


SHOTS = {
    "trace": Shot("returns", {"tok": "44"}, "[role=option]", ".st-key-answer", 1130),
    "population": Shot("population", {}, ".js-plotly-plot .main-svg", ".st-key-answer", 590),
    "compare": Shot("sizes", {"tok": "45"}, ".read .words", ".st-key-answer", 605),
}


def take(browser: Browser, url: str, name: str, dark: bool) -> None:
    shot = SHOTS[name]
    example = next(each for each in examples() if each.name == shot.example)
    page = browser.new_page(viewport={"width": WIDTH, "height": shot.height}, color_scheme="dark" if dark else "light")
    page.goto(f"{url}/{example.page}?{urlencode(example.query | shot.query)}")
    page.locator(shot.drawn).first.wait_for(timeout=120 * SECONDS)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(3 * SECONDS)  # fonts, figures, transitions
    shown = page.get_by_test_id("stMain")
    box = page.locator(shot.top).first.bounding_box()
    assert box is not None
    shown.evaluate("(node, y) => node.scrollBy(0, y)", box["y"] - HEADER)
    page.wait_for_timeout(SECONDS)
    file = PICTURES / f"{name}{'-dark' if dark else ''}.png"
    shown.screenshot(path=file)
    page.close()
    Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        env = {"MEMVIZ_CACHE": f"{scratch}/cache", "MEMVIZ_OFFLINE": "true"}
        with start_server(ROOT / "app.py", env=env, log=Path(scratch) / "log") as server:
            for name in names or SHOTS:
                for dark in (False, True):
                    take(browser, server.url, name, dark)


if __name__ == "__main__":
    main(sys.argv[1:])
