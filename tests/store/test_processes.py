"""Several processes and threads on one store, killed at any instant."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest
from support.store import PLENTY, arrays, finish, key, right_ones, start

from memviz.store import Store


def test_processes_share_keys(tmp_path: Path) -> None:
    script = """
store = Store(root, limit)
print("ready", flush=True)
sys.stdin.readline()
first = int(sys.argv[3])
for i in [*range(first, first + 20), *range(1000, 1010)]:
    store.put(key(i), arrays(i), {"i": i})
    store.put_request(key(i), {"i": i})
    for j in (i, 1000 + i % 10, i % 80):
        found = store.get(key(j))
        assert (found is None and j != i) or same(found, j)
"""
    writers = [start(script, tmp_path / "store", 20 * n) for n in range(4)]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    for writer in writers:  # all meet an absent folder at once
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        finish(writer)
    store = Store(tmp_path / "store", PLENTY)
    assert right_ones(store, range(80)) == set(range(80))
    assert right_ones(store, range(1000, 1010)) == set(range(1000, 1010))
    assert store.verify() == [] and store.stats().n_results == 90 and store.stats().n_requests == 90
    assert not list(store.root.glob("index.damaged*"))


def test_processes_evict_under_each_other(tmp_path: Path) -> None:
    script = """
store = Store(root, limit)
for i in range(40):
    store.put(key(i), arrays(i), {"i": i})
    found = store.get(key(i // 2))
    assert found is None or same(found, i // 2)
"""
    writers = [start(script, tmp_path, limit=100_000) for _ in range(3)]
    for writer in writers:
        finish(writer)
    store = Store(tmp_path, 100_000)
    left = right_ones(store, range(40))
    sizes = [path.stat().st_size for path in tmp_path.glob("blobs/*/*")]
    assert left and store.verify() == [] and store.stats().n_quarantined == 0
    assert sum(sizes) == store.stats().n_bytes <= 100_000 and len(sizes) == len(left)


def test_a_file_that_another_process_removes_before_its_row_is_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, times = store._files.write, []

    def write_and_lose(name: str, content: bytes) -> None:
        write(name, content)
        times.append(name)
        if len(times) < 3:
            store._files.path(name).unlink()

    monkeypatch.setattr(store._files, "write", write_and_lose)
    store.put(key(0), arrays(0), {"i": 0})
    assert right_ones(store, range(1)) == {0}
    assert len(times) == 3


@pytest.mark.parametrize("limit", [PLENTY, 60_000], ids=["growing", "evicting"])
def test_kill_at_any_instant(tmp_path: Path, limit: int) -> None:
    script = """
store = Store(root, limit)
i = int(sys.argv[3])
while True:
    store.put(key(i), arrays(i), {"i": i})
    print(i, flush=True)
    i += 1
"""
    rng = random.Random(0)
    acknowledged: set[int] = set()
    for round_ in range(2):
        writers = [start(script, tmp_path, 10_000 * (3 * round_ + n), limit=limit) for n in range(3)]
        for writer in writers:
            assert writer.stdout and writer.stdout.readline()
        for writer in writers:
            time.sleep(rng.uniform(0, 0.15))
            writer.kill()
        for writer in writers:
            assert writer.stdout
            lines = writer.stdout.read().splitlines(keepends=True)  # communicate would lose what is buffered
            acknowledged |= {int(line) for line in lines if line.endswith("\n")}
            writer.communicate()
        store = Store(tmp_path, limit)
        numbers = {i for first in range(0, 60_000, 10_000) for i in range(first, first + 2000)}
        there = {i for i in numbers if store.has(key(i))}
        right = right_ones(store, there)
        if limit == PLENTY:
            assert acknowledged <= there == right
        assert right and store.stats().n_quarantined == 0
        store.close()
    # an evicting writer may die between the file and the row; nothing else is ever missing, and nothing is damaged
    if limit == PLENTY:
        assert all("no result needs" in finding.problem for finding in Store(tmp_path, limit).verify())
    assert acknowledged


def test_threads_share_one_store(filled: Store) -> None:
    errors = []

    def work(first: int) -> None:
        try:
            for i in range(first, first + 10):
                filled.put(key(i), arrays(i), {"i": i})
                assert right_ones(filled, range(i, i + 1)) == {i}
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and filled.stats().n_results == 60 and filled.verify() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_connections_of_its_own(tmp_path: Path) -> None:
    script = """
store = Store(root, limit)
for i in range(0, 20, 2):
    store.put(key(i), arrays(i), {"i": i})
    inherited = {id(opened.connection) for opened in store._index._idle}
    child = os.fork()
    if not child:
        store.put(key(i + 1), arrays(i + 1), {"i": i + 1})
        assert inherited and not inherited & {id(opened.connection) for opened in store._index._idle}
        os._exit(0 if store.get(key(i)) else 1)
    store.put(key(i), arrays(i), {"i": i})
    assert os.waitpid(child, 0)[1] == 0 and store.get(key(i + 1))
"""
    finish(start(script, tmp_path))
    store = Store(tmp_path, PLENTY)
    assert right_ones(store, range(20)) == set(range(20)) and store.verify() == []
