"""The command line connects to nobody: every connection of a model's whole way is counted."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from support.cli import CommandLine


def test_a_trace_asks_nobody(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Heard(socket.socket):
        def connect(self, address: Any) -> None:
            asked.append(address)
            raise OSError("nobody is asked")

    monkeypatch.setattr(socket, "socket", Heard)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **_: asked.append(words))
    cli.trace("--text-file", "text.txt", "--context", 6, "--continuation", 5)
    for words in (("models",), ("store", "stats"), ("store", "verify")):
        assert cli.run(*words).code == 0
    assert asked == []
