"""The ways between Trace and the pages that ask several models."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from memviz.tasks.ladder import LadderTask
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import PAGES
from memviz.ui.common.links import link_to, pinned_token
from memviz.ui.prompt import said_prompt, take_prompt
from memviz.ui.several import PAGE, choose_those_with

COMPARE_HELP = "The same prompt under several models"
INSIDE_HELP = "The same prompt at every layer"


def offer_others(model: str) -> None:
    """On the Trace page: the ways to the same prompt under several models, and to every layer of them."""
    with st.container(horizontal=True):
        compared = clicked(st, "Open in Compare", "trace_to_compare", icon=":material/stacks:", help=COMPARE_HELP)
        inside = clicked(st, "Look inside the model", "trace_to_layers", icon=":material/layers:", help=INSIDE_HELP)
    if compared or inside:
        take_prompt(PAGE, said_prompt("trace"))
        choose_those_with(model)
        st.switch_page(PAGES / f"{'layers' if inside else 'compare'}.py", query_params=pinned_token())


def offer_trace(task: LadderTask, labels: Sequence[str]) -> None:
    """On the Compare page: the way to one row on the Trace page."""
    about, button, _ = st.columns([2.4, 1.6, 4], vertical_alignment="bottom")
    places = range(len(task.tasks))
    place = about.selectbox("One row alone", places, len(places) - 1, format_func=lambda i: labels[i])
    if clicked(button, "Open in Trace", f"{PAGE}_to_trace", icon=":material/timeline:", width="stretch"):
        st.switch_page(PAGES / "trace.py", query_params={**link_to(task.tasks[place]), **pinned_token()})
