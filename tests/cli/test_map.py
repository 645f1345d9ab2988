"""`memviz map` from a sweep to its two files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.cli import CommandLine, parse
from support.model_folders import write_model
from support.sweeps import lab_in, lab_settings

from memviz.engine.backend import Backend
from memviz.maps import COLUMNS
from memviz.sweeps import RowSet, SweepTask


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    return home


@pytest.fixture
def memviz(home, tmp_path, capsys, monkeypatch) -> CommandLine:
    return CommandLine(home, tmp_path, capsys, monkeypatch)


@pytest.fixture(scope="module")
def sweep(home) -> str:
    lab = lab_in(home, Backend(lab_settings(home)))
    task = SweepTask(("tiny",), RowSet(lab.jsonl(lab.rows(40, (24,)))), contexts=(), continuations=(8,), context_at=8)
    return str(lab.sweep(task, "swept").folder)


SMALL = ("--model", "tiny", "--k", 8, "--m", 8)


def test_coordinates_and_figures(memviz: CommandLine, sweep: str) -> None:
    words = ("map", "--sweep", sweep, *SMALL, "--layer", 1, "--step", "0,-1,7", "--reducer", "pca", "--sample", 30)
    ended = memviz.run(*words, "--out", "map")
    assert ended.code == 0 and ended.err == "" and "90 points of 30 rows at 3 steps" in ended.out
    table, said = pd.read_parquet(memviz.folder / "map.parquet"), parse(memviz.folder / "map.json")
    assert list(table.columns) == list(COLUMNS) == list(said["columns"])
    assert sorted(table["step"].unique()) == [-1, 0, 7] and table["row"].nunique() == 30
    assert np.isfinite(table[["x", "y"]].to_numpy()).all()
    assert (table["score"] == table["hits"] / 8).all() and table["domain"].isna().all()
    assert said["layer"] == 1 and said["request"]["reducer"] == "pca" and said["n_passing"] == 40
    assert 0 < said["quality"]["trustworthiness"] <= 1 and "folder" not in said["request"]["scope"]
    assert said["reading"] == "free-running" and said["provenance"]["versions"]["umap-learn"]
    first = table.to_numpy().tolist()
    assert memviz.run(*words, "--out", "map.parquet").code == 0
    assert str(pd.read_parquet(memviz.folder / "map.parquet").to_numpy().tolist()) == str(first)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--layer", 9), "tiny has no layer 9: give 0 (embedding) to 2 (last, after the final norm), or -1"),
        (("--step", "8"), "step 8 is none of a continuation of 8: give -1 to 7"),
        (("--step", "x"), "--step is 'x'"),
        (("--reducer", "tsne"), "reducer 'tsne' is unknown: use pca or umap"),
        (("--m", 9), "no rows of tiny at k = 8, sliding, with m = 9 or more"),
        (("--m", 0), "a continuation of 0 tokens was asked for: give at least 1"),
        (("--k", -1), "a context of -1 tokens was asked for: give at least 1"),
        (("--sample-seed", -1), "the seed is -1: give a whole number from 0 to 4294967295"),
        (("--seed", 2**32), "the seed is 4294967296: give a whole number from 0"),
        (("--sample", 41), "41 rows were asked for, 40 pass the filters: ask for fewer"),
        (("--domain", "verse"), "none of the 40 rows passes the filters: loosen them"),
        (("--model", "suite-0.3m"), "has no model 'suite-0.3m': it has tiny"),
        (("--model", "other"), "model 'other' is unknown: known are tiny"),
        (("--sample", 3, "--step", "0"), "3 points have fewer than 14 neighbours each"),
        (("--sweep", "nowhere"), "nowhere holds no finished sweep"),
        (("--out", "nowhere/map"), "its folder does not exist"),
    ],
)
def test_bad_input_is_one_sentence(memviz: CommandLine, sweep: str, words: tuple, named: str) -> None:
    assert named in memviz.refused("map", "--sweep", sweep, *SMALL, "--out", "map", *words)
