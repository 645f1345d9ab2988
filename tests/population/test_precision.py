"""What a half precision moves: by arithmetic on made points, and by page, command line and notebook on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest
from support.cli import CommandLine
from support.model_folders import write_model
from support.suite import SMALLEST

from memviz import api, ui
from memviz.errors import InputError
from memviz.population import precision
from memviz.population.precision import ALL, HALVES, PrecisionTask, moved
from memviz.settings import settings
from memviz.sweeps import RowSet
from memviz.tasks.base import task_from
from memviz.ui.common import process
from memviz.ui.common.answers import context

SIZES = {"k": 8, "m": 16}


def test_shares_and_changes_are_those_of_a_loop(points) -> None:
    exact = [0] * 40 + [5] * 20 + [10] * 40
    half = [0] * 30 + [1] * 10 + [5] * 20 + [10] * 38 + [3, 4]
    table = moved(points({"a": exact}), points({"a": half}), ["a"]).set_index("level")
    assert list(table.index) == ["very low", "medium", "very high", ALL]
    for level, rows in (("very low", range(40)), ("medium", range(40, 60)), ("very high", range(60, 100))):
        n_moved = sum(exact[i] != half[i] for i in rows)
        line, wilson = table.loc[level], binomtest(n_moved, len(rows)).proportion_ci(method="wilson")
        assert (line["n"], line["moved"]) == (len(rows), n_moved / len(rows))
        assert (line["moved_low"], line["moved_high"]) == (pytest.approx(wilson.low), pytest.approx(wilson.high))
        assert line["change"] == pytest.approx(np.mean([(half[i] - exact[i]) / 10 for i in rows]))
        assert line["change_low"] <= line["change"] <= line["change_high"]
    assert table["lost"].tolist() == [0, 0, 2, 2] and table["gained"].tolist() == [0, 0, 0, 0]
    assert table.loc[ALL, "n"] == 100 and table.loc["very low", "change_low"] > 0


def test_what_cannot_be_asked_is_named() -> None:
    with pytest.raises(InputError, match="'float32' is no half precision: use bfloat16 or float16"):
        PrecisionTask((SMALLEST,), RowSet(), "float32")
    with pytest.raises(InputError, match="needs a model"):
        PrecisionTask((), RowSet())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    return home


@pytest.fixture
def cli(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    cli = CommandLine(home, tmp_path, capsys, monkeypatch)
    for remembered in (settings, api._context, ui.store, ui.worker):
        remembered.cache_clear()
    rng = np.random.default_rng(0)
    cli.write("rows.jsonl", "".join(json.dumps({"ids": rng.integers(6, 90, 24).tolist()}) + "\n" for _ in range(40)))
    return cli


@pytest.mark.parametrize("half", HALVES)
def test_one_answer_for_command_line_notebook_and_page(cli: CommandLine, half: str) -> None:
    asked = ["--models", "tiny", "--data", "rows.jsonl", "--half", half, "--context", 8, "--continuation", 16]
    ended = cli.run("precision", *asked, "--out", "moved.csv")
    assert ended.code == 0 and ended.err == ""
    rows = RowSet(str(cli.folder / "rows.jsonl"))
    table = api.precision(["tiny"], rows, half=half, **SIZES)
    pd.testing.assert_frame_equal(pd.read_csv(cli.folder / "moved.csv"), table, check_dtype=False)
    scores = []
    for dtype in ("float32", half):  # the same rows, swept each by itself
        options = {"contexts": (), "continuations": (16,), "context_at": 8, "dtype": dtype}
        found = api.sweep(["tiny"], rows, cli.folder / dtype, **options)
        assert found.manifest["provenance"]["batches_computed"] == 0, "its batches are kept"
        scores.append(found.sequences.sort_values("row")["n_matches_16"].to_numpy())
    whole = table[table["level"] == ALL].iloc[0]
    assert whole["moved"] == np.mean(scores[0] != scores[1]) and whole["n"] == 40
    line = next(line for line in ended.out.splitlines() if f" {ALL} " in line)
    assert f"{whole['moved']:.1%} [" in line and ended.out.startswith(f"{half} on cpu beside float32, k = 8, m = 16")


def test_the_page_asks_and_draws(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    page = AppTest.from_file("../../pages/precision.py", default_timeout=60).run()
    assert not page.exception and page.title[0].value == "Precision" and page.button(key="precision_run")
    task = PrecisionTask(("tiny",), RowSet(str(cli.folder / "rows.jsonl")), **SIZES)
    assert task_from(task.request()) == task
    ui.store().put_request(task.hash, task.request())
    page.query_params["run"] = task.hash[:16]
    page.run()
    assert not page.exception and page.button(key="precision_start").label == "Run"
    api.precision(["tiny"], task.rows, **SIZES)
    assert task.find(task.hash, [], context()) is not None
    page.run()
    table = api.precision(["tiny"], task.rows, **SIZES)
    whole = table[table["level"] == ALL].iloc[0]
    assert not page.exception and page.metric[1].value == f"{whole['moved']:.1%}"
    assert page.dataframe[0].value["level"].tolist() == table["level"].tolist()
    kept = settings().cache / "sweeps"
    monkeypatch.setattr(precision, "SHIPPED", kept.rename(cli.folder / "shipped"))
    found = task.find(task.hash, [], context())
    assert found is not None and {each.folder.parent for each in found} == {cli.folder / "shipped"}
    (found[1].folder / "manifest.json").write_text("{}")
    assert task.find(task.hash, [], context()) is None


def test_the_page_opens_on_what_its_form_asks_first_where_that_is_stored(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    lines = [json.dumps({"ids": rng.integers(6, 90, 70).tolist()}) + "\n" for _ in range(30)]
    rows = RowSet(str(cli.write("long.jsonl", "".join(lines))))
    monkeypatch.setattr(precision, "USUAL_ROWS", rows)
    monkeypatch.setattr(process, "whole_runs", lambda: ["tiny"])
    api.precision(["tiny"], rows)
    page = AppTest.from_file("../../pages/precision.py", default_timeout=60).run()
    assert not page.exception and page.metric[0].value == "30"
    page.button(key="precision_another").click().run()
    assert not page.exception and not page.metric and page.button(key="precision_run")
    assert ui.worker().n_active == 0
