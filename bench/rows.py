"""Preparing a sweep's rows: seconds per 100,000 rows and peak memory at growing numbers of rows, as ratios of one run.

Rows are random ids, a fifth of them copied in part from an earlier one, so that near-duplicates and chains arise. Each
number of rows is prepared by a process of its own; memory is its largest resident size, and that of it and its helpers
together, which start at about 33,000 rows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from memviz.demo.suite import SUITE_FOLDER
from memviz.sweeps import RowSet
from memviz.sweeps.preparing import prepare_rows
from memviz.tokenizer import Tokenizer

BLOCK = 10_000
IDS = (5, 4096)


def write_rows(path: Path, n: int, length: int) -> None:
    """Rows of ids as Parquet, block by block."""
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema({"ids": pa.list_(pa.int32())})) as writer:
        for start in range(0, n, BLOCK):
            ids = rng.integers(*IDS, (min(BLOCK, n - start), length)).astype(np.int32)
            copies = rng.choice(len(ids) - 1, len(ids) // 5, replace=False) + 1
            half = length // 2
            ids[copies, :half] = ids[rng.integers(0, copies), half : 2 * half]
            lists = pa.FixedSizeListArray.from_arrays(pa.array(ids.ravel()), length).cast(pa.list_(pa.int32()))
            writer.write_table(pa.table({"ids": lists}))


def prepare(path: Path, groups: str) -> None:
    tokenizer = Tokenizer(SUITE_FOLDER / "corpus", [])
    start = time.perf_counter()
    rows = prepare_rows(
        RowSet(str(path), groups=groups), path.with_name("rows.parquet"), 64, tokenizer, tokenizer.n_ids, print
    )
    print(rows.n, time.perf_counter() - start)


def peaks_of(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Bytes that a process held at most until it ended, and it and those it started together."""
    alone = together = 0
    root = psutil.Process(process.pid)
    while process.poll() is None:
        held = []
        for each in (root, *_children(root)):
            try:
                held.append(each.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
        alone, together = max(alone, *held[:1], 0), max(together, sum(held))
        time.sleep(0.05)
    return alone, together


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def cpu_seconds() -> float:
    """Of processes that have ended, and those they started: hardly changed by other work beside them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--groups", default="near-duplicates")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.file:
        prepare(args.file, args.groups)
        return
    print("     rows  seconds  s per 100,000  CPU s per 100,000  MB alone  MB in all   as ratios to the line above")
    before: tuple[float, ...] = ()
    for n in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "source.parquet"
            write_rows(path, n, args.length)
            used = cpu_seconds()
            command = [sys.executable, __file__, "--file", str(path), "--groups", args.groups]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                alone, together = peaks_of(process)
                assert process.stdout is not None
                seconds = float(process.stdout.read().split()[-1])
        found = (seconds / n, (cpu_seconds() - used) / n, float(alone), float(together))
        ratios = " ".join(f"{now / then:6.2f}" for now, then in zip(found, before, strict=False))
        print(
            f"{n:9,}  {seconds:7.1f}  {1e5 * found[0]:13.1f}  {1e5 * found[1]:17.1f}  "
            f"{alone / 1e6:8.0f}  {together / 1e6:9.0f}  {ratios}",
            flush=True,
        )
        before = found


if __name__ == "__main__":
    main()
