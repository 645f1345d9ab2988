"""Seconds of a map nobody has made: 10,000 points of the suite's largest model, empty store, in a fresh process.

By the clock and of the processor, until the first points are shown, states are read, the map is done; imports and the
loading of the model included. Aims on two quiet cores: 5 s to the first points, 15 s in all.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import torch

from memviz.maps import MapTask, PlacedPoints, Scope
from memviz.population.filters import Filters
from memviz.settings import load_settings, quiet_libraries
from memviz.store import Store
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.tasks.base import Context, answer


def main() -> None:
    quiet_libraries()
    clock, processor = time.perf_counter(), time.process_time()
    seen: dict[str, tuple[float, float]] = {}

    def note(what: str) -> None:
        seen.setdefault(what, (time.perf_counter() - clock, time.process_time() - processor))

    def show(points: PlacedPoints) -> None:
        note(f"first {len(points.row):,} points" if not seen else "")

    def say(stage: str) -> None:
        if stage == "finding neighbours":
            note("states read")

    with tempfile.TemporaryDirectory() as cache:
        settings = load_settings(cache=Path(cache), offline=True)
        task = MapTask(read_sweep(SHIPPED).task.models[-1], Scope(str(SHIPPED), filters=Filters(parts=("planted",))))
        found = answer(task, Context(settings, Store(Path(cache) / "results", 10**10), say=say, show=show)).result
    note(f"all {len(found.row):,} points")
    print(f"{task.model}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    for what, (seconds, busy) in seen.items():
        if what:
            print(f"{what}: {seconds:.1f} s, {busy:.1f} s of the processor")


if __name__ == "__main__":
    main()
