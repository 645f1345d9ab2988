"""The ASGI app: whom it answers, headers on every answer, readiness, and a start without torch."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import streamlit
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from streamlit.runtime.scriptrunner.exec_code import modified_sys_path
from support.serving import Server

import app
from memviz.settings import load_settings
from memviz.ui.server import early


def run_apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What it returns, run in a thread of its own: where a browser is driven, this one has a loop that runs already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.mark.parametrize("path", ["/", "/trace", "/ready", "/_stcore/health", "/nowhere"])
def test_every_answer_carries_the_security_headers(server: Server, path: str) -> None:
    _, headers, _ = get(server.url + path)
    policy = headers["content-security-policy"]
    for rule in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "connect-src 'self'"):
        assert rule in policy
    assert "form-action 'self'" in policy
    assert "http" not in policy and "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_the_policy_allows_streamlits_own_inline_script(server: Server) -> None:
    _, headers, _ = get(server.url)
    index = (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")
    inline = re.search(r"<script>(.*?)</script>", index, re.DOTALL)
    assert inline
    digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in headers["content-security-policy"]


def test_ready_says_so(server: Server) -> None:
    status, _, body = get(f"{server.url}/ready")
    assert status == 200 and json.loads(body)["ready"] is True


def test_not_ready_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(app, "settings", lambda: load_settings(cache=tmp_path / "file" / "cache"))
    answer = app.ready(Request({"type": "http"}))
    said = json.loads(answer.body)
    assert answer.status_code == 503 and said["ready"] is False and "file/cache" in said["reason"]


def test_script_runs_leave_the_import_path_alone() -> None:
    """Where they change it, a thread that imports at that moment can miss a folder of installed packages."""
    before = list(sys.path)
    with modified_sys_path(str(app.app.script_path)):
        assert sys.path == before


def handshake(server: Server, host: str, origin: str | None) -> int:
    """The status that opening Streamlit's WebSocket is answered with; 101 is a yes."""
    address = server.url.removeprefix("http://")
    lines = ["GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    lines += [f"Origin: {origin}"] if origin else []
    with socket.create_connection((address.split(":")[0], int(address.split(":")[1])), timeout=10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.recv(100).split()[1])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8501", "[::2]", "[", "<b>"])
@pytest.mark.parametrize("path", ["/", "/trace", "/ready", "/early/boot.js", "/_stcore/health", "/_stcore/stream"])
def test_a_name_that_is_not_allowed_is_refused_with_a_sentence(server: Server, host: str, path: str) -> None:
    status, headers, body = get(server.url + path, Host=host)
    assert status == 400 and headers["content-type"].startswith("text/plain")
    assert headers["x-content-type-options"] == "nosniff"
    assert body.decode().startswith(f"This server does not answer to the name {host!r}: if it is yours, add the name ")
    assert "MEMVIZ_ALLOWED_HOSTS" in body.decode() and body.count(b"\n") == 1


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8501"])
def test_names_of_this_machine_are_answered(server: Server, host: str) -> None:
    assert get(f"{server.url}/ready", Host=host)[0] == 200


def test_a_websocket_is_opened_by_own_pages_and_programs_alone(server: Server) -> None:
    assert handshake(server, "localhost:8501", None) == 101
    assert handshake(server, "localhost:8501", "http://localhost:8501") == 101
    assert handshake(server, "evil.example", None) == 403
    assert handshake(server, "evil.example", "http://evil.example") == 403
    for origin in ("http://evil.example", "null", "http://[", "file://", "http://localhost", "http://localhost:8502"):
        assert handshake(server, "localhost:8501", origin) == 403
    start = time.monotonic()
    assert handshake(server, "localhost:8501", "http://LOCALHOST:8501") == 403, "another spelling asks outside"
    assert time.monotonic() - start < 1


def test_what_changes_something_is_asked_by_own_pages_alone(server: Server) -> None:
    request = urllib.request.Request(
        f"{server.url}/_stcore/upload_file/a/b", b"x", {"Origin": "http://x"}, method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)


@pytest.mark.parametrize(
    ("allowed", "bound", "yes", "no"),
    [
        ("memviz.example", "0.0.0.0", ["memviz.example:443", "MEMVIZ.example"], ["localhost", "a.memviz.example", ""]),
        ("*.example.org", "::", ["a.example.org", "a.b.example.org:1"], ["example.org", "aexample.org", "[::]"]),
        ("*", "0.0.0.0", ["anything", "[fe80::1]:3"], [""]),
        ("localhost", "10.0.0.7", ["localhost", "10.0.0.7:8501"], ["10.0.0.8"]),
        ("fe80::1", "fe80::2", ["[fe80::1]", "[FE80::2]:8501"], ["[fe80::3]"]),
        ("wrong/name", "127.0.0.1", ["localhost", "127.0.0.1"], ["wrong", "memviz.example"]),
    ],
)
def test_which_names_are_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: str, bound: str, yes: list[str], no: list[str]
) -> None:
    monkeypatch.setenv("MEMVIZ_ALLOWED_HOSTS", allowed)
    monkeypatch.setattr(app, "settings", load_settings)
    monkeypatch.setattr(app.st, "get_option", {"server.address": bound}.get)
    asked: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(dict(scope["headers"])[b"host"].decode())

    async def nothing(*_: object) -> None:
        return

    guard = app.AllowedHosts(inner)
    for host in (*yes, *no):
        scope = {"type": "http", "method": "GET", "headers": [(b"host", host.encode())]}
        run_apart(guard(scope, nothing, nothing))  # type: ignore[arg-type]
    assert asked == yes


def test_links_are_not_drawn_early_for_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request({"type": "http", "query_string": b"run=0123456789abcdef", "headers": []})
    monkeypatch.setattr(early, "_data", lambda query: "{}")
    for wanted, status in ((False, 200), (True, 204)):
        monkeypatch.setattr(early, "is_wanted", lambda wanted=wanted: wanted)
        assert run_apart(early._trace_json(request)).status_code == status
