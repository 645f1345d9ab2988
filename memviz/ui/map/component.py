"""The drawn map: its step in the address, its selection in the session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from memviz.figures.maps import MAP, Colour, Pane, map_data
from memviz.maps import MapTask, PlacedPoints, table_of
from memviz.ui.common.components import Component
from memviz.ui.common.texts import escaped
from memviz.ui.population.sequences import texts_of_rows
from memviz.ui.population.view import SweepView

DRAWN = Component("memviz_map", MAP.css, MAP.js)
SELECTED = "map_selected"
"""In the session: which sweep a selection is of, and its row numbers."""
MARKED = "map_marked"


def selected_rows(view: SweepView) -> np.ndarray | None:
    """Row numbers that were selected on this sweep, ascending; None where nothing is."""
    said = st.session_state.get(SELECTED)
    return said[1] if said is not None and said[0] == view.key else None


def keep_selection(view: SweepView, rows: list[int]) -> None:
    """Rows that were caught become the selection; none end it."""
    if rows:
        st.session_state[SELECTED] = (view.key, np.array(rows, np.int64))
    else:
        st.session_state.pop(SELECTED, None)


@st.cache_resource(max_entries=6, show_spinner=False)
def _map_data(_panes: Sequence[Pane], colour: Colour, at: int | str | None, _rows: np.ndarray | None, key: Any) -> Any:
    return map_data(_panes, colour, at, _rows)


def mark_row(row: int | None) -> None:
    """Point at a row on the map, the one ticked in the list; the page is drawn anew where it is another one."""
    if st.session_state.get(MARKED) != row:
        st.session_state[MARKED] = row
        st.rerun()


def map_component(panes: Sequence[Pane], colour: Colour, view: SweepView, key: str) -> None:
    """Draw the map; the step goes into the address, the selection into the session.

    What a new frame begins with is kept as it was, so that the data stay the same and are not sent again.
    """
    if key not in st.session_state:
        step = st.query_params.get("step", "")
        at: int | str | None = int(step) if re.fullmatch("-?[0-9]{1,6}", step) else step or None
        st.session_state[f"{key}_start"] = (at, selected_rows(view))
    paths = [None if pane.path is None else pane.path.xy.tobytes() for pane in panes]
    at, rows = st.session_state[f"{key}_start"]
    data = _map_data(panes, colour, at, rows, (key, paths, None if rows is None else rows.tobytes()))
    chosen = DRAWN.draw({**data, "marked": st.session_state.get(MARKED)}, key, selected=None, step=None)
    if chosen.get("step") is not None:
        st.query_params["step"] = str(chosen["step"])
    if chosen.get("selected") is not None:
        keep_selection(view, chosen["selected"])


def texts_of(view: SweepView, rows: np.ndarray, model: str) -> list[str]:
    """The text around the end of the context of each row, as a model's tokenizer reads it."""
    return _texts(view, rows, model, (view.key, rows.tobytes()))


@st.cache_resource(max_entries=4, show_spinner=False)
def _texts(_view: SweepView, _rows: np.ndarray, model: str, key: tuple[str, bytes]) -> list[str]:
    return texts_of_rows(_view, _view.ids(_rows), model)


@st.cache_resource(max_entries=2, show_spinner=False)
def _so_far(_found: PlacedPoints, _view: SweepView, model: str, colour: Colour, key: tuple[str, int]) -> Any:
    return map_data([Pane(_view.names[model], table_of(_found, _view.sweep))], colour)


def draw_so_far(view: SweepView, colour: Colour, task: MapTask, found: PlacedPoints) -> None:
    """The points that were read so far, a random sample of those that will be; a selection stays as more come."""
    key, rows = f"map-so-far-{task.hash[:10]}", selected_rows(view)
    start = {"step": "all", "selected": None if rows is None else rows.tolist()}
    data = _so_far(found, view, task.model, colour, (task.hash, len(found.row)))

    def keep() -> None:  # heard also where the map is done by then, and this one is not drawn again
        keep_selection(view, st.session_state[key]["selected"])

    DRAWN.draw({**data, "start": start}, key, selected=keep, step=None)
    st.caption(
        f"**{escaped(task.model)}**: {len(found.row):,} points of {found.n_rows:,} rows so far, drawn at random, on "
        "the axes of the first that were read. The axes settle once, when all are there; what is selected is listed "
        "then."
    )
