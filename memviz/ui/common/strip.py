"""The linked strip, curve and alternatives of a trace on a page, and what the address asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from memviz.figures.linked import FILLS, MODES, TRACE
from memviz.ui.common.components import Component
from memviz.ui.common.links import index_in

STRIP = Component("memviz_trace", TRACE.css, TRACE.js)


def linked_component(data: dict[str, Any], key: str) -> None:
    """Draw the linked strip, curve and alternatives, and keep its selection in the link."""
    STRIP.draw_kept(data, key, {"pinned": "tok", "mode": "mode", "fill": "fill"})


def selection(query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The pinned token, way of reading and fill that a link asks for; what makes no sense is left out.

    `query` are its parameters, by default those of the page.
    """
    given = st.query_params if query is None else query
    wishes = {"mode": MODES, "fill": FILLS}
    asked = {name: given[name] for name, known in wishes.items() if given.get(name) in known}
    return {"pinned": index_in(given), **asked}
