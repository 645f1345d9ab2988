"""The notebook's way: the same numbers as the command line, from the same store, as DataFrames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.cli import CommandLine
from support.model_folders import TEXT, write_model

from memviz import api
from memviz.settings import settings
from memviz.sweeps.rowset import RowSet, save_row_set

SIZES = ["--contexts", "4,8", "--continuation-at", "8", "--continuations", "4,16", "--context-at", "8"]
OPTIONS = {"contexts": (4, 8), "continuation_at": 8, "continuations": (4, 16), "context_at": 8}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    return home


@pytest.fixture
def cli(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    cli = CommandLine(home, tmp_path, capsys, monkeypatch)
    for remembered in (settings, api._context):
        remembered.cache_clear()
    lines = [{"ids": list(range(6 + n, 36 + n)), "score": n} for n in range(5)]
    cli.write("rows.jsonl", "\n".join(map(json.dumps, lines)) + "\nnonsense\n")
    return cli


def test_the_same_sweep_by_command_and_by_call(cli: CommandLine) -> None:
    ended = cli.run("sweep", "--models", "tiny", "--data", "rows.jsonl", "--labels", "score", "--out", "one", *SIZES)
    assert ended.code == 0 and ended.err == ""
    assert ended.out.splitlines()[0].startswith("5 rows, 1 models: 10 sequences in ")
    assert "1 of 6 rows cannot be used" in ended.out
    by_command = api.read_sweep(cli.folder / "one")
    rows = api.RowSet(str(cli.folder / "rows.jsonl"), labels=("score",))
    by_call = api.sweep(["tiny"], rows, cli.folder / "two", **OPTIONS)
    assert by_call.manifest["provenance"]["batches_computed"] == 0, "one store serves both"
    pd.testing.assert_frame_equal(by_command.sequences, by_call.sequences)
    assert by_command.task == by_call.task
    assert by_call.sequences["label_score"].unique().tolist() == [0, 1, 2, 3, 4]
    assert list(by_call.read("sequences", ["row", "k"], [("k", "==", 4)])["k"]) == [4] * 5
    with pytest.raises(ValueError, match="has no table 'positions'; it has rows, sequences; sweep it with --positions"):
        by_call.read("positions")


def test_a_saved_row_set_by_its_name(cli: CommandLine) -> None:
    save_row_set("mine", RowSet(str(cli.folder / "rows.jsonl"), sample=2, seed=1), settings())
    ended = cli.run("sweep", "--models", "tiny", "--data", "mine", "--out", "three", *SIZES)
    assert ended.code == 0 and len(api.read_sweep(cli.folder / "three").rows) == 2
    said = cli.refused("sweep", "--models", "tiny", "--data", "mine", "--sample", "3", "--out", "four", *SIZES)
    assert said == "the saved row set 'mine' says which rows it has: leave --sample out"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "absent.csv"], "--data absent.csv: there is no such file"),
        (["--data", "nobody"], "there is no file and no saved row set 'nobody'"),
        (["--data", "rows.jsonl", "--contexts", "4,x"], "--contexts is '4,x': give whole numbers like 8,16,32"),
        (["--data", "rows.jsonl", "--domain", "bible"], "choose rows of the bundled corpus: leave them out"),
        (["--data", "rows.jsonl", "--context-mode", "backwards"], "context mode 'backwards' is unknown"),
        (["--data", "rows.jsonl", "--batch", "0"], "a batch of 0 rows was asked for"),
        (["--data", "rows.jsonl", "--contexts", "none", "--continuations", "none"], "a sweep needs a size"),
    ],
)
def test_what_cannot_be_swept_is_one_sentence(cli: CommandLine, words: list[str], message: str) -> None:
    assert message in cli.refused("sweep", "--models", "tiny", "--out", "out", *words)


def test_models_and_traces_as_tables(cli: CommandLine) -> None:
    found = api.models().set_index("name")
    assert found.loc["tiny", "ready"] in (True, False) and "smollm2-135m" in found.index
    traced = api.trace("tiny", TEXT, n_context=8, n_continuation=6)
    assert len(traced.table) == 14 and traced.table["part"].tolist() == ["context"] * 8 + ["continuation"] * 6
    assert traced.measures["memorization_score"] == traced.table["match"][8:].mean()
    ids = traced.table["true_id"].tolist()
    again = api.trace("tiny", context_ids=ids[:8], continuation_ids=ids[8:])
    np.testing.assert_array_equal(again.table["generated_id"], traced.table["generated_id"])
    with pytest.raises(ValueError, match="give either a text or context_ids"):
        api.trace("tiny")
