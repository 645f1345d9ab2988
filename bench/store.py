"""Writes and hash-checked reads a second of the result store, by several processes at once; a put in a large one."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from memviz.store import Store


def key_of(process: int, i: int) -> str:
    return hashlib.sha256(f"{process} {i}".encode()).hexdigest()


def write(root: Path, process: int, n_writes: int, n_floats: int, start: float) -> None:
    store = Store(root, limit=2**40)
    rng = np.random.default_rng(process)
    arrays = [{"entropy": rng.standard_normal(n_floats, dtype=np.float32)} for _ in range(n_writes)]
    time.sleep(max(0.0, start - time.time()))  # starting an interpreter is not what is measured
    for i in range(n_writes):
        store.put(key_of(process, i), arrays[i], {"process": process})


def large_store(root: Path, n_results: int) -> Store:
    """A store with rows of so many results whose files are elsewhere: a put looks at no other result's file."""
    store = Store(root, limit=2**50)
    store.put(key_of(-1, 0), {}, {})
    store.close()
    meta, names = json.dumps({"model": "suite-7.6m", "note": "x" * 250}), [key_of(-2, i) for i in range(n_results - 1)]
    rows = ((name, name, 1000 + i % 977, meta, 0, float(i), float(i), i) for i, name in enumerate(sorted(names)))
    with closing(sqlite3.connect(root / "index" / "index.sqlite")) as connection, connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000")
        connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return store


def cost_of_a_put(folder: Path, sizes: list[int], n_puts: int) -> None:
    """Milliseconds a put, in the median, of stores of these sizes taken in turns; the last as a ratio to the first."""
    stores = {n: large_store(folder / str(n), n) for n in sizes}
    seconds: dict[int, list[float]] = {n: [] for n in sizes}
    array = {"entropy": np.zeros(1000, np.float32)}
    for i in range(n_puts):
        for n, store in stores.items():
            array["entropy"][0] = i
            began = time.perf_counter()
            store.put(key_of(-3, i), array, {"i": i})
            seconds[n].append(time.perf_counter() - began)
    found = {n: float(np.median(each)) for n, each in seconds.items()}
    for n, each in found.items():
        print(f"a put into {n:,} results takes {1000 * each:.2f} ms")
    print(f"ratio {found[sizes[-1]] / found[sizes[0]]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--writes", type=int, default=200, help="by each process")
    parser.add_argument("--floats", type=int, default=1000, help="float32 values in each result")
    parser.add_argument("--sizes", default="10000,1000000", help="results of the stores whose puts are compared")
    parser.add_argument("--puts", type=int, default=300, help="into each")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, start = Path(folder) / "store", time.time() + 1.0 + 0.5 * args.processes
        spawn = multiprocessing.get_context("spawn")
        writers = [
            spawn.Process(target=write, args=(root, process, args.writes, args.floats, start))
            for process in range(args.processes)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        write_seconds = time.time() - start
        keys = [key_of(process, i) for process in range(args.processes) for i in range(args.writes)]
        store = Store(root, limit=2**40)
        began = time.perf_counter()
        n_read = sum(store.get(key) is not None for key in keys)
        read_seconds = time.perf_counter() - began
        n = len(keys)
        print(f"{args.processes} processes wrote {n} results in {write_seconds:.2f} s, {n / write_seconds:.0f}/s")
        print(f"1 process read {n_read} of them in {read_seconds:.2f} s, {n_read / read_seconds:.0f}/s")
    with tempfile.TemporaryDirectory() as folder:
        cost_of_a_put(Path(folder), [int(size) for size in args.sizes.split(",")], args.puts)


if __name__ == "__main__":
    main()
