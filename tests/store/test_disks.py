"""Disks that are full, read-only or no folder at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.disks import mount, mounted
from support.store import PLENTY, arrays, key, right_ones

from memviz.errors import Failure
from memviz.store import Store


@pytest.mark.parametrize("where", ["cache", "cache/below"])
def test_a_cache_path_that_is_a_file(tmp_path: Path, where: str) -> None:
    (tmp_path / "cache").write_text("not a folder")
    store = Store(tmp_path / where, PLENTY)
    assert store.get(key(0)) is None and store.stats().n_results == 0 and store.verify() == []
    for call in (lambda: store.put(key(0), arrays(0), {}), lambda: store.put_request(key(0), {})):
        with pytest.raises(Failure, match=r"cache.* cannot be written \(.*\); .* set MEMVIZ_CACHE"):
            call()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, r"no space left in .*store, 1\.6 MB needed: free space or set MEMVIZ_CACHE"),
        (errno.EDQUOT, r"no space left in "),
        (
            errno.EROFS,
            r"store cannot be written \(Read-only file system\); make it a writable folder or set MEMVIZ_CACHE",
        ),
    ],
)
def test_a_disk_that_refuses(filled: Store, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(Failure, match=sentence):
            filled.put(key(5), {"x": np.zeros(200_000)}, {})
        assert right_ones(filled, range(6)) == {0, 1, 2}
    assert filled.verify() == [] and not list(filled.root.rglob("*.tmp"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "1m") as folder:
        yield folder


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("reopen", [False, True])
def test_a_disk_that_is_really_full_can_be_read_and_cleared(tiny_disk: Path, reopen: bool, everything: bool) -> None:
    store = Store(tiny_disk / "store", PLENTY)
    with pytest.raises(Failure, match=r"no space left in .*, 0\.1 MB needed: free space or set MEMVIZ_CACHE"):
        for i in range(1000):
            store.put(key(i), arrays(i), {"i": i})
    there = right_ones(store, range(1000))
    assert there == set(range(max(there) + 1)) and len(there) > 20
    if reopen:
        store.close()
        store = Store(store.root, PLENTY)
    with (tiny_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(512))
    with pytest.raises(Failure, match="no space left"):
        store.put(key(1000), arrays(1000), {})
    with pytest.raises(Failure, match="no space left"):
        for i in range(10_000):
            store.put_request(key(i), {"i": "x" * 1000})
    assert right_ones(store, range(1000)) == there
    if everything:
        assert store.clear(everything=True)[0] == len(there)
    (tiny_disk / "filler").unlink()
    if not everything:
        assert store.clear()[0] == len(there)
    store.put(key(5), arrays(5), {"i": 5})
    assert right_ones(store, range(10)) == {5} and store.verify() == []


def test_a_disk_that_is_really_read_only_can_be_read(tiny_disk: Path, clock: list[float]) -> None:
    store = Store(tiny_disk / "store", PLENTY)
    for i in range(3):
        store.put(key(i), arrays(i), {"i": i})
    store.close()
    assert mount("-o", "remount,ro", str(tiny_disk))
    clock[0] += 1000
    assert right_ones(store, range(4)) == {0, 1, 2}
    assert right_ones(Store(tiny_disk / "own", 0, readonly=[store.root]), range(4)) == {0, 1, 2}
    for call in (
        lambda: store.put(key(5), arrays(5), {}),
        lambda: store.put_request(key(0), {}),
        store.clear,
        lambda: store.clear(True),
    ):
        with pytest.raises(Failure, match=r"store cannot be written \(.*\); make it a writable folder"):
            call()
