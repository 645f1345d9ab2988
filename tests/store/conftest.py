from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.store import PLENTY, arrays, key

from memviz.store import Store, results


@pytest.fixture(autouse=True)
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was fsynced; nothing is, since no test cuts the power and a busy disk takes its time."""
    kinds: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: kinds.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
    )
    return kinds


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Nothing on disk yet."""
    return Store(tmp_path / "store", PLENTY)


@pytest.fixture
def filled(store: Store) -> Store:
    """Results 0, 1 and 2."""
    for i in range(3):
        store.put(key(i), arrays(i), {"i": i})
    return store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The store's time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(results, "time", SimpleNamespace(time=lambda: now[0]))
    return now
