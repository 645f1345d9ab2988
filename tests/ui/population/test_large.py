"""The population pages on a sweep that counts as large: neither its rows nor its sequences are read as tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from streamlit.testing.v1 import AppTest
from support.serving import ROOT

from memviz.settings import settings
from memviz.sweeps import Sweep
from memviz.ui.population.membership import MOST_JUDGED

pytestmark = pytest.mark.usefixtures("nothing_shipped")
N = 1500


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("large", ROOT / "bench" / "large.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_of_a_large_sweep(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.population.pooled.MOST_UNITS", 1000)
    monkeypatch.setattr("memviz.sweeps.sums.PARTS", 64)
    generator().generate(Path(settings().cache) / "sweeps" / ("0" * 12), N, ["made-1", "made-2"])
    read = Sweep.read

    def columns(self: Sweep, table: str, columns: list[str] | None = None, filters: object = None) -> object:
        assert table == "sums" or (columns is not None and len(columns) < 16 and "matches" not in columns)
        return read(self, table, columns, filters)

    monkeypatch.setattr(Sweep, "read", columns)
    app.run()
    app.switch_page("../pages/population.py").run()
    assert not app.exception and not app.warning
    held_out = [each for each in app.metric if each.label.startswith("Held-out floor")]
    assert held_out[0].value != "none swept" and len(app.get("plotly_chart")) == 8
    app.switch_page("../pages/transitions.py").run()
    assert not app.exception and len(app.get("plotly_chart")) == 1
    app.selectbox(key="level").select("very low")
    app.selectbox(key="to").select("very low").run()
    (listed,) = app.dataframe
    assert not app.exception and len(listed.value) == 300 and listed.value["text"].str.len().min() > 40
    app.switch_page("../pages/membership.py").run()
    assert not app.exception and not app.error and len(app.get("plotly_chart")) == 3
    assert any(f"at most {MOST_JUDGED:,} groups" in each.value for each in app.caption)
    app.switch_page("../pages/boundary.py").run()
    assert not app.exception and len(app.get("plotly_chart")) == 4
