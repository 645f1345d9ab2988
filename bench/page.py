"""How fast pages are in headless Chromium: the first sight of each, and Trace as ratios to an empty Streamlit page.

First sights: a server with an empty cache, each page opened by a new visitor when the page before is done and the
server has read what it comes with; seconds to its first picture. Of Trace, served beside the empty page, medians of
alternating pairs: server start to first page (torch must not be there yet); link to the drawn strip of a stored trace,
by a new visitor and by one who comes again, first as it is drawn early, then as the page's own, which answers to
clicks; click on a token to its alternatives and to the new link.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.chromium import DRAWN, chromium
from support.serving import ROOT, Server, start_server

from memviz.catalog import find_model, read_card
from memviz.passages import PASSAGES
from memviz.settings import load_settings
from memviz.store import Store
from memviz.tasks.trace import task_of_text, tokenizer_of
from memviz.ui.common.doors import DOORS

MODEL = "smollm2-135m"
EMPTY = 'import streamlit as st\n\nst.title("Empty")\n'
TOKEN = ".trace .token"
EARLY = "#memviz-early[data-tokens]"
LINK_TARGET, CLICK_TARGET, SIGHT_TARGET = 1.3, 0.3, 6.0
REST = 3
"""Seconds for which a page is looked at before the next is opened."""
FORMS = ("precision", "sweeps", "glossary")
"""Pages that draw nothing by themselves."""


def stored_trace(cache: Path) -> str:
    """The name of a stored run of 24 + 40 tokens, computed where it is not there yet by another process."""
    environment = {**os.environ, "MEMVIZ_CACHE": str(cache), "MEMVIZ_OFFLINE": "true"}
    text = PASSAGES["U.S. Constitution, preamble (1787)"]
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "text.txt"
        written.write_text(text, "utf-8")
        command = [sys.executable, "-m", "memviz", "trace", "--model", MODEL, "--text-file", str(written)]
        command += ["--context", "24", "--continuation", "40", "--out", str(Path(folder) / "out.json")]
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
    settings = load_settings(cache=cache)
    card = read_card(find_model(MODEL, settings), settings)
    assert card is not None
    task = task_of_text(text, card, tokenizer_of(card, settings), 24, 40, True, dtype=settings.dtype)
    Store(cache / "results", settings.cache_limit).put_request(task.hash, task.request())
    return task.hash


def drawn(page: Page, url: str, selector: str) -> float:
    """Seconds from navigation until the first element of a selector can be seen."""
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(selector).first.wait_for()
    return time.perf_counter() - start


def has_torch(server: Server) -> bool | None:
    """Whether the server has loaded torch's library; None where the system does not say."""
    maps = Path(f"/proc/{server.process.pid}/maps")
    return "libtorch" in maps.read_text() if maps.exists() else None


def first_page(browser: Browser, script: Path, environment: dict[str, str], log: Path) -> tuple[float, bool | None]:
    """Seconds from starting a server to its first page, and whether torch was there by then."""
    start = time.perf_counter()
    with start_server(script, env=environment, log=log) as server:
        page = browser.new_page()
        drawn(page, server.url, "h1")
        found = time.perf_counter() - start, has_torch(server)
        page.context.close()
    return found


CLICKED = """
(index) => new Promise((done) => {
  const roots = [...document.querySelectorAll("*")].map((element) => element.shadowRoot);
  const inside = roots.find((root) => root?.querySelector(".trace"));
  const token = inside.querySelector(`.token[data-j="${index}"]`);
  const found = { start: performance.now() };
  const look = () => {
    const isShown = inside.querySelector(".panel strong")?.textContent === `Position ${index}`;
    if (isShown && token.getAttribute("aria-selected") === "true") found.shown ??= performance.now() - found.start;
    if (new URL(location).searchParams.get("tok") === String(index)) found.linked ??= performance.now() - found.start;
    if (found.shown && found.linked) done([found.shown / 1000, found.linked / 1000]);
    else requestAnimationFrame(look);
  };
  token.click();
  look();
})
"""


def clicks(page: Page, n_clicks: int) -> tuple[list[float], list[float]]:
    """Seconds from clicks on tokens to the frame with their alternatives, and to that with their index in the link."""
    shown, linked = zip(*(page.evaluate(CLICKED, 25 + 3 * i) for i in range(n_clicks)), strict=True)
    return list(shown), list(linked)


def report(name: str, ours: list[float], theirs: list[float], target: float | None = None) -> None:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    verdict = "" if target is None else f", target {target:g}: {'met' if ratio <= target else 'MISSED'}"
    print(
        f"{name}: {statistics.median(ours):.2f} s, empty page {statistics.median(theirs):.2f} s, ratio {ratio:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} pairs){verdict}"
    )


