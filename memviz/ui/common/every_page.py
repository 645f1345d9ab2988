"""What stands on every page, and what begins with the first one."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

import streamlit as st

from memviz.errors import InputError
from memviz.settings import settings
from memviz.tasks.preparing import PrepareTask
from memviz.ui.common.process import default_model, session, worker
from memviz.ui.server.attendance import know

STYLE = Path(__file__).with_name("style.css")
WARM_UP_SECONDS = 1.5
"""After the first script run, so that importing torch does not hold up the drawing of its page."""
_TITLE = "tab_title"


def guard_settings() -> None:
    """Stop with one sentence where the settings cannot be used."""
    try:
        settings()
    except InputError as error:
        st.error(str(error))
        st.stop()


def name_tab(title: str) -> None:
    """Call the browser's tab after a page, before it says what it is about."""
    st.session_state[_TITLE] = title
    st.set_page_config(page_title=f"{title} \N{MIDDLE DOT} memviz")


def name_tab_after(about: str) -> None:
    """Add to the tab's name what the page is about, a model or how many."""
    st.set_page_config(page_title=" \N{MIDDLE DOT} ".join((st.session_state.get(_TITLE, "memviz"), about, "memviz")))


def set_style() -> None:
    """The style of all pages."""
    st.html(STYLE)


def attend() -> None:
    """Let the server notice when this session's connection is gone."""
    know(session())


def show_state() -> None:
    """Device, models in memory and the queue, at the foot of the sidebar."""
    with st.sidebar:
        backend = worker().backend
        resident = ", ".join(worker().models_in_memory)
        n_active = worker().n_active
        lines = [
            f"{settings().dtype} · {backend.device.type if backend else settings().device}",
            f"in memory: {resident}" if resident else "no model in memory",
            "queue empty" if not n_active else f"{n_active} in the queue",
        ]
        st.caption("  \n".join(lines))


def _load_default() -> None:
    from memviz.ui.server.rehearsal import open_examples

    open_examples()
    worker().ask(PrepareTask(default_model()))


@cache
def _warm_up_later() -> None:
    timer = threading.Timer(WARM_UP_SECONDS, _load_default)
    timer.daemon = True
    timer.start()


def warm_up() -> None:
    """Once the first page is drawn: open the gallery, then load and measure the suite's largest model, behind it."""
    if settings().warm_up:
        _warm_up_later()
