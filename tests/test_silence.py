"""Nothing leaves the machine: every connection and every name that servers and the command line ask for is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.serving import ROOT, start_server
from support.visitor import Visitor

HOOK = """
import os, sys
def heard(event, arguments, file=open(os.environ["SILENCE"], "a", buffering=1)):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1 if event == "socket.connect" else -1]
        if isinstance(address, tuple):
            print("to", address[0], file=file)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        print("name", arguments[0], file=file)
sys.addaudithook(heard)
"""
LOCAL = ("localhost", "None", "b'localhost'")


def is_outside(line: str) -> bool:
    """Whether a line of the hook's is of another machine, or of a name that has to be asked for."""
    what = line.split(maxsplit=1)[1]
    if what in LOCAL:
        return False
    try:
        address = ip_address(what)
    except ValueError:
        return True
    return not (address.is_loopback or address.is_unspecified)


@pytest.fixture
def hooked(tmp_path: Path) -> dict[str, str]:
    """An environment in which every Python process writes down whom it asks."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "SILENCE": str(tmp_path / "heard"), "MEMVIZ_CACHE": str(tmp_path / "cache")}


def test_the_hook_hears(hooked: dict[str, str]) -> None:
    code = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(('192.0.2.1', 1))"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **hooked}, check=False, capture_output=True)
    assert [line for line in Path(hooked["SILENCE"]).read_text().splitlines() if is_outside(line)] == ["to 192.0.2.1"]


def test_servers_and_the_command_line_ask_nobody_outside(hooked: dict[str, str], tmp_path: Path) -> None:
    def serve(address: str) -> None:
        log = tmp_path / f"log-{address.replace(':', 'six')}"
        with start_server(
            ROOT / "app.py", env=hooked | {"MEMVIZ_WARM_UP": "false"}, log=log, address=address
        ) as server:
            with Visitor(server.url, "") as visitor:
                visitor.settle()
                assert not visitor.all("exception")
            assert "http://localhost:" in log.read_text(), "the banner was printed"

    def trace() -> None:
        (tmp_path / "text").write_text("A text of some forty words, of which eight and eight are read here. " * 4)
        command = [sys.executable, "-m", "memviz", "trace", "--model", "suite-0.3m", "--context", "8"]
        command += ["--continuation", "8", "--text-file", str(tmp_path / "text"), "--out", str(tmp_path / "out.json")]
        done = subprocess.run(
            command, env={**os.environ, **hooked}, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(serve, address) for address in ("127.0.0.1", "0.0.0.0", "::")] + [pool.submit(trace)]
        for task in tasks:
            task.result()
    heard = Path(hooked["SILENCE"]).read_text().splitlines()
    assert heard and not [line for line in heard if is_outside(line)]
