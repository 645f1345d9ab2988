"""Where the last trace was quick, the next one needs no button: a changed text or split runs by itself."""

from __future__ import annotations

import math
import time

import streamlit as st

from memviz.catalog import Card
from memviz.figures.source import TYPING
from memviz.records import Run
from memviz.settings import settings
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import stored
from memviz.ui.common.components import Component
from memviz.ui.common.process import session, worker
from memviz.ui.common.runs import run, seen
from memviz.ui.common.training_rows import edited
from memviz.ui.trace.form import LINK, PAGE

QUICK = 1.0
"""Seconds of the last run, from which on the next one waits for its button."""
PAUSE = 0.3
"""Seconds after a change is told, which for typing is a tenth of a second after the last key."""
PATIENCE = 2.0
"""Seconds that the old result stays, faded by Streamlit as long as the script runs, before progress takes its place."""
_LOOK = 0.05
_HEARD = Component("memviz_typing", TYPING.css, TYPING.js)
_EDITED, _TOOK, _ASKED = edited(PAGE), "trace_took", "trace_asked"


def hear_typing() -> None:
    """Let the text be told while it is typed, where a change may run by itself."""
    if settings().autorun:
        with st.container(key="unseen"):
            _HEARD.draw({"fields": f".st-key-{PAGE}_text textarea"}, "trace_typing")


def note_edit() -> None:
    """A visitor has changed the text or how it is divided."""
    st.session_state[_EDITED] = True


def note_run(task: TraceTask, shown: Run) -> None:
    """What the page shows, and how long it took."""
    st.session_state[_TOOK] = (task.model, shown.provenance["seconds"])


def run_edited(task: TraceTask, card: Card) -> None:
    """Ask what a visitor's change asks, and wait a moment for it; a newer change ends this script, and the older job.

    A script that is cut short in the pause has asked nothing. Links and first visits change nothing.
    """
    if not st.session_state.get(_EDITED):
        return
    older = worker().job(st.session_state.pop(_ASKED, ""))
    if older and older.active and older.key != task.hash:
        worker().cancel(older, session())
        seen().add(older.key)  # nobody asked for it by a button, so its end is no news
    model, seconds = st.session_state.get(_TOOK, ("", math.inf))
    if settings().autorun and model == task.model and seconds < QUICK and stored(task, card) is None:
        time.sleep(PAUSE)
        st.session_state[_EDITED] = False  # the script is cut short here where a newer change has come
        run(task, card, LINK)
        st.session_state[_ASKED] = task.hash
        _wait(task)
    st.session_state[_EDITED] = False


def _wait(task: TraceTask) -> None:
    until = time.monotonic() + PATIENCE
    while (job := worker().job(task.hash)) and job.active and time.monotonic() < until:
        time.sleep(_LOOK)
        st.session_state.get(_ASKED)  # and here
