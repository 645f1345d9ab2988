"""Rows whose heads are silenced: which are chosen, what is refused; the command line and the notebook agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from support.cli import CommandLine
from support.suite import STEPPED

from memviz import api, ui
from memviz.catalog import find_model as model_named
from memviz.catalog import read_card
from memviz.errors import InputError
from memviz.measures.heads import RowHeads, strongest
from memviz.population.heads import heads_table, row_heads_of
from memviz.settings import settings
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.tasks.base import task_from
from memviz.tasks.row_heads import RowHeadsTask

MODEL = STEPPED


def test_rows_are_of_both_classes_and_of_unlike_groups() -> None:
    sweep, card = read_sweep(SHIPPED), read_card(model_named(MODEL, settings()), settings())
    assert card is not None
    task = row_heads_of(sweep, MODEL, card, 6)
    assert task.n_matches == (32,) * 6 + (0,) * 6 and len(task.ids) == 12 * (64 + len(card.leading_ids))
    about = sweep.sequences
    about = about[(about["model"] == MODEL) & (about["k"] == 32) & (about["mode"] == "sliding")].set_index("row")
    assert about.loc[list(task.rows), "n_matches_32"].tolist() == list(task.n_matches)
    assert about.loc[list(task.rows[:6]), "group"].is_unique and about.loc[list(task.rows[6:]), "group"].is_unique
    ids = sweep.rows.set_index("row").loc[task.rows[0], "ids"]
    assert task.ids[len(card.leading_ids) :][:64] == tuple(ids[:64])
    again = task_from(json.loads(json.dumps(task.request())))
    assert again == task and task != row_heads_of(sweep, MODEL, card, 6, seed=1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n_matches": (0, 0)}, "between rows with M = 1 and with M = 0"),
        ({"rows": (1,)}, "1 rows are asked for"),
        ({"ids": (1, 2, 3)}, "3 tokens are not 2 rows"),
        ({"m": 3}, "6 tokens are not 2 rows of a context and 3"),
    ],
)
def test_what_is_of_no_use_is_refused(changed: dict, said: str) -> None:
    whole = {"model": "m", "rows": (1, 2), "n_matches": (2, 0), "n_leading": 0, "m": 2, "ids": (1, 2, 3, 4, 5, 6)}
    RowHeadsTask(**whole)
    with pytest.raises(InputError, match=said):
        RowHeadsTask(**(whole | changed))


def test_the_table_has_the_means_of_each_class() -> None:
    drop = np.array([[0.1, 0.5, 0.2], [0.3, 0.9, 0.0], [0.4, 0.1, 0.2]], np.float32)
    three = np.array([1, 1, 2], np.int32)
    found = RowHeads(np.arange(3), np.array([4, 4, 0]), np.array(4), three, np.array([0, 1, 0]), np.zeros(3), drop)
    table = heads_table(found)
    assert found.n_strongest == 1 and strongest(drop, 1).sum(axis=0).tolist() == [1, 2, 0]
    assert table[["layer", "head"]].to_numpy().tolist() == [[1, 1], [1, 0], [2, 0]]
    assert table["memorized_drop"].to_numpy() == pytest.approx([0.7, 0.2, 0.1])
    assert table["memorized_among"].tolist() == [1, 0, 0] and table["unmemorized_among"].tolist() == [0, 1, 0]


def page() -> None:
    from support.suite import STEPPED

    from memviz.sweeps import read_sweep
    from memviz.sweeps.kept import SHIPPED
    from memviz.ui.population import heads
    from memviz.ui.population.view import Filters, SweepView

    heads.N_ROWS = 2
    heads.show_heads(SweepView(read_sweep(SHIPPED), Filters(), (STEPPED,), "swept", 32))


def test_command_line_notebook_and_page_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = CommandLine(tmp_path, tmp_path, capsys, monkeypatch)
    for remembered in (settings, api._context, ui.store, ui.worker):
        remembered.cache_clear()
    shown = AppTest.from_function(page, default_timeout=120).run()
    assert not shown.exception and "on 4 rows of this sweep" in shown.caption[0].value
    assert shown.button(key="heads_run").label == "Silence heads"
    out = tmp_path / "heads.json"
    ended = cli.run("causes", "row_heads", "--model", MODEL, "--rows", 2, "--out", out)
    assert ended.code == 0 and "2 rows with M = 1, 2 with M = 0" in ended.out and "more than one of each" in ended.out
    written = json.loads(out.read_text())
    found = api.row_heads(read_sweep(SHIPPED), MODEL, 2)
    np.testing.assert_allclose(written["result"]["drop"], found.record.drop, atol=1e-6)
    assert [each["which"] for each in written["overlaps"]] == found.overlaps["which"].tolist()
    assert list(found.table) == [
        "layer", "head", "memorized_drop", "memorized_among", "unmemorized_drop", "unmemorized_among",
    ]  # fmt: skip
    shown.run()
    assert not shown.exception and shown.markdown[0].value.startswith("**Rows of one class share more than one of each")
    ended = cli.run("causes", "row_heads", "--model", MODEL, "--text-file", out, "--out", out)
    assert ended.code == 2 and "about rows of a sweep" in ended.err
