"""Tiny models, a backend and a store for tests of sweeps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.model_folders import VOCAB
from support.tasks import context_of
from support.tiny_models import plain_generate

from memviz.catalog import find_model
from memviz.engine.backend import Backend
from memviz.engine.loading import Loaded
from memviz.engine.preparing import prepare
from memviz.settings import Settings, load_settings
from memviz.store import Store
from memviz.sweeps import RowSet, Sweep, SweepTask, run_sweep
from memviz.sweeps.running import BATCH
from memviz.tasks.base import Answer, Context, Task, answer
from memviz.tasks.trace import tokenizer_of


@dataclass(frozen=True)
class Lab:
    """Models `tiny` and `tiny-bos`, one backend, one store; files in `folder`."""

    folder: Path
    settings: Settings
    backend: Backend
    store: Store

    def loaded(self, model: str) -> Loaded:
        return self.backend.load(prepare(find_model(model, self.settings), self.settings), "float32")

    def context(self, store: Store | None = None, **told: Any) -> Context:
        """With report, say and show."""
        return context_of(self.backend, store or self.store, **told)

    def answer(self, task: Task[Any], **told: Any) -> Answer[Any]:
        return answer(task, self.context(**told))

    def sweep(self, task: SweepTask, out: str = "out", batch: int = BATCH, **told: Any) -> Sweep:
        return run_sweep(task, self.context(**told), self.folder / out, batch)

    def text(self, ids: list[int], model: str = "tiny") -> bytes:
        """The bytes that ids of a model stand for."""
        return tokenizer_of(prepare(find_model(model, self.settings), self.settings), self.settings).to_bytes(ids)

    def generate(self, model: str, context_ids: list[int], m: int) -> list[int]:
        """What transformers itself writes after one row alone."""
        return plain_generate(self.loaded(model), torch.tensor([context_ids]), m)[0].tolist()

    def rows(
        self, n: int, lengths: tuple[int, ...] = (40,), model: str = "tiny", leading: list[int] | None = None
    ) -> list[list[int]]:
        """Rows whose ends are what the model writes, some with a token changed: scores from 0 to 1 come up."""
        rng = np.random.default_rng(0)
        starts = rng.integers(6, VOCAB, (n, 8))
        before = np.array(leading or [], int)
        contexts = torch.from_numpy(np.concatenate([np.tile(before, (n, 1)), starts], axis=1))
        written = plain_generate(self.loaded(model), contexts, max(lengths) - 8).numpy()
        found = []
        for number in range(n):
            length = lengths[number % len(lengths)]
            ids = [*starts[number].tolist(), *written[number, : length - 8].tolist()]
            if number % 3:
                ids[int(rng.integers(8, length))] = int(rng.integers(6, VOCAB))
            if number % 4 == 3:
                ids[8:] = rng.integers(6, VOCAB, length - 8).tolist()
            found.append(ids)
        return found

    def jsonl(self, rows: list[list[int]], name: str = "rows.jsonl", **columns: list[Any]) -> str:
        """A file of rows of ids with further columns."""
        lines = [
            json.dumps({"ids": ids} | {column: values[number] for column, values in columns.items()})
            for number, ids in enumerate(rows)
        ]
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return str(self.folder / name)


def lab_settings(home: Path) -> Settings:
    return load_settings(cache=home / "cache", model_roots=(home / "models",), device="cpu", resident_models=4)


def lab_in(folder: Path, backend: Backend) -> Lab:
    return Lab(folder, backend.settings, backend, Store(folder / "results", 10**9))


def small_task(
    source: str, models: tuple[str, ...] = ("tiny",), rows: dict[str, Any] | None = None, **options: Any
) -> SweepTask:
    """k of 4, 8, 16 at m = 8 and m of 4, 8, 16, 24 at k = 8."""
    sizes: dict[str, Any] = {
        "contexts": (4, 8, 16),
        "continuations": (4, 8, 16, 24),
        "context_at": 8,
        "continuation_at": 8,
    }
    return SweepTask(models, RowSet(source, **rows or {}), **sizes | options)
