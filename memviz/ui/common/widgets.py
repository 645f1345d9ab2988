"""What the widgets of several pages have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.errors import sentence
from memviz.ui.common.texts import told

KEEP: dict[str, Any] = {"persist_state": "session"}
"""What the widget says stays when the visitor comes back to the page."""
_BOUND: set[str] = set()
"""Names of all widgets that `bound` was asked for."""
MOMENTS = {True: 1.5, False: 0.15}
"""Seconds that a browser takes to draw the first figures of a session, and others."""


def bound(name: str) -> dict[str, Any]:
    """What a widget is told whose choice stands in the address, under this name; its key is the name too."""
    _BOUND.add(name)
    return {"key": name, "bind": "query-params"}


def forget_bound() -> None:
    """Let the address alone say what these widgets say, whatever was chosen on other pages.

    Names are shared: where another page follows one by `newly_chosen`, its link counts as new again.
    """
    for name in _BOUND:
        st.session_state.pop(name, None)
        st.session_state.pop(f"{name}_followed", None)


def follow_address(page: str) -> None:
    """Where a page is opened by an address that says something, it says all; from the sidebar choices come along."""
    before = st.session_state.get("page_before")
    st.session_state["page_before"] = page
    if before in (None, page):
        return
    if st.query_params.to_dict():
        forget_bound()
    elif "predictor" in (before, page):  # whose m is that of its rows
        st.session_state.pop("m", None)


def set_defaults(page: str, values: Mapping[str, Any]) -> None:
    """What a page's widgets say before anybody chose anything."""
    for name, value in values.items():
        st.session_state.setdefault(f"{page}_{name}", value)


def forget_unknown(key: str, options: Sequence[Any]) -> None:
    """Drop a choice made under another sweep that this one does not have."""
    said = st.session_state.get(key)
    if isinstance(said, list):
        if any(value not in options for value in said):
            st.session_state[key] = [value for value in said if value in options]
    elif said is not None and said not in options:
        del st.session_state[key]


def open_expander(label: str, key: str) -> DeltaGenerator | None:
    """An expander to fill, or None while it is closed: what nobody looks at is neither computed nor sent."""
    box = st.expander(label, key=key, on_change="rerun")
    return box if box.open else None


def draw_so_far(page: str) -> None:
    """Where a page opens, give the browser a moment for what is on its first screen before all the rest comes.

    Figures that come together are drawn in one go, which takes seconds where there are ten; so do all those that come
    while a new visitor's browser reads the code that draws them.
    """
    drawn: set[str] = st.session_state.setdefault("drawn", set())
    if page not in drawn:
        time.sleep(MOMENTS[not drawn])
        drawn.add(page)


@contextmanager
def saying() -> Iterator[None]:
    """An error that has its sentence is that sentence on the page; also of a part of it that runs alone."""
    try:
        yield
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise
        st.error(told(said))


def refuse(error: Exception) -> NoReturn:
    """Show one sentence about input that cannot be used, and stop the page here."""
    st.error(told(error))
    st.stop()
