"""Nothing leaves the machine: every connection and every name that a server asks for is counted.

The command line: tests/cli/test_silence.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from streamlit import cli_util, net_util
from streamlit.web import bootstrap
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


def test_a_server_on_all_addresses_asks_nobody_outside(hooked: dict[str, str], tmp_path: Path) -> None:
    """As the container's command starts it."""
    env = hooked | {"MEMVIZ_WARM_UP": "false"}
    with start_server(ROOT / "app.py", env=env, log=tmp_path / "log", timeout=150, address="0.0.0.0") as server:
        with Visitor(server.url, "glossary") as visitor:
            visitor.settle()
            assert not visitor.all("exception")
        assert "http://localhost:" in server.log.read_text(), "what it prints was printed"
    heard = Path(hooked["SILENCE"]).read_text().splitlines()
    assert not [line for line in heard if is_outside(line)]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_what_is_printed_at_the_start_needs_nobody(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Streamlit would ask for this machine's addresses where it binds to all."""

    def ask() -> None:
        raise AssertionError("it asks for an address")

    bootstrap.load_config_options({"server_address": address, "server_headless": True})
    for name in ("get_internal_ip", "get_external_ip"):
        monkeypatch.setattr(net_util, name, ask)
    said: list[str] = []
    monkeypatch.setattr(cli_util, "print_to_cli", lambda text, **_: said.append(text))
    try:
        bootstrap._print_url(False)
    finally:
        bootstrap.load_config_options({})
    assert any(each.startswith("http://localhost:") for each in said)
