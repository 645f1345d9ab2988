"""The growing map: what one visitor selects on it is kept for the map that follows, and is nobody else's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from memviz.ui.map import component


def test_a_selection_outlasts_the_growing_map_and_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    view: Any = SimpleNamespace(key="sweep", names={"m": "M"}, sweep=None)
    found: Any = SimpleNamespace(row=np.arange(4), n_rows=9)
    task: Any = SimpleNamespace(model="m", hash="0123456789abcdef")
    drawn, heard = list[dict[str, Any]](), list[Any]()

    def draw(data: dict[str, Any], key: str, selected: Any, step: Any) -> None:
        assert key == "map-so-far-0123456789"
        drawn.append(data)
        heard.append(selected)

    monkeypatch.setattr(component, "DRAWN", SimpleNamespace(draw=draw))
    monkeypatch.setattr(component, "table_of", lambda found, sweep: None)
    monkeypatch.setattr(component, "map_data", lambda panes, colour: {"id": "x", "start": {"step": None}})
    visitors: list[dict[str, Any]] = [{}, {}]

    def show(visitor: int) -> Any:
        page = SimpleNamespace(session_state=visitors[visitor], caption=lambda words: None)
        monkeypatch.setattr(component, "st", page)
        component.draw_so_far(view, "level", task, found)
        return drawn[-1]["start"]["selected"]

    assert show(0) is None
    visitors[0]["map-so-far-0123456789"] = {"selected": [2, 3]}
    heard[0]()  # as Streamlit does before it runs the page, whose job may have ended
    assert component.selected_rows(view).tolist() == [2, 3]  # type: ignore[union-attr]
    assert show(0) == [2, 3]
    assert show(1) is None
    show(0)
    visitors[0]["map-so-far-0123456789"] = {"selected": []}
    heard[-1]()
    assert show(0) is None
