"""The components on a page: registered once, drawn with their data, their selection kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components import v2 as components

from memviz.figures.linked import component_css, component_js
from memviz.figures.splitting import COMPONENTS, split_css, split_js

_AHEAD = ("PlotlyChart", "DataFrame")
"""Streamlit's own scripts, by the start of their names."""
_READY = COMPONENTS / "ready" / "ready.js"


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


def fetch_ahead() -> None:
    """Let the browser fetch what draws figures and tables while this page is read; the next page then has it."""
    data = {"scripts": _scripts()}
    _component("memviz_ready", str, _READY.read_text)(data=data, key="memviz_ready")


@cache
def _scripts() -> list[str]:
    folder = Path(st.__file__).parent / "static"
    found = [path for name in _AHEAD for path in folder.glob(f"static/js/{name}.*.js")]
    return sorted(str(path.relative_to(folder)) for path in found)


@cache
def _component(name: str, css: Callable[[], str], js: Callable[[], str]) -> Any:
    return components.component(name, css=css(), js=js())


def _ignore() -> None:
    return
