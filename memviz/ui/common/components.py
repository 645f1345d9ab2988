"""Components on a page: registered once, drawn with their data, what is chosen on them kept in the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import streamlit as st
from streamlit.components import v2 as components


@dataclass(frozen=True)
class Component:
    """A component by its name, style and script, which are read with the first drawing."""

    name: str
    css: Callable[[], str]
    js: Callable[[], str]

    @cached_property
    def _draw(self) -> Any:
        return components.component(self.name, css=self.css(), js=self.js())

    def draw(self, data: dict[str, Any], key: str, **heard: Callable[[], None] | None) -> Mapping[str, Any]:
        """Draw it; what is chosen on it, by name. `heard`: each name with what to do when it changes."""
        hears = {f"on_{name}_change": do or _nothing for name, do in heard.items()}
        return self._draw(data=data, key=key, **hears)

    def draw_kept(self, data: dict[str, Any], key: str, kept: Mapping[str, str]) -> None:
        """Draw it, and keep what is chosen on it in the address: each name under its parameter."""
        chosen = self.draw(data, key, **dict.fromkeys(kept))
        for name, parameter in kept.items():
            value = chosen.get(name)
            if isinstance(value, bool):
                value = "1" if value else None
            if value is not None:
                st.query_params[parameter] = str(value)
            elif name in st.session_state.get(key, {}):
                st.query_params.pop(parameter, None)


def _nothing() -> None:
    return
