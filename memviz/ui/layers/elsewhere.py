"""The ways between Inside the model and the other pages about one prompt."""

from __future__ import annotations

import streamlit as st

from memviz.tasks.ladder import LadderTask
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import PAGES
from memviz.ui.common.links import link_to
from memviz.ui.common.texts import escaped
from memviz.ui.layers.readings import LayersRow
from memviz.ui.several import PAGE


def offer_other_pages(task: LadderTask, row: LayersRow) -> None:
    """The ways to the same prompt on the pages that show what was written."""
    with st.container(horizontal=True):
        if clicked(st, "Open in Compare", f"{PAGE}_to_compare", icon=":material/stacks:"):
            st.switch_page(PAGES / "compare.py", query_params=link_to(task))
        if clicked(st, f"Open in Trace, {escaped(row.model.name)}", f"{PAGE}_to_trace", icon=":material/timeline:"):
            st.switch_page(PAGES / "trace.py", query_params=link_to(row.task.whole))
