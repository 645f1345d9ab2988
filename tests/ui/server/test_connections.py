"""Connections that ask nothing keep nobody out: closed for newer ones, and after a while. Held open: test_gate.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from memviz.ui.server import connections
from memviz.ui.server.connections import PATIENCE, Connections


class Made:
    """A connection as uvicorn makes it."""

    def __init__(self, server: set[Any]) -> None:
        server.add(self)
        self.server_state = SimpleNamespace(connections=server)
        self.cycle: Any = None
        self.is_shut, self.protocol = False, self
        self.transport = self

    def close(self) -> None:
        self.is_shut = True
        self.server_state.connections.discard(self)

    def is_closing(self) -> bool:
        return self.is_shut

    def get_protocol(self) -> object:
        return self.protocol

    def ask(self, answered: bool = False) -> None:
        self.cycle = SimpleNamespace(response_complete=answered)


def test_the_oldest_that_asks_nothing_goes_for_a_new_one() -> None:
    server, watched = set[Any](), Connections(most=3)
    asking, socket, idle = (Made(server) for _ in range(3))
    asking.ask()
    socket.protocol = object()  # type: ignore[assignment]
    for each in (asking, socket, idle):
        watched.admit(each)
    assert not idle.is_shut
    watched.admit(new := Made(server))
    assert [each.is_shut for each in (asking, socket, idle, new)] == [False, False, True, False]
    new.ask()
    watched.admit(last := Made(server))
    assert last.is_shut and not new.is_shut, "all others are in use"
    new.ask(answered=True)
    watched.admit(Made(server))
    assert new.is_shut, "it was answered"


def test_who_asks_nothing_for_long_is_closed() -> None:
    now, server = [0.0], set[Any]()
    watched = Connections(most=100, clock=lambda: now[0])
    silent, slow, busy, socket, returning = (Made(server) for _ in range(5))
    for each in (silent, slow, busy, socket, returning):
        watched.admit(each)
    busy.ask()
    socket.protocol = object()  # type: ignore[assignment]
    for step in (PATIENCE - 1, 1.5):  # after the first a question is asked and answered, after the second none is
        returning.ask(answered=True)
        now[0] += step
        watched.look()
    assert [each.is_shut for each in (silent, slow, busy, socket, returning)] == [True, True, False, False, False]
    now[0] += PATIENCE + 1
    watched.look()
    assert [each.is_shut for each in (busy, socket, returning)] == [False, False, True]


def test_refused_connections_are_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: now[0]))
    others: list[dict[str, Any]] = []
    loop: Any = SimpleNamespace(default_exception_handler=others.append)
    handle = connections._refused_once()
    for _ in range(2048):  # what asyncio says of one connection
        handle(loop, {"message": connections.REFUSED, "exception": OSError(24, "Too many open files")})
    assert caplog.messages == ["connections are refused: [Errno 24] Too many open files"]
    handle(loop, {"message": "another"})
    now[0] += 60
    handle(loop, {"message": connections.REFUSED})
    assert others == [{"message": "another"}] and len(caplog.messages) == 2


def test_asyncio_says_it_in_these_words() -> None:
    from inspect import getsource

    assert connections.REFUSED in getsource(asyncio.selector_events)
