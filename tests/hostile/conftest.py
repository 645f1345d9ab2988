"""Every test here also fails where code of an input ran, where memory grew, or where it took long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from support.hostile import FLAG
from support.sweeps import lab_settings

from memviz.engine.backend import Backend
from memviz.settings import Settings

SECONDS, BYTES = 20, 500_000_000


@pytest.fixture(autouse=True)
def harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    process, start = psutil.Process(), time.monotonic()
    before = process.memory_info().rss
    yield
    assert not (tmp_path / FLAG).exists(), "code of the input was run"
    assert time.monotonic() - start < SECONDS
    assert process.memory_info().rss - before < BYTES


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A cache and a folder of models, both empty."""
    torch.set_num_threads(1)
    return lab_settings(tmp_path)


@pytest.fixture
def backend(settings: Settings) -> Backend:
    return Backend(settings)
