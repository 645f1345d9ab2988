"""A finished sweep of a tiny model, some of whose rows it writes itself; made once for all tests here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.model_folders import VOCAB, write_model
from support.sweeps import Lab, lab_in, lab_settings
from support.tiny_models import plain_generate

from memviz.engine.backend import Backend
from memviz.sweeps import RowSet, Sweep, SweepTask

K, M, N = 8, 16, 120


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    home = tmp_path_factory.mktemp("home")
    for name in ("tiny", "tiny-bos"):
        write_model(home / "models" / name, tokenizer="bos" if name.endswith("bos") else "plain")
    write_model(home / "models" / "twin", family="gpt_neox")
    return lab_in(home, Backend(lab_settings(home)))


@pytest.fixture(scope="session")
def rows(lab: Lab) -> list[list[int]]:
    """Rows that `tiny` writes to the end, to a place in the middle, or not at all."""
    generator = np.random.default_rng(0)
    start = torch.from_numpy(generator.integers(6, VOCAB, (N, K)))
    ids = torch.cat([start, plain_generate(lab.loaded("tiny"), start, M)], dim=1).numpy()
    for number in range(N):
        first = (K + M, K + int(generator.integers(M)), K)[number % 3]
        ids[number, first:] = generator.integers(6, VOCAB, K + M - first)
    return ids.tolist()


@pytest.fixture(scope="session")
def sweep(lab: Lab, rows: list[list[int]]) -> Sweep:
    task = SweepTask(
        ("tiny", "twin"),
        RowSet(lab.jsonl(rows)),
        contexts=(),
        continuations=(4, M),
        context_at=K,
        positions=True,
    )
    return lab.sweep(task, "sweep")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path
