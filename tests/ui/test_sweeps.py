"""Sweeps and Precision: what they amount to before they run; kept sweeps named and deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from streamlit.testing.v1 import AppTest
from support.suite import SIZES

from memviz import ui
from memviz.demo.suite import read_data
from memviz.settings import load_settings
from memviz.sweeps.kept import SHIPPED, kept_sweeps


def test_it_says_what_a_sweep_amounts_to_before_it_runs(app: AppTest) -> None:
    app.switch_page("../pages/sweeps.py").run()
    (said,) = (each.value for each in app.markdown if "sequences**" in each.value)
    assert f"{read_data().ids.shape[0]:,} rows" in said and "GB kept" in said and "a rough guess" in said
    app.number_input(key="sweep_sample").set_value(100).run()
    (said,) = (each.value for each in app.markdown if "sequences**" in each.value)
    assert said.startswith(f"**100 rows, {100 * 10 * len(SIZES):,} sequences**")  # under ten conditions
    assert not app.exception and ui.worker().n_active == 0


def test_precision_asks_some_rows_of_one_size_and_says_what_that_amounts_to(app: AppTest) -> None:
    app.switch_page("../pages/precision.py").run()
    (said,) = (each.value for each in app.markdown if "sequences**" in each.value)
    assert said.startswith("**400 rows, 800 sequences**") and " MB kept" in said  # one model, float32 and below it
    assert not app.exception and ui.worker().n_active == 0


def test_a_kept_sweep_is_named_and_deleted(app: AppTest, tmp_path: Path) -> None:
    name = "b" * 64
    folder = tmp_path / "cache" / "sweeps" / name
    folder.mkdir(parents=True)
    for each in ("manifest.json", "rows.parquet", "sequences.parquet"):
        shutil.copy(SHIPPED / each, folder)
    app.switch_page("../pages/sweeps.py").run()
    app.text_input(key=f"sweep_name-{name[:12]}").set_value("mine").run()
    app.button(key=f"sweep_rename-{name[:12]}").click().run()
    settings = load_settings(cache=tmp_path / "cache")
    assert [each.name for each in kept_sweeps(settings)] == ["", "mine"]
    assert any(each.value.startswith("**mine") for each in app.markdown)
    assert app.button(key=f"sweep_delete-{name[:12]}").disabled
    app.checkbox(key=f"sweep_sure-{name[:12]}").check().run()
    app.button(key=f"sweep_delete-{name[:12]}").click().run()
    assert [each.folder for each in kept_sweeps(settings)] == [SHIPPED] and not app.exception
