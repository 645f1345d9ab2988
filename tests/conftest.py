"""One server and one browser for all browser tests; a page that fails its test on errors and foreign requests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import ARGUMENTS, NoChromium, find_chromium, guarded_page
from playwright.sync_api import Browser, sync_playwright
from serving import ROOT, Server, start_server

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests, servers and browsers share few cores; torch's threads spin


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"browser", "page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    try:
        return find_chromium()
    except NoChromium as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app itself, with an empty cache of its own."""
    folder = tmp_path_factory.mktemp("server")
    env = {"MEMVIZ_CACHE": str(folder / "cache"), "MEMVIZ_OFFLINE": "true"}
    with start_server(ROOT / "app.py", env=env, log=folder / "server.log") as running:
        yield running


@pytest.fixture(scope="session")
def browser(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield launched
        launched.close()


page = pytest.fixture(guarded_page)


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path:
    """Folder for this test's pictures, kept after the run: build/screenshots/<test>."""
    folder = ROOT / "build" / "screenshots" / re.sub(r"[^\w-]+", "-", request.node.name).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
