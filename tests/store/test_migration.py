"""An index of the first format becomes one of today in place; what must not be changed is read as it is."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.disks import mount, mounted
from support.store import PLENTY, arrays, ask, finish, index_of, key, make_format_1, right_ones, start

from memviz.errors import Failure
from memviz.store import Store, schema

TOTAL, SUM = "SELECT n_bytes FROM totals", "SELECT sum(n_bytes) FROM (SELECT DISTINCT blob, n_bytes FROM results)"


@pytest.fixture
def old(store: Store, clock: list[float]) -> Store:
    """Results 0 to 5 in an index of the first format, used in the order 3, 4, 5, 0, 1, 2; 4 is pinned."""
    for i in (3, 4, 5, 0, 1, 2):
        clock[0] += 100
        store.put(key(i), arrays(0), {"i": i}) if i == 5 else store.put(key(i), arrays(i), {"i": i})
    store.put_request(key(9), {"i": 9})
    store.pin(key(4))
    make_format_1(store)
    return store


def there(store: Store) -> set[int]:
    return {i for i in range(10) if store.has(key(i))}


def test_an_index_of_the_first_format_becomes_one_of_today(old: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert right_ones(old, (0, 1, 2, 3, 4)) == {0, 1, 2, 3, 4} and old.get_request(key(9)) == {"i": 9}
    assert (
        ask(old, "PRAGMA user_version") == schema.FORMAT and not list(old.root.glob("index.*")) and not caplog.records
    )
    assert old.stats().n_pinned == 1 and old.stats().n_results == 6
    assert ask(old, TOTAL) == ask(old, SUM) == sum(path.stat().st_size for path in old.root.glob("blobs/*/*"))
    made = Store(old.root.parent / "made", PLENTY)
    made.put(key(0), {}, {})
    shape = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master WHERE name != 'results' ORDER BY name)"
    assert ask(old, shape) == ask(made, shape)
    columns = "SELECT group_concat(name || type) FROM pragma_table_info('results')"
    assert ask(old, columns) == ask(made, columns)


def test_what_was_used_last_is_known_from_before(old: Store) -> None:
    old.limit = old.stats().n_bytes + arrays(6)["x"].nbytes - 1
    old.put(key(6), arrays(6), {"i": 6})
    assert there(old) == {0, 1, 2, 4, 5, 6}  # 3 was the oldest; 4 is pinned
    old.put(key(7), arrays(7), {"i": 7})
    assert there(old) == {1, 2, 4, 6, 7}  # 5 shares its file with 0, so both go


@pytest.mark.parametrize("reopened", [False, True])
def test_a_migration_that_fails_changes_nothing(old: Store, monkeypatch: pytest.MonkeyPatch, reopened: bool) -> None:
    before = index_of(old).read_bytes()
    with monkeypatch.context() as patch:
        patch.setitem(schema.MIGRATIONS, 1, schema.MIGRATIONS[1] + "INSERT INTO nowhere VALUES (1);")
        assert right_ones(old, (0, 1)) == {0, 1} and old.get_request(key(9)) == {"i": 9}
        with pytest.raises(Failure, match=r"cannot be written .*nowhere"):
            old.put(key(7), arrays(7), {"i": 7})
        old.close()
        assert ask(old, "PRAGMA user_version") == 1 and index_of(old).read_bytes() == before
    store = Store(old.root, PLENTY) if reopened else old
    store.put(key(7), arrays(7), {"i": 7})
    assert right_ones(store, (0, 1, 7)) == {0, 1, 7}


def test_a_read_only_disk_and_a_layer_are_read_as_they_are(tmp_path: Path, clock: list[float]) -> None:
    with mounted(tmp_path / "disk", "2m") as disk:
        store = Store(disk / "store", PLENTY)
        store.put(key(0), arrays(0), {"i": 0})
        make_format_1(store)
        clock[0] += 1000
        above = Store(tmp_path / "own", PLENTY, readonly=[store.root])
        assert right_ones(above, (0, 1)) == {0} and ask(store, "PRAGMA user_version") == 1
        assert mount("-o", "remount,ro", str(disk))
        assert right_ones(store, (0, 1)) == {0} and store.stats().n_results == 1


def test_many_that_open_an_old_index_at_once(old: Store) -> None:
    script = (
        'store = Store(root, limit); store.put(key(int(sys.argv[3])), arrays(7), {"i": 7}); print(store.has(key(0)))'
    )
    others = [start(script, old.root, 10 + i) for i in range(3)]
    stores = [Store(old.root, PLENTY) for _ in range(8)]
    threads = [threading.Thread(target=each.put, args=(key(20 + i), arrays(8), {})) for i, each in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [finish(other).strip() for other in others] == ["True"] * 3
    assert old.stats().n_results == 6 + 3 + 8 and ask(old, TOTAL) == ask(old, SUM)
    assert not list(old.root.glob("index.damaged*"))


@pytest.mark.parametrize("seed", range(3))
def test_the_total_is_the_sum_whatever_is_done(tmp_path: Path, seed: int) -> None:
    """Results share files: there are 4 contents for 12 keys."""
    rng, store = random.Random(seed), Store(tmp_path, 3 * 900)
    store.put(key(0), {}, {})
    for _ in range(120):
        i = rng.randrange(12)
        match rng.randrange(6):
            case 0 | 1 | 2:
                store.put(key(i), {"x": np.full(100, rng.randrange(4), np.int64)}, {})
            case 3:
                store.delete(key(i))
            case 4:
                store.clear() if rng.random() < 0.2 else store.get(key(i))
            case _:
                store.unpin(key(i)) if rng.random() < 0.5 or not store.has(key(i)) else store.pin(key(i))
        there = sum(path.stat().st_size for path in tmp_path.glob("blobs/*/*"))
        assert ask(store, TOTAL) == (ask(store, SUM) or 0) == there == store.stats().n_bytes


def test_a_total_that_is_wrong_is_mended(filled: Store) -> None:
    filled.close()
    with closing(sqlite3.connect(index_of(filled))) as connection, connection:
        connection.execute("UPDATE totals SET n_bytes = 7")
    (finding,) = filled.verify()
    assert finding.problem.startswith("had a total of 7 bytes for files of 24,") and filled.verify() == []


def test_the_clock_may_step(tmp_path: Path, clock: list[float]) -> None:
    """Twenty results; the clock goes an hour back; ten are used; five new ones push out what was not used."""
    store = Store(tmp_path, PLENTY)
    for i in range(20):
        clock[0] += 1
        store.put(key(i), {"x": np.full(1000, i, np.int64)}, {"i": i})
    store.limit = store.stats().n_bytes
    clock[0] -= 3600
    for i in range(10):
        store.get(key(i))
    for i in range(20, 25):
        store.put(key(i), {"x": np.full(1000, i, np.int64)}, {"i": i})
    assert {i for i in range(25) if store.has(key(i))} == {*range(10), *range(15, 25)}
