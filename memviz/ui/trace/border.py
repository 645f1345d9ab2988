"""On the Trace page: a text's tokens with the border of the context, to be moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from memviz.figures.splitting import SPLIT
from memviz.ui.common.components import Component

BORDER = Component("memviz_split", SPLIT.css, SPLIT.js)


def draw_border(data: dict[str, Any], context_key: str, on_edit: Callable[[], None]) -> None:
    """Draw a text's tokens with the border of the context, which moves the number under `context_key`."""

    def take() -> None:
        moved = st.session_state[f"{context_key}_split"].get("context")
        if moved:
            st.session_state[context_key] = int(moved)
            on_edit()

    BORDER.draw(data, f"{context_key}_split", context=take)
