"""One server and one browser for all browser tests; a page that fails its test on errors and foreign requests."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.chromium import NoChromium, chromium, guarded_page, open_window
from support.pages import GRACE, MINUTES, open_settings, press_run, strip
from support.serving import ROOT, Server, start_server

pytest_plugins = ["support.made_sweeps", "support.swept"]
expect.set_options(timeout=MINUTES)  # what is waited for comes late where other tests take the processor
os.environ.setdefault("MEMVIZ_AUTORUN", "false")  # most tests count what was asked for by its button
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests, servers and browsers share few cores; torch's threads spin


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and let files begin in the order of how long they take: a long one last is alone."""
    weights: Counter[Path] = Counter()
    for item in items:
        if {"browser", "page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.browser)
        if any(item.iter_markers("browser")):
            item.add_marker(pytest.mark.flaky(reruns=1))  # the summary names what was run again
        weights[item.path] += any(item.iter_markers("browser")) + any(item.iter_markers("slow"))
    items.sort(key=lambda item: -weights[item.path])


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """A script that Streamlit runs takes the place of `__main__`, which processes that are started later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app itself, with an empty cache of its own; it gives a session that is gone a short time to come back."""
    folder = tmp_path_factory.mktemp("server")
    env = {"MEMVIZ_CACHE": str(folder / "cache"), "MEMVIZ_OFFLINE": "true", "MEMVIZ_GRACE": str(GRACE)}
    env |= {"MEMVIZ_WARM_UP": "false", "MEMVIZ_MODEL_ROOTS": str(folder / "models")}
    (folder / "models").mkdir()
    with start_server(ROOT / "app.py", env=env, log=folder / "server.log") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as launched:
            yield launched
    except NoChromium as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def window(browser: Browser) -> Iterator[BrowserContext]:
    window = open_window(browser)
    yield window
    window.close()


page = pytest.fixture(guarded_page)


@pytest.fixture
def another(window: BrowserContext) -> Iterator[Page]:
    """A second visitor's page."""
    page = window.new_page()
    yield page
    page.close()


@pytest.fixture(scope="session")
def first_visit(server: Server, browser: Browser) -> dict[str, object]:
    """What the very first visitor of a fresh server sees, coming by a deep link, until the model is ready."""
    context = open_window(browser)
    page = context.new_page()
    page.goto(f"{server.url}/trace")
    expect(page.get_by_role("heading", name="Trace")).to_be_visible(timeout=2 * MINUTES)
    links = page.get_by_test_id("stSidebarNavLink").all_inner_texts()
    missing = page.get_by_text("Page not found").count()
    pictures = ROOT / "build" / "screenshots" / "first-visit"
    pictures.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=pictures / "getting-ready.png")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=4 * MINUTES)
    expect(strip(page)).to_have_count(64)
    page.screenshot(path=pictures / "ready.png")
    open_settings(page)
    shown = page.get_by_test_id("stMain").inner_text()
    model = page.get_by_role("combobox", name=re.compile("Model")).input_value()
    context.close()
    names = [text.strip().splitlines()[-1] for text in links]
    return {"links": names, "missing": missing, "url": server.url, "text": shown, "model": model}


@pytest.fixture(scope="session")
def trace_link(first_visit: dict[str, object], server: Server, window: BrowserContext) -> str:
    """The address of the first visitor's row, asked for."""
    page = window.new_page()
    page.goto(f"{server.url}/trace")
    press_run(page)
    expect(strip(page)).to_have_count(64, timeout=4 * MINUTES)  # the server imports torch
    expect(page).to_have_url(re.compile(r"run=[0-9a-f]{16}"))
    link = page.url
    page.close()
    return link


@pytest.fixture
def traced(trace_link: str, page: Page) -> Page:
    """The first visitor's row on the page."""
    page.goto(trace_link)
    expect(strip(page)).to_have_count(64, timeout=2 * MINUTES)
    return page


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path:
    """Folder for this test's pictures, kept after the run: build/screenshots/<test>."""
    folder = ROOT / "build" / "screenshots" / re.sub(r"[^\w-]+", "-", request.node.name).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
