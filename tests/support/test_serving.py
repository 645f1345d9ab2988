"""The fixtures themselves, on a throwaway app: they start, notice faults, and end what they started."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from support.chromium import guarded_page
from support.serving import ROOT, Server, start_server

APP = """
import streamlit as st
st.title("Throwaway")
if st.button("Press"):
    st.write("pressed")
"""


@pytest.fixture(scope="module")
def throwaway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    script = tmp_path_factory.mktemp("throwaway") / "app.py"
    script.write_text(APP)
    with start_server(script) as server:
        yield server
    assert server.process.poll() is not None


def test_a_page_is_served_and_pressed(throwaway: Server, page: Page, screenshots: Path) -> None:
    page.goto(throwaway.url)
    page.get_by_role("button", name="Press").click()
    page.get_by_text("pressed").wait_for()
    page.screenshot(path=screenshots / "pressed.png")
    assert throwaway.log.read_text()


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.error('broken')", "console error: broken"),
        ("setTimeout(() => { throw new Error('thrown') })", "script error: .*thrown"),
        ("fetch('http://localhost:9/x').catch(() => 0)", "request to another host: http://localhost:9/x"),
    ],
)
def test_faults_fail_the_test(script: str, fault: str, throwaway: Server, window: BrowserContext) -> None:
    guarded = guarded_page(window)
    page = next(guarded)
    page.goto(throwaway.url)
    page.evaluate(script)
    page.wait_for_timeout(200)
    with pytest.raises(AssertionError, match=fault):
        next(guarded)


def test_a_server_that_dies_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)no healthy server.*does not exist"), start_server(tmp_path / "app.py"):
        pass


class Answer(BaseHTTPRequestHandler):
    """200 for everything, with the body the server was given."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.body)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(("body", "code"), [(b'{"ready": true}', 0), (b'{"ready": false}', 1), (b"<html>", 1)])
def test_the_images_health_check_reads_the_body(body: bytes, code: int) -> None:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.body = body  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = (ROOT / "Dockerfile").read_text().partition("HEALTHCHECK")[2].partition("CMD ")[2].splitlines()[0]
    _python, *rest = json.loads(command.replace("8501", str(server.server_port)))
    try:
        assert subprocess.run([sys.executable, *rest], check=False).returncode == code
    finally:
        server.shutdown()
        server.server_close()
