"""The components on a page: registered once, drawn with their data, their selection kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st
from streamlit.components import v2 as components

from memviz.figures.linked import component_css, component_js
from memviz.figures.splitting import split_css, split_js


def linked_component(data: dict[str, Any], key: str) -> None:
    """Draw the linked strip, curve and alternatives, and keep its selection in the link."""
    draw, ignore = _component("memviz_trace", component_css, component_js), _ignore
    chosen = draw(data=data, key=key, on_pinned_change=ignore, on_mode_change=ignore, on_fill_change=ignore)
    for name, parameter in (("pinned", "tok"), ("mode", "mode"), ("fill", "fill")):
        value = chosen.get(name)
        if value is not None:
            st.query_params[parameter] = str(value)
        elif name == "pinned" and name in st.session_state.get(key, {}):
            st.query_params.pop(parameter, None)


def split_component(data: dict[str, Any], context_key: str) -> None:
    """Draw a text's tokens with the border of the context, which moves the number under `context_key`."""

    def take() -> None:
        moved = st.session_state[f"{context_key}_split"].get("context")
        if moved:
            st.session_state[context_key] = int(moved)

    _component("memviz_split", split_css, split_js)(data=data, key=f"{context_key}_split", on_context_change=take)


def show_unseen() -> None:
    """One of each element that other pages show, hidden: the browser then has what draws them before it is asked.

    Streamlit fetches and prepares each kind when the first of it comes, and shows it a third of a second later.
    """
    import pandas as pd
    import plotly.graph_objects as go

    with st.container(key="unseen"):
        st.plotly_chart(go.Figure(), key="unseen-figure")
        st.dataframe(pd.DataFrame({"unseen": [0]}), key="unseen-frame")
        st.metric("unseen", 0)
        for kind in (st.selectbox, st.multiselect, st.radio, st.select_slider):
            kind("unseen", [0, 1], key=f"unseen-{kind.__name__}")
        st.number_input("unseen", key="unseen-number")
        st.checkbox("unseen", key="unseen-check")


@cache
def _component(name: str, css: Callable[[], str], js: Callable[[], str]) -> Any:
    return components.component(name, css=css(), js=js())


def _ignore() -> None:
    return
