"""What every page offers for its view: the address, pictures, one offline page, a stop of a tour; and presenting it."""

from __future__ import annotations

import re

import streamlit as st

from memviz import __version__
from memviz.errors import MemvizError
from memviz.figures.source import SHARE
from memviz.settings import settings
from memviz.store.sizes import refuse_more
from memviz.tours import Stop, add_stop
from memviz.ui.common.components import Component
from memviz.ui.common.texts import told
from memviz.ui.common.widgets import saying

DRAWN = Component("memviz_share", SHARE.css, SHARE.js)
PRESENT = "present"
NOT_OF_THE_VIEW = ("tour", PRESENT)
"""Parameters of an address that say how it is shown."""


def offer_share(page: str) -> None:
    """Beside a page's title: a popover with the ways to hand its view on, and the switch that presents it."""
    asked = st.query_params.get(PRESENT)
    if asked != st.session_state.get("present_followed"):  # a link asks once; the switch has the last word
        st.session_state["present_followed"] = asked
        st.session_state[PRESENT] = bool(asked) or st.session_state.get(PRESENT, False)
    if st.session_state.get(PRESENT):
        _present()
    with st.container(key="share", width="content"), st.popover("Share", icon=":material/share:"):
        _offer(page)
        st.toggle("Present: no sidebar, larger type", key=PRESENT, persist_state="session")


@st.fragment
@saying()
def _offer(page: str) -> None:
    name = f"memviz-{page}-{re.sub('[^0-9a-z]+', '-', st.query_params.get('run', '').lower())[:12]}".rstrip("-")
    about = {"name": name, "about": f"memviz {__version__}"}
    said = DRAWN.draw(about, "share_view", added=None).get("added")
    if isinstance(said, dict):
        query: dict[str, str | list[str]] = {
            each: st.query_params.get_all(each) for each in st.query_params if each not in NOT_OF_THE_VIEW
        }
        try:
            stop = Stop(page, query, str(said.get("title", "")), str(said.get("note", "")))
            refuse_more(settings())
            add_stop(stop, str(said.get("picture", "")), settings())
            st.success("Added: see **Your tour** in the Gallery.")
        except MemvizError as error:
            st.error(told(error))


def _present() -> None:
    st.html(
        "<style>html{font-size:18.75px}[data-testid=stSidebar],[data-testid=stExpandSidebarButton]{display:none}"
        ".stMainBlockContainer{max-width:100rem;margin:auto}</style>"
    )
