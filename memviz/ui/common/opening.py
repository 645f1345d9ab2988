"""How a page begins: title and question in one line, its settings folded into the next, and its answer."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.ui.common.doors import DOORS


def show_head(name: str) -> DeltaGenerator:
    """Title and question of the page of a file in pages/; the line they stand in."""
    door = next(door for door in DOORS if door.name == name)
    line = st.container(horizontal=True, vertical_alignment="bottom", key="head")
    line.title(door.title, width="content")
    line.markdown(door.question)
    return line


def fold_settings(page: str, line: str) -> tuple[DeltaGenerator, DeltaGenerator]:
    """The settings in a line of Markdown, which opens: the place for the widgets, and the one for buttons beside it.

    The widgets are drawn whether it is open or not, since they are what the page asks.
    """
    beside = st.container(horizontal=True, key=f"{page}_bar")
    return beside.expander(f"{line} · :blue[change]", key=f"{page}_settings"), beside


def widget_row() -> DeltaGenerator:
    """A place for widgets side by side on one baseline, which go on in the next line where there is no room."""
    return st.container(horizontal=True, vertical_alignment="bottom")


def show_answer(sentence: str) -> None:
    """What the page answers, computed from what is drawn below it, in one sentence of Markdown."""
    with st.container(key="answer"):
        st.markdown(f"**{sentence}**")
