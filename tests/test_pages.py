"""Every page by AppTest: what it says without a model, with one, and of a result."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import ROOT

warnings.filterwarnings("ignore", category=DeprecationWarning)
from streamlit.testing.v1 import AppTest  # noqa: E402

from memviz import ui  # noqa: E402
from memviz.settings import settings  # noqa: E402


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The entry script with an empty cache, and a worker that never starts."""
    monkeypatch.setenv("MEMVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ui, "warm_up", lambda: None)
    for shared in (settings, ui.store, ui.worker):
        shared.cache_clear()
    yield AppTest.from_file(str(ROOT / "memviz" / "dashboard.py"), default_timeout=20)
    for shared in (settings, ui.store, ui.worker):
        shared.cache_clear()


def test_overview_says_what_memorization_is_and_which_models_there_are(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert app.title[0].value == "memviz"
    assert "memorized" in app.markdown[0].value
    names = app.dataframe[0].value["model"].tolist()
    assert {"smollm2-135m", "gemma-3-270m", "pythia-410m-deduped"} <= set(names)
    assert not app.dataframe[0].value["ready"].any()


def test_trace_without_a_ready_model_offers_to_get_it_ready(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/trace.py").run()
    assert not app.exception
    assert app.title[0].value == "Trace"
    assert [button.label for button in app.button] == ["Run", "Get smollm2-135m ready"]
    assert app.button[0].disabled


def test_settings_that_cannot_be_used_are_one_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_DTYPE", "float8")
    app.run()
    assert not app.exception
    assert "setting dtype = 'float8' cannot be used" in app.error[0].value
