"""Buttons whose clicks are not lost where another run of the script cuts in before it reaches them.

Streamlit tells a click to one run of the script alone. Where that run is cut short before it comes to the button, as
by a widget changed within the next half second, nobody hears of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import unwrap
from traceback import walk_tb
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner_utils.exceptions import ScriptControlException

_CLICKED = "clicked"
_PAGE = "clicked_on"
_STOP = unwrap(st.stop).__code__
"""What a page that ends itself was in last; a run that is cut short raises the same exception elsewhere."""


def offer(where: Any, label: str, key: str, **look: Any) -> None:
    """A button in a container; `pressed` says further down whether it was clicked."""
    where.button(label, key=key, on_click=_keep, args=(key,), **look)


def pressed(key: str) -> bool:
    """Whether a button was clicked, said once."""
    waiting = _waiting()
    was = key in waiting
    waiting.discard(key)
    return was


def clicked(where: Any, label: str, key: str, **look: Any) -> bool:
    """A button in a container, and whether it was clicked."""
    offer(where, label, key, **look)
    return pressed(key)


@contextmanager
def hearing(page: str) -> Iterator[None]:
    """One run of a page: clicks wait for the next run where this one is cut short, and are over with it otherwise."""
    waiting = _waiting()
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        waiting.clear()
    is_cut = False
    try:
        yield
        _waiting()  # is cut short here, where another run was asked for in its last moments
    except ScriptControlException as end:
        is_cut = all(frame.f_code is not _STOP for frame, _ in walk_tb(end.__traceback__))
        raise
    finally:
        if not is_cut:
            waiting.clear()


def _waiting() -> set[str]:
    """Keys of the buttons of this session whose clicks nobody has heard yet."""
    return st.session_state.setdefault(_CLICKED, set())


def _keep(key: str) -> None:
    _waiting().add(key)
