"""Finished sweeps made by hand: whatever rows, generations and entropies a test wants, in the files of a real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from memviz.sweeps import RowSet, Sweep, SweepTask, read_sweep
from memviz.sweeps.results import FORMAT

ROW = 128


@dataclass
class Asked:
    """One model under one condition."""

    model: str
    match: np.ndarray
    """(n, M) bool: what it gets right."""
    k: int = 32
    start: int = 0
    mode: str = "sliding"
    entropy: np.ndarray | None = None
    """(n, k + M) teacher-forced and free-running; None leaves positions out."""
    on_context: bool = False
    on_continuation: bool = False


@dataclass
class Made:
    """A sweep to be written."""

    ids: np.ndarray
    """(n, 128)."""
    asked: Sequence[Asked]
    n_parameters: dict[str, int]
    about: dict[str, Sequence[Any]] = field(default_factory=dict)
    """Columns about rows, in place of the defaults."""
    source: str = "suite"

    def write(self, folder: Path) -> Sweep:
        folder.mkdir()
        n = len(self.ids)
        about = {
            "row": np.arange(n),
            "domain": ["prose"] * n,
            "bucket": np.full(n, 4),
            "background": np.zeros(n, bool),
            "group": np.arange(n),
            "template": ["none"] * n,
            "memorization_class": ["recollect"] * n,
        } | self.about
        rows = pd.DataFrame(about).assign(ids=list(self.ids), n_tokens=ROW)
        rows.to_parquet(folder / "rows.parquet")
        sequences = pd.concat([self._sequences(rows, each) for each in self.asked], ignore_index=True)
        sequences.to_parquet(folder / "sequences.parquet")
        positions = [self._positions(rows, each) for each in self.asked if each.entropy is not None]
        names = ["rows", "sequences"]
        if positions:
            pd.concat(positions, ignore_index=True).to_parquet(folder / "positions.parquet")
            names.append("positions")
        task = SweepTask(tuple(self.n_parameters), RowSet(self.source), positions=bool(positions))
        facts = {"family": "f", "step": 10, "n_steps": 10, "seed": 0, "weights": "0" * 64}
        models = [{"name": name, "size": name, "n_parameters": p, **facts} for name, p in self.n_parameters.items()]
        manifest = {
            "format": FORMAT,
            "request": task.request(),
            "rows": {"n": n, "n_malformed": 0, "sha256": "1" * 64},
            "engine": 1,
            "skipped": [],
            "provenance": {"seconds": 0.0, "created": "2026-01-01T00:00:00+00:00"},
            "models": models,
            "tables": {name: _about(folder, name) for name in names},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return read_sweep(folder)

    def _truth(self, each: Asked) -> np.ndarray:
        first = each.start + each.k
        return self.ids[:, first : first + each.match.shape[1]]

    def _sequences(self, rows: pd.DataFrame, each: Asked) -> pd.DataFrame:
        n, m = each.match.shape
        written = np.where(each.match, self._truth(each), self._truth(each) + 1)
        entropy = np.full((n, each.k + m), 1.0) if each.entropy is None else each.entropy
        table = rows.drop(columns=["ids", "n_tokens"]).assign(
            model=each.model,
            mode=each.mode,
            k=each.k,
            start=each.start,
            m=m,
            on_context_curve=each.on_context,
            on_continuation_curve=each.on_continuation,
            matches=list(each.match),
            generated_ids=list(written),
            entropy_before=entropy[:, each.k - 1],
            entropy_at=entropy[:, each.k],
        )
        for length in (16, 32, 48, 64, 96):
            hits = each.match[:, :length].sum(axis=1).astype(float)
            table[f"n_matches_{length}"] = hits if length <= m else np.nan
        return table

    def _positions(self, rows: pd.DataFrame, each: Asked) -> pd.DataFrame:
        n, p = each.entropy.shape
        return pd.DataFrame(
            {
                "model": each.model,
                "row": np.repeat(rows["row"].to_numpy(), p),
                "mode": each.mode,
                "k": each.k,
                "index": np.tile(np.arange(p), n),
                "free_running_entropy": each.entropy.ravel(),
                "teacher_forced_entropy": each.entropy.ravel(),
            }
        )


def _about(folder: Path, table: str) -> dict[str, Any]:
    file = pq.ParquetFile(folder / f"{table}.parquet")
    columns = {field.name: str(field.type) for field in file.schema_arrow}
    return {"file": f"{table}.parquet", "n_rows": file.metadata.num_rows, "columns": columns}


@pytest.fixture
def made_sweep(tmp_path: Path) -> Callable[..., Sweep]:
    """Writes a `Made`; the folder is new each time."""
    n = 0

    def write(**values: Any) -> Sweep:
        nonlocal n
        n += 1
        return Made(**values).write(tmp_path / f"sweep-{n}")

    return write


@pytest.fixture
def asked() -> type[Asked]:
    return Asked


@pytest.fixture
def points() -> Callable[..., pd.DataFrame]:
    """Points of one m from {model: hits of each row}."""

    def make(hits: dict[str, Sequence[int]], m: int = 10, **columns: Sequence[Any]) -> pd.DataFrame:
        parts = []
        for model, values in hits.items():
            n_hits = np.array(values)
            table = pd.DataFrame({"model": model, "row": np.arange(len(n_hits)), "n_hits": n_hits})
            table = table.assign(group=table["row"], mode="sliding", k=32, m=m, score=n_hits / m)
            parts.append(table.assign(level=np.minimum(4, 5 * n_hits // m), bucket=4, background=False, **columns))
        return pd.concat(parts, ignore_index=True)

    return make
