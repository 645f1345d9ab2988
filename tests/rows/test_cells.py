"""What spreadsheets would take for formulas: made words in CSV, and read back as it was."""

from __future__ import annotations

import csv
import io
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from support.serving import ROOT

from memviz.rows.cells import as_written, safe_csv
from memviz.rows.layout import File, Layout
from memviz.rows.reading import read_records

WORDS = ["=1+2", "+49", "-30-", "@a", "\tx", "'=x", "''-", "plain", "a=b", "'quoted'", "", "'"]


def test_no_cell_begins_as_a_formula_does_and_all_come_back() -> None:
    table = pd.DataFrame({"=name": WORDS, "n": [-1.5, *range(len(WORDS) - 1)], "gone": [None] * len(WORDS)})
    header, *lines = csv.reader(io.StringIO(safe_csv(table)))
    assert header == ["'=name", "n", "gone"] and lines[0][1:] == ["-1.5", ""], "numbers are numbers"
    for line, word in zip(lines, WORDS, strict=True):
        assert not line[0].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert as_written(line[0]) == word
    assert list(table.columns) == ["=name", "n", "gone"], "the table itself is left alone"


def test_every_csv_is_written_there() -> None:
    sources = [*(ROOT / "memviz").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
    assert [path.name for path in sources if ".to_csv(" in path.read_text("utf-8")] == ["cells.py"]
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["client"]["disableDataExport"], "Streamlit's tables would write what they show as it is"


@pytest.mark.parametrize("word", ["=HYPERLINK(1)", "-", "'+"])
def test_rows_come_back_from_a_file(tmp_path: Path, word: str) -> None:
    (tmp_path / "rows.csv").write_text(safe_csv(pd.DataFrame({"text": [word, "plain"]})))
    file = File(tmp_path / "rows.csv", Layout(), 100, lambda line, problem: None, lambda note: None)
    assert [record.content for record in read_records(file)] == [word, "plain"]
