"""Rows kept under a name from a page, read back; a name that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from memviz.settings import settings
from memviz.sweeps import RowSet, read_row_set
from memviz.ui.common.keeping import rows_among


def page() -> None:
    from memviz.sweeps import RowSet
    from memviz.ui.common.keeping import offer_keeping

    offer_keeping(RowSet(rows=(5, 2, 9)), "by hand", "here")


def test_rows_are_kept_under_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_CACHE", str(tmp_path))
    settings.cache_clear()
    try:
        app = AppTest.from_function(page, default_timeout=30).run()
        assert app.button(key="save-here").disabled and "3 rows" in app.text_input[0].help
        app.text_input(key="keep-here").set_value("my rows").run()
        app.button(key="save-here").click().run()
        assert "my rows" in app.success[0].value
        assert read_row_set("my rows", settings()).rows == (5, 2, 9)
        app.text_input(key="keep-here").set_value("../out").run()
        app.button(key="save-here").click().run()
        assert "is no name for a row set" in app.error[0].value
        assert not (tmp_path.parent / "out.json").exists()
    finally:
        settings.cache_clear()


def test_rows_of_a_file_stay_rows_of_that_file() -> None:
    source = RowSet("rows.jsonl", sample=9, labels=("score",))
    assert rows_among(source, [4, 1]) == RowSet("rows.jsonl", rows=(4, 1), labels=("score",))
    assert rows_among(RowSet(buckets=(64,), sample=9), [4]) == RowSet(rows=(4,))
