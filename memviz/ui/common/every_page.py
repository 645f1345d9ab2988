"""What stands on every page, and what begins with the first one."""

from __future__ import annotations

import threading
from functools import cache

import streamlit as st

from memviz.errors import InputError
from memviz.settings import settings
from memviz.tasks.preparing import PrepareTask
from memviz.ui.common.process import default_model, session, worker
from memviz.ui.server.attendance import know

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
    """What Streamlit's settings do not reach: room, widths, contrast of code in captions, where the focus is."""
    st.html(
        "<style>.stMainBlockContainer{padding:2.75rem clamp(1rem,3vw,3rem) 3rem}"
        ".stMainBlockContainer{position:relative}.st-key-share{position:absolute;top:4.2rem;width:auto;z-index:5;"
        "right:clamp(1rem,3vw,3rem)}.st-key-unseen{display:none}"
        ".st-key-tour{position:sticky;top:3.75rem;z-index:6;background:light-dark(#ffffff,#12161d);margin-top:1.2rem}"
        ".st-key-tour~.st-key-share,div:has(>.st-key-tour)~div>.st-key-share{position:static;align-self:flex-end}"
        ".st-key-tour_keys{height:0;overflow:hidden}"
        "[data-testid=stMetricLabel] p{font-size:.8rem}"
        ".st-key-measures td:nth-child(3){min-width:26rem}.st-key-measures td:nth-child(4){min-width:9rem}"
        "[class*=st-key-glossary] table{table-layout:fixed}[class*=st-key-glossary] :is(th,td):nth-child(1){width:19%}"
        "[class*=st-key-glossary] :is(th,td):nth-child(3){width:9%}"
        "[class*=st-key-glossary] :is(th,td):nth-child(4){width:22%}"
        "[class*=st-key-glossary] td{white-space:normal;overflow-wrap:break-word}"
        "[data-testid=stCaptionContainer] code{color:inherit;background:none}"
        "[data-testid=stSidebarNavLink]:focus-visible{outline:2px solid light-dark(#1f4e9c,#9dbcf0)}"
        "[data-testid=stButtonGroup] [data-selected=true] p,[data-testid=stSliderThumbValue] p"
        "{color:light-dark(#1f4e9c,#9dbcf0)}"
        "@media (max-width:640px){.st-key-cards [data-testid=stColumn]"
        "{flex:1 1 calc(50% - .5rem);min-width:calc(50% - .5rem)}}</style>"
    )


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
