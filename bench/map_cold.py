"""Seconds of a map nobody has made: 10,000 points of the suite's largest model, with an empty store.

The model is loaded, as a server has done behind its first page. By the clock and of the processor from asking until
the first points are shown, states are read, the map is done; beside it what plain transformers takes for one pass over
the same tokens. Aims on two quiet cores: 5 s to the first points, 15 s in all.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from memviz.maps import MapTask, PlacedPoints, Scope
from memviz.population.filters import Filters
from memviz.settings import load_settings, quiet_libraries
from memviz.store import Store
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.states import FEW
from memviz.tasks.base import Context, answer, ready


class Watch:
    """By the clock and of the processor since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()
        self.seen: dict[str, str] = {}

    def note(self, what: str) -> None:
        clock, processor = time.perf_counter() - self._start[0], time.process_time() - self._start[1]
        self.seen.setdefault(what, f"{what}: {clock:.1f} s, {processor:.1f} s of the processor")


def main() -> None:
    quiet_libraries()
    with tempfile.TemporaryDirectory() as cache:
        settings = load_settings(cache=Path(cache), offline=True)
        task = MapTask(read_sweep(SHIPPED).task.models[-1], Scope(str(SHIPPED), filters=Filters(parts=("planted",))))
        context = Context(settings, Store(Path(cache) / "results", 10**10))
        loaded = context.backend.load(ready(task.model, context), "float32")
        watch = Watch()

        def show(points: PlacedPoints) -> None:
            if not watch.seen:
                watch.note(f"first {len(points.row):,} points")

        context.show = show
        context.say = lambda stage: watch.note("states read") if stage == "finding neighbours" else None
        found = answer(task, context).result
        watch.note(f"all {len(found.row):,} points")
        plain = AutoModelForCausalLM.from_pretrained(loaded.card.folder, dtype=torch.float32)
    n_rows, n_tokens = len(set(found.row.tolist())), len(loaded.card.leading_ids) + task.scope.k + task.scope.m
    ids = torch.randint(plain.config.vocab_size, (n_rows, n_tokens), generator=torch.Generator().manual_seed(0))
    watch_plain = Watch()
    with torch.inference_mode():
        for batch in ids.split(FEW):
            plain.base_model(input_ids=batch, use_cache=False)
    watch_plain.note(f"plain transformers, one pass over {n_rows:,} rows of {n_tokens} tokens")
    print(f"{task.model}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    for line in (*watch.seen.values(), *watch_plain.seen.values()):
        print(line)


if __name__ == "__main__":
    main()
