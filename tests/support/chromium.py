"""The Chromium that tests drive. Run as a script it prints the path, or one sentence with exit code 1."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebError, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

DRAWN = ".js-plotly-plot, [role=listbox], [role=grid], canvas"
"""Selects what a page of ours shows: a figure, tokens, a grid, or a map."""
VIEWPORT: Any = {"width": 1440, "height": 940}
FORGET = 'try { if (!sessionStorage.known) { localStorage.clear(); sessionStorage.known = "yes"; } } catch {}'
"""Run before each document of a page: its first one finds nothing that pages before it have left."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--js-flags=--no-opt",  # pages live for seconds: what V8 optimises in them costs more than it saves
    # The last list counts: what of playwright's own matters here, and the omnibox, a page of its own in each window.
    "--disable-features=DestroyProfileOnBrowserClose,MediaRouter,PaintHolding,OptimizationHints,"
    "NetworkTimeServiceQuerying,ThirdPartyStoragePartitioning,"
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup",
]


class NoChromium(RuntimeError):
    """No browser to test with; the message says what to do."""


def find_chromium(environ: Mapping[str, str] = os.environ) -> Path:
    """The first of MEMVIZ_CHROMIUM, PATH, playwright's own, and apt's (only as root in CI). Raises NoChromium."""
    if named := environ.get("MEMVIZ_CHROMIUM"):
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise NoChromium(f"MEMVIZ_CHROMIUM={named} is not a program; set it to Chromium's path or unset it")
        return Path(named)
    found = _on_path(environ) or _of_playwright() or _from_apt(environ)
    if found is None:
        raise NoChromium(
            f"no Chromium was found: install one of {', '.join(NAMES)}, run `.venv/bin/playwright install chromium`, "
            "or set MEMVIZ_CHROMIUM to its path"
        )
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, closed at the end. Raises NoChromium."""
    path = find_chromium()  # before playwright is at work: it looks for its own browser by a second one
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def _on_path(environ: Mapping[str, str]) -> Path | None:
    hits = (shutil.which(name, path=environ.get("PATH", "")) for name in NAMES)
    return next((Path(hit) for hit in hits if hit), None)


def _of_playwright() -> Path | None:
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def _from_apt(environ: Mapping[str, str]) -> Path | None:
    if not environ.get("CI") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
    subprocess.run(["apt-get", "update"], **quiet)
    subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], **quiet)
    return _on_path(environ)


def _is_probe(url: str) -> bool:
    """Streamlit's client looks for its server under a deep link's path first, and the browser logs the 404."""
    return re.search(r"^http://127\.0\.0\.1:\d+/\w+/_stcore/(health|host-config)$", url) is not None


def open_window(browser: Browser) -> BrowserContext:
    """A window for the pages of many tests: what they load is fetched and compiled once."""
    window = browser.new_context(viewport=VIEWPORT)
    window.set_default_timeout(180_000)  # two servers and two browsers share few cores
    return window


def guarded_page(window: BrowserContext) -> Iterator[Page]:
    """A page that knows nothing of those before it; it ends with an AssertionError that names the window's faults.

    Those are console errors, script errors and requests to other hosts.
    """
    faults: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not _is_probe(message.location.get("url", "")):
            faults.append(f"console error: {message.text} ({message.location.get('url', '')})")

    def on_error(error: WebError) -> None:
        faults.append(f"script error: {error.error}")

    def on_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            faults.append(f"request to another host: {request.url}")

    heard: dict[Any, Any] = {"console": on_console, "weberror": on_error, "request": on_request}
    for event, handler in heard.items():
        window.on(event, handler)
    page = window.new_page()
    page.add_init_script(FORGET)
    yield page
    page.close()
    window.clear_cookies()
    for event, handler in heard.items():
        window.remove_listener(event, handler)
    assert not faults, "\n".join(faults)


if __name__ == "__main__":
    try:
        print(find_chromium())
    except NoChromium as error:
        sys.exit(str(error))
