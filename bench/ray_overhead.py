"""What Ray costs a sweep: two workers on this machine against one process here, per batch of 128 rows.

Needs `requirements-ray.txt`. Rows of the bundled corpus under one model of the suite, k = m = 32, one thread a worker.
The driver's processor time is that of this process; what it spends on tables is seen by writing them again from the
stored batches, and the rest of it is Ray's and ours. Compute is the workers' own time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from memviz.cli.shared import context_for
from memviz.settings import load_settings
from memviz.store import Store
from memviz.sweeps import RowSet, SweepTask, run_sweep
from memviz.sweeps.ray.engine import RayEngine, ray_engine
from memviz.sweeps.running import BATCH
from memviz.tasks.base import Context


def timed(task: SweepTask, context: Context, folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of this process, of a sweep."""
    clock, cpu = time.perf_counter(), time.process_time()
    run_sweep(task, context, folder)
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--model", default="suite-7.6m")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    task = SweepTask((args.model,), RowSet(sample=args.rows), contexts=(32,), continuations=(32,))
    n = -(-args.rows // BATCH)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = load_settings(cache=folder / "cache", device="cpu")
        here = context_for(settings)
        local_seconds, local_cpu = timed(task, replace(here, store=Store(folder / "one", 10**10)), folder / "local")
        apart = replace(here, store=Store(folder / "two", 10**10))
        with ray_engine("local", args.workers, 0, apart) as workers:
            seconds, cpu = timed(task, workers, folder / "ray")
            assert isinstance(workers.engine, RayEngine)
            compute = workers.engine.seconds
        _, tables = timed(task, apart, folder / "again")
        same = all(
            (folder / "local" / f"{each}.parquet").read_bytes() == (folder / "ray" / f"{each}.parquet").read_bytes()
            for each in ("rows", "sequences")
        )
    print(
        f"{n} batches of {BATCH} rows, {args.model}: local {local_seconds:.1f} s ({local_cpu:.1f} s of processor time)"
    )
    print(f"{args.workers} workers {seconds:.1f} s; they computed {compute / n:.3f} s a batch; tables equal: {same}")
    print(f"driver: {1e3 * cpu / n:.1f} ms of processor time a batch, {1e6 * cpu / args.rows:.0f} us a row, of which")
    print(f"tables {1e3 * tables / n:.1f} ms; the rest is {(cpu - tables) / compute:.2%} of the compute")


if __name__ == "__main__":
    main()
