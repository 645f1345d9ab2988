"""Fixtures of the engine's tests: every tiny family in turn, folders of a test's own, no network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.tiny_models import FAMILIES, tiny

from memviz.engine.loading import Loaded
from memviz.settings import Settings


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Loaded:
    return tiny(request.param)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    return Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "models",))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks the network fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
