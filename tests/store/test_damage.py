"""Damaged files, damaged indexes, folders that vanish, read-only layers: never a wrong array, never a traceback."""

from __future__ import annotations

import logging
import os
import random
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.store import PLENTY, arrays, ask, blob_of, index_of, key, right_ones

from memviz.errors import Failure
from memviz.store import Store


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def giant_header(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes((2**62).to_bytes(8, "little") + content[8:])


def huge(path: Path) -> None:
    os.truncate(path, 2**40)  # sparse: reading it would end the process


DAMAGES = [truncate, flip_last_bit, giant_header, huge, lambda path: path.write_bytes(b""), Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES, ids=["truncated", "flipped", "header", "huge", "empty", "missing"])
@pytest.mark.parametrize("by_verify", [False, True], ids=["get", "verify"])
def test_a_damaged_result_is_set_aside_and_recomputed(
    filled: Store, damage, by_verify: bool, caplog: pytest.LogCaptureFixture
) -> None:
    filled.put(key(7), arrays(1), {"i": 1})  # shares the file of 1
    path = blob_of(filled, 1)
    damage(path)
    if by_verify:
        (finding,) = filled.verify()
        assert finding.name == path.stem and "computed again" in finding.problem
    assert filled.get(key(1)) is None and filled.get(key(7)) is None and not filled.has(key(1))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    stats = filled.stats()
    assert stats.n_results == 2 and stats.n_quarantined == (damage is not Path.unlink)
    assert right_ones(filled, range(3)) == {0, 2}
    filled.put(key(1), arrays(1), {"i": 1})
    assert right_ones(filled, range(3)) == {0, 1, 2} and filled.verify() == []


def test_verify_removes_old_files_that_no_result_needs(filled: Store) -> None:
    folder = blob_of(filled, 0).parent
    young, old, dead = folder / ("0" * 64 + ".safetensors"), folder / ("1" * 64 + ".safetensors"), folder / "x.tmp"
    for path in (young, old, dead):
        path.write_bytes(b"orphan")
    for path in (old, dead):
        os.utime(path, (time.time() - 7200,) * 2)
    problems = {finding.name: finding.problem for finding in filled.verify()}
    assert {name: "removed" in problem for name, problem in problems.items()} == {
        young.name: False,
        old.name: True,
        dead.name: True,
    }
    assert (young.exists(), old.exists(), dead.exists()) == (True, False, False)
    assert right_ones(filled, range(3)) == {0, 1, 2}


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_garbage_index_is_set_aside(
    filled: Store, opened: bool, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    filled.close()
    index_of(filled).write_bytes(content)
    store = filled if opened else Store(filled.root, PLENTY)
    assert store.get(key(0)) is None
    assert any("set aside as index.damaged-1" in record.getMessage() for record in caplog.records)
    assert (store.root / "index.damaged-1" / "index.sqlite").read_bytes() == content
    store.put(key(0), arrays(0), {"i": 0})
    assert right_ones(store, range(3)) == {0}
    for path in store.root.glob("blobs/*/*"):
        os.utime(path, (time.time() - 7200,) * 2)
    assert [finding.problem.split("; ")[1] for finding in store.verify()] == ["removed", "removed"]


def test_an_index_cut_to_nothing_is_begun_anew(filled: Store) -> None:
    filled.close()
    os.truncate(index_of(filled), 0)
    assert filled.get(key(0)) is None
    filled.put(key(1), arrays(1), {"i": 1})
    assert right_ones(filled, range(3)) == {1}


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_to_the_index_no_wrong_array_is_read(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    store = Store(tmp_path, PLENTY)
    for i in range(20):
        store.put(key(i), arrays(i), {"i": i})
    store.close()
    content = bytearray(index_of(store).read_bytes())
    for _ in range(3):  # a torn write: a stretch of zeros or noise, at any place
        where = rng.randrange(len(content))
        stretch = content[where : where + 700]
        content[where : where + 700] = rng.choice([bytes(len(stretch)), rng.randbytes(len(stretch))])
    index_of(store).write_bytes(content[: rng.choice([len(content), len(content) // 2])])
    store.verify()
    for i in range(20):
        result = store.get(key(i))
        assert result is None or np.array_equal(result[0]["x"], arrays(i)["x"])
    store.put(key(0), arrays(0), {"i": 0})
    assert right_ones(store, range(1)) == {0}


def test_a_strange_index_is_set_aside_and_a_newer_one_refused(filled: Store) -> None:
    def set_format(number: int) -> None:
        filled.close()
        ask(filled, f"PRAGMA user_version = {number}")

    set_format(99)
    for call in (filled.get, lambda k: filled.put(k, arrays(0), {}), lambda _: filled.verify()):
        with pytest.raises(Failure, match=r"store has format 99 and this memviz reads 2; update memviz or set MEMV"):
            call(key(0))
    set_format(-1)
    assert filled.get(key(0)) is None
    assert (filled.root / "index.damaged-1").is_dir()
    filled.put(key(0), arrays(0), {"i": 0})
    assert right_ones(filled, range(3)) == {0}


def test_the_folder_may_go_at_any_time(filled: Store) -> None:
    shutil.rmtree(filled.root)
    assert filled.get(key(0)) is None and filled.stats().n_results == 0
    filled.put(key(1), arrays(1), {"i": 1})
    assert right_ones(filled, range(3)) == {1}
    shutil.rmtree(filled.root)
    filled.put_request(key(0), {"i": 0})
    assert filled.get_request(key(0)) == {"i": 0}
    shutil.rmtree(filled.root)
    assert filled.clear() == (0, 0) and not filled.root.exists()


def test_the_folder_may_go_while_threads_write_and_read(tmp_path: Path) -> None:
    root, errors, done = tmp_path / "store", [], threading.Event()
    store = Store(root, PLENTY)

    def work(i: int) -> None:
        while not done.is_set():
            try:
                store.put(key(i), arrays(i), {"i": i})
                right_ones(store, range(3))
            except Failure:
                pass  # the folder went five times in a row: a sentence is what there is to say
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        time.sleep(0.03)
        shutil.rmtree(root, ignore_errors=True)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    store.put(key(5), arrays(5), {"i": 5})
    assert right_ones(store, range(5, 6)) == {5}


def snapshot(root: Path) -> dict[Path, tuple[int, int, bytes]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes()) for path in files}


def test_a_layer_is_read_and_never_changed(tmp_path: Path, clock: list[float]) -> None:
    layer = Store(tmp_path / "layer", PLENTY)
    for i in range(3):
        layer.put(key(i), arrays(i), {"i": i})
    layer.put_request(key(1), {"i": 1})
    layer.close()
    truncate(blob_of(layer, 2))
    before = snapshot(layer.root)
    clock[0] += 1000
    store = Store(tmp_path / "own", 0, readonly=[tmp_path / "absent", layer.root])
    assert right_ones(store, range(4)) == {0, 1} and not store.root.exists()
    assert store.has(key(0)) and store.get_request(key(1)[:8]) == {"i": 1} and store.requests(9) == []
    store.pin(key(0))
    assert not store.delete(key(0)) and store.clear(everything=True) == (0, 0) and store.verify() == []
    store.put(key(2), arrays(2), {"i": 2})
    store.put(key(0), arrays(0), {"i": 0, "own": True})
    assert (store.get(key(0)))[1] == {"i": 0, "own": True}
    assert store.stats().layers == (tmp_path / "absent", layer.root) and store.stats().n_results == 1
    assert snapshot(layer.root) == before and not (tmp_path / "absent").exists()
    layer.put(key(3), arrays(3), {"i": 3})
    layer.close()
    assert store.get(key(3)) is not None  # a layer that grew is opened anew


def test_a_layer_that_cannot_be_read_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, content in (("garbage", b"garbage" * 999), ("newer", None)):
        layer = Store(tmp_path / name, PLENTY)
        layer.put(key(0), arrays(0), {"i": 0})
        layer.close()
        if content is None:
            ask(layer, "PRAGMA user_version = 99")
        else:
            index_of(layer).write_bytes(content)
        before = snapshot(layer.root)
        store = Store(tmp_path / "own", PLENTY, readonly=[layer.root])
        assert store.get(key(0)) is None and store.get_request("0" * 8) is None
        assert snapshot(layer.root) == before
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2
