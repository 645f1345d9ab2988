"""Putting, getting, forgetting: what a store holds and for how long."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.store import PLENTY, arrays, ask, blob_of, finish, key, start

from memviz.store import Store, request_hash


def test_the_hash_is_that_of_canonical_json() -> None:
    request = {"b": [1, 2], "a": {"y": None, "x": 0.5}}
    text = '{"a":{"x":0.5,"y":null},"b":[1,2]}'
    assert request_hash(request) == hashlib.sha256(text.encode()).hexdigest()
    assert request_hash({"a": {"x": 0.5, "y": None}, "b": (1, 2)}) == request_hash(request)
    others = [request | {"b": [2, 1]}, request | {"b": [1, 2, 3]}, request | {"c": None}, request | {"b": [1.5, 2]}, {}]
    assert len({request_hash(other) for other in [request, *others]}) == 6


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), [1, {"x": float("inf")}], np.int64(3), {1, 2}])
def test_what_json_cannot_hold_is_refused_by_name(store: Store, value: object) -> None:
    for call in (
        lambda: request_hash({"seed": value}),
        lambda: store.put(key(0), {}, {"seed": value}),
        lambda: store.put_request(key(0), {"seed": value}),
    ):
        with pytest.raises(ValueError, match=r"\['seed'\] = .* cannot be kept as JSON .*; use null"):
            call()
    assert not store.root.exists()


@pytest.mark.parametrize("bad", ["", "abc", "../" * 22, "A" * 64, "g" * 64])
def test_a_key_is_a_hash(store: Store, bad: str) -> None:
    for call in (store.get, store.has, store.pin, store.unpin, store.delete, lambda k: store.put(k, {}, {})):
        with pytest.raises(ValueError, match="expected 64 hex characters"):
            call(bad)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5), np.float32),
        np.zeros((3, 0, 2), np.int32),
        np.float32(0.25),
        np.array(True),
        np.array([[True, False]]),
        np.array([2**62, -1]),
        np.array([np.nan, -np.inf, 1e-45], np.float32),
        np.array([0.1, 65504], np.float16),
        np.arange(12, dtype=np.float64).reshape(3, 4).T,
        np.arange(24, dtype=np.int64).reshape(2, 3, 4)[:, ::-1, ::2],
        np.array([1, 256], ">i4"),
        np.arange(5, dtype=np.uint8),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_come_back_as_they_were(store: Store, array: np.ndarray) -> None:
    store.put(key(0), {"a": array, "b.c": np.arange(3)}, {"seconds": 0.5, "name": "é\ud800"})
    back, meta = store.get(key(0)) or pytest.fail("not stored")
    assert sorted(back) == ["a", "b.c"] and meta == {"seconds": 0.5, "name": "é\ud800"}
    assert back["a"].dtype == np.asarray(array).dtype.newbyteorder("=") and back["a"].shape == np.shape(array)
    np.testing.assert_array_equal(back["a"], array)


def test_no_arrays_is_a_result_too(store: Store) -> None:
    store.put(key(0), {}, {})
    assert store.get(key(0)) == ({}, {})


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["text"]), np.array([1j])])
def test_other_dtypes_are_refused(store: Store, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"array 'a': dtype .* cannot be stored; use one of bool, "):
        store.put(key(0), {"a": array}, {})


def test_a_result_is_one_safetensors_file_named_by_its_content(filled: Store) -> None:
    path = blob_of(filled, 2)
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(load_file(path)["x"], arrays(2)["x"])


def test_a_result_is_on_the_disk_before_it_is_named(store: Store, synced: list[str]) -> None:
    store.put(key(0), arrays(0), {})
    assert synced == ["file", "folder"]


def test_putting_a_key_again_replaces_it_and_keeps_the_pin(store: Store) -> None:
    store.put(key(0), arrays(0), {"i": 0})
    store.pin(key(0))
    store.put(key(0), arrays(0), {"i": 0})
    store.put(key(0), arrays(5), {"i": 5})
    assert (store.get(key(0)))[1] == {"i": 5}
    stats = store.stats()
    assert (stats.n_results, stats.n_pinned) == (1, 1)
    (path,) = store.root.glob("blobs/*/*")
    assert stats.n_bytes == path.stat().st_size


def test_reading_makes_nothing(store: Store) -> None:
    assert store.get(key(0)) is None and not store.has(key(0)) and store.get_request("0" * 8) is None
    assert store.requests(5) == [] and store.verify() == [] and store.clear(everything=True) == (0, 0)
    assert not store.delete(key(0))
    store.unpin(key(0))
    stats = store.stats()
    assert (stats.n_results, stats.n_bytes, stats.n_pinned, stats.n_quarantined, stats.n_requests) == (0,) * 5
    assert not store.root.exists()


def test_importing_the_store_imports_no_torch(tmp_path: Path) -> None:
    script = "print([name for name in ('torch', 'streamlit', 'safetensors.torch') if name in sys.modules])"
    assert finish(start(script, tmp_path)).strip() == "[]"


def same_size(i: int) -> dict[str, np.ndarray]:
    return {"x": np.full(1000, i, np.int64)}


def test_the_least_recently_used_go_first_and_pins_stay(tmp_path: Path, clock: list[float]) -> None:
    def put(i: int) -> None:
        clock[0] += 100
        store.put(key(i), same_size(i), {})

    store = Store(tmp_path, PLENTY)
    put(0)
    size = store.stats().n_bytes
    store.limit = 4 * size + 1
    for i in (1, 2, 3):
        put(i)
    clock[0] += 100
    store.get(key(0))
    store.pin(key(1))
    for i, there in ((4, {0, 1, 3, 4}), (5, {0, 1, 4, 5}), (6, {1, 4, 5, 6})):
        put(i)
        assert {j for j in range(7) if store.has(key(j))} == there
    assert len(list(tmp_path.glob("blobs/*/*"))) == 4
    store.unpin(key(1))
    put(7)
    assert {j for j in range(8) if store.has(key(j))} == {4, 5, 6, 7}
    store.limit = 0
    put(8)
    assert {j for j in range(9) if store.has(key(j))} == {8}


def test_a_read_within_a_minute_writes_nothing(store: Store, clock: list[float]) -> None:
    store.put(key(0), arrays(0), {})
    for now, used in ((1059.0, 1000.0), (1061.0, 1061.0), (1100.0, 1061.0)):
        clock[0] = now
        store.get(key(0))
        assert ask(store, "SELECT last_used FROM results") == used


def test_a_shared_file_goes_with_its_last_key(store: Store) -> None:
    for i in range(3):
        store.put(key(i), arrays(0), {"i": i})
    (path,) = store.root.glob("blobs/*/*")
    assert store.stats().n_bytes == path.stat().st_size
    assert store.delete(key(0)) and not store.delete(key(0))
    assert path.exists() and (store.get(key(1)))[1] == {"i": 1}
    store.put(key(1), arrays(1), {})
    assert path.exists()
    store.delete(key(2))
    assert not path.exists() and store.stats().n_results == 1


def test_clear_spares_pins_and_requests_unless_everything_goes(filled: Store) -> None:
    filled.pin(key(1))
    filled.put_request(key(9), {"i": 9})
    blob_of(filled, 0).write_bytes(b"")
    assert filled.get(key(0)) is None
    n_bytes = [blob_of(filled, i).stat().st_size for i in (1, 2)]
    assert filled.clear() == (1, n_bytes[1])
    assert filled.has(key(1)) and filled.get_request(key(9)) == {"i": 9} and filled.stats().n_quarantined == 1
    n_freed = filled.clear(everything=True)
    assert n_freed[0] == 1 and n_freed[1] > n_bytes[0]
    stats = filled.stats()
    assert (stats.n_results, stats.n_bytes, stats.n_quarantined, stats.n_requests) == (0, 0, 0, 0)
    assert not list(filled.root.rglob("*.safetensors"))


def test_pinning_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match=r"is not in the store .*; compute it before pinning it"):
        store.pin(key(0))


def test_requests_are_found_by_prefix_newest_first(store: Store, clock: list[float]) -> None:
    keys = ["ab" * 32, "ab" * 4 + "cd" * 28, "f" * 64]
    for i, k in enumerate(keys):
        clock[0] += 1
        store.put_request(k, {"i": i, "ids": [1, 2]})
    assert store.get_request(keys[0]) == {"i": 0, "ids": [1, 2]}
    assert store.get_request("abababab" + "c") == {"i": 1, "ids": [1, 2]}
    assert store.get_request("ffffffff") == {"i": 2, "ids": [1, 2]} and store.get_request("0" * 64) is None
    with pytest.raises(ValueError, match=r"request abababab is ambiguous: abab.* and abab.*; give more characters"):
        store.get_request("abababab")
    for bad in ("", "fffffff", "fffffffg", "%" * 8, "F" * 8, "f" * 65):
        with pytest.raises(ValueError, match="expected at least the first 8 hex characters"):
            store.get_request(bad)
    clock[0] += 1
    store.put_request(keys[0], {"i": 0})
    assert [(r.key, r.request["i"], r.created) for r in store.requests(2)] == [(keys[0], 0, 1004), (keys[2], 2, 1003)]
    assert store.stats().n_requests == 3 and store.stats().n_results == 0


def test_what_is_put_or_read_under_a_hold_does_not_go_and_older_results_do(tmp_path: Path, clock: list[float]) -> None:
    store = Store(tmp_path, PLENTY)
    for i in range(4):
        clock[0] += 100
        store.put(key(i), same_size(i), {})
    other = Store(tmp_path, 4 * store.stats().n_bytes // 4)  # of another process, as it were
    clock[0] += 100
    with store.holding():
        store.get(key(0))
        for i in (4, 5, 6, 7):
            clock[0] += 100
            other.put(key(i), same_size(i), {})
        assert {i for i in range(8) if store.has(key(i))} == {0, 4, 5, 6, 7}, (
            "over the limit, but nothing of it is lost"
        )
    clock[0] += 100
    other.put(key(8), same_size(8), {})
    assert {i for i in range(9) if store.has(key(i))} == {5, 6, 7, 8}
    assert not list((tmp_path / "holds").iterdir())