def pairs(n_pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Both measured in turn, so that what else the machine does falls on both alike."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_pairs):
        found[0].append(ours())
        found[1].append(theirs())
    return found


SIGHT = """
const drawn = (root) => [...root.querySelectorAll(%s)].some((each) => each.checkVisibility())
  || [...root.querySelectorAll("*")].some((each) => each.shadowRoot && drawn(each.shadowRoot));
const look = () => {
  const main = document.querySelector("[data-testid=stMainBlockContainer]");
  if (main && drawn(main)) requestAnimationFrame(() => { window.sight = performance.now() / 1000; });
  else setTimeout(look, 20);
};
look();
"""


def first_sights(browser: Browser, folder: Path) -> None:
    """Print the seconds from navigation to the frame with each page's picture, by the browser's own clock."""
    environment = {"MEMVIZ_CACHE": str(folder / "unused"), "MEMVIZ_OFFLINE": "true"}
    found, log = {}, folder / "first.log"
    with start_server(ROOT / "app.py", env=environment, log=log) as server:
        for door in DOORS:
            if door.name not in FORMS:
                with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
                    context.add_init_script(SIGHT % json.dumps(f"{DRAWN}, img"))
                    page, path = context.new_page(), door.name.removeprefix(DOORS[0].name)
                    page.goto(f"{server.url}/{path}", wait_until="commit")
                    while not page.evaluate("window.sight ?? 0"):
                        page.wait_for_timeout(200)
                    found[door.name] = float(page.evaluate("window.sight"))
                    page.locator("[data-test-script-state=notRunning]").wait_for(state="attached")
                    while " done after" not in log.read_text():  # the model gets ready behind the first page
                        page.wait_for_timeout(200)
                    page.wait_for_timeout(1000 * REST)
                print(f"first sight of {door.name}: {found[door.name]:.1f} s", flush=True)
    worst = max(found.values())
    print(f"slowest {worst:.1f} s, target {SIGHT_TARGET:g} s: {'met' if worst <= SIGHT_TARGET else 'MISSED'}")


def measure(browser: Browser, cache: Path, folder: Path, n_pairs: int) -> None:
    link = stored_trace(cache)
    empty = folder / "empty.py"
    empty.write_text(EMPTY)
    environment = {"MEMVIZ_CACHE": str(cache), "MEMVIZ_OFFLINE": "true"}
    log, loaded = folder / "server.log", []

    def start(script: Path) -> float:
        seconds, torch_is_there = first_page(browser, script, environment, log)
        loaded.append(torch_is_there)
        return seconds

    report("server start to first page", *pairs(3, partial(start, ROOT / "app.py"), partial(start, empty)))
    print("torch loaded by then:", {None: "unknown here", False: "no", True: "YES"}[max(loaded, key=bool)])

    def visit(page: Page | None, url: str, selector: str) -> float:
        if page:
            return drawn(page, url, selector)
        with browser.new_context(viewport={"width": 1440, "height": 940}) as context:
            return drawn(context.new_page(), url, selector)

    with (
        start_server(ROOT / "app.py", env=environment, log=log) as server,
        start_server(empty, env=environment, log=folder / "empty.log") as second,
    ):
        url = f"{server.url}/trace?run={link[:16]}"
        page, other = browser.new_page(viewport={"width": 1440, "height": 940}), browser.new_page()
        visit(page, url, TOKEN)
        visit(other, second.url, "h1")
        while " done after" not in server.log.read_text():  # the model gets ready behind the first page
            page.wait_for_timeout(200)
        for name, ours, theirs, selector, target in (
            ("link to drawn strip, new visitor", None, None, EARLY, LINK_TARGET),
            ("link to drawn strip, once more", page, other, EARLY, LINK_TARGET),
            ("link to the page's own strip, new visitor", None, None, TOKEN, None),
            ("link to the page's own strip, once more", page, other, TOKEN, None),
        ):
            act, compare = partial(visit, ours, url, selector), partial(visit, theirs, second.url, "h1")
            report(name, *pairs(n_pairs, act, compare), target=target)
        shown, linked = clicks(page, max(5, n_pairs))
        for name, seconds in (("click to alternatives", shown), ("click to its index in the link", linked)):
            median = statistics.median(seconds)
            verdict = "met" if median <= CLICK_TARGET else "MISSED"
            print(f"{name}: {median:.3f} s, most {max(seconds):.3f}, target {CLICK_TARGET}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="0: the first sights alone.")
    options = parser.parse_args()
    settings = load_settings()
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        first_sights(browser, Path(folder))
        if not options.pairs:
            return
        ready = read_card(find_model(MODEL, settings), settings) is not None
        cache = settings.cache if ready else Path(folder) / "cache"
        print(
            "cache: " + ("the settings' own" if ready else "a temporary one, into which the model is converted first")
        )
        measure(browser, cache, Path(folder), options.pairs)


if __name__ == "__main__":
    main()
