"""`memviz membership` on a sweep made by hand, against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from support.cli import CommandLine

from memviz.sweeps import Sweep


@pytest.fixture
def memviz(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(tmp_path, tmp_path, capsys, monkeypatch)


@pytest.fixture
def sweep(made_sweep: Callable[..., Sweep], asked: Any) -> Sweep:
    """Of two classes that differ by half a standard deviation; older than every column but the log-probability."""
    generator, bucket = np.random.default_rng(0), np.repeat([0, 4], 30)
    made = {"ids": np.zeros((60, 128), int), "n_parameters": {"a": 10}, "about": {"bucket": bucket}}
    found = made_sweep(**made, asked=[asked("a", generator.random((60, 32)) < 0.5)])
    file = found.folder / "sequences.parquet"
    pd.read_parquet(file).assign(log_p_32=generator.normal(-90, 20, 60) + 10 * (bucket > 0)).to_parquet(file)
    return found


def test_a_sweep_is_judged_and_written(memviz: CommandLine, sweep: Sweep) -> None:
    ended = memviz.run("membership", "--sweep", sweep.folder, "--out", "found.csv")
    assert (ended.code, ended.err) == (0, "")
    table, rows = pd.read_csv("found.csv"), sweep.sequences
    expected = roc_auc_score(rows["bucket"] > 0, rows["log_p_32"])
    assert table["auroc"].tolist() == pytest.approx([expected])
    lines = ended.out.splitlines()
    assert lines[0].startswith("a  Perplexity    all  n = 30 + 30  AUROC " + f"{expected:.3f} [")
    assert lines[1] == "not kept by this sweep, which is older: zlib, Min-20 %, Min-20 %++; run its command again"


def test_what_cannot_be_judged_is_refused(memviz: CommandLine, sweep: Sweep) -> None:
    said = memviz.refused("membership", "--sweep", sweep.folder, "--label", "split")
    assert said == "--label split: say which of its values members have, with --members"
    said = memviz.refused("membership", "--sweep", sweep.folder, "--label", "split", "--members", "train")
    assert said == "the sweep has no column 'label_split' that tells members: it has bucket"
    assert "no row is of the class others" in memviz.refused("membership", "--sweep", sweep.folder, "--buckets", "4")
    assert "ends in .csv or .parquet" in memviz.refused("membership", "--sweep", sweep.folder, "--out", "found.txt")
