"""Writes and hash-checked reads a second of the result store, by several processes at once."""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import tempfile
import time
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--writes", type=int, default=200, help="by each process")
    parser.add_argument("--floats", type=int, default=1000, help="float32 values in each result")
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


if __name__ == "__main__":
    main()
