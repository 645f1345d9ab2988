"""Which sweep a page is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from memviz.settings import settings
from memviz.sweeps import Sweep
from memviz.sweeps.kept import SHIPPED, kept_sweeps
from memviz.sweeps.rowset import SUITE
from memviz.ui.common.doors import PAGES
from memviz.ui.common.links import CHOSEN_LENGTH, keep_chosen, newly_chosen
from memviz.ui.common.widgets import forget_unknown


def name_of(sweep: Sweep) -> str:
    """What a link calls a sweep."""
    return "suite" if sweep.folder == SHIPPED else sweep.folder.name[:CHOSEN_LENGTH]


def title_of(sweep: Sweep) -> str:
    """A sweep in words."""
    about, task = sweep.manifest, sweep.task
    rows = "the bundled corpus" if task.rows.source == SUITE else task.rows.path.name
    when = about["provenance"]["created"][:16].replace("T", " ")
    words = f"{len(task.models)} models, {about['rows']['n']:,} rows of {rows}"
    if sweep.folder == SHIPPED:
        return f"Bundled suite: {words}"
    return " · ".join(filter(None, (sweep.name, words, when)))


def short_title_of(sweep: Sweep) -> str:
    """The same in few words."""
    what = "Bundled suite" if sweep.folder == SHIPPED else sweep.name or sweep.task.rows.path.name
    return f"{what}, {len(sweep.task.models)} models"


def sweeps_here() -> dict[str, Sweep]:
    """Finished sweeps by what links call them; where there is none, says how to make one and stops the page here."""
    found = {name_of(sweep): sweep for sweep in kept_sweeps(settings())}
    if not found:
        st.info(
            "There is no finished sweep yet. A sweep asks many rows of many models; its tables are what these pages "
            "draw. Run one on the Sweeps page, or with `memviz sweep`."
        )
        st.page_link(PAGES / "sweeps.py", label="Run a sweep", icon=":material/play_circle:")
        st.stop()
    return found


def said_sweep(found: Mapping[str, Sweep]) -> Sweep:
    """The sweep that the address or the widget names, before the widget is drawn; the first one otherwise."""
    asked = newly_chosen("sweep", found, "sweep")
    if asked:
        st.session_state["sweep"] = asked
    forget_unknown("sweep", list(found))
    return found[st.session_state.get("sweep") or next(iter(found))]


def choose_sweep(where: Any) -> Sweep:
    """The sweep that a page is about; where there is none, says how to make one and stops the page here."""
    found = sweeps_here()
    said_sweep(found)
    return offer_sweeps(where, found)


def offer_sweeps(where: Any, found: Mapping[str, Sweep]) -> Sweep:
    """The widget that chooses among sweeps, at first the one that `said_sweep` found."""
    names = {name: title_of(sweep) for name, sweep in found.items()}
    chosen = where.selectbox("Sweep", list(found), format_func=lambda n: names[n], key="sweep", persist_state="session")
    keep_chosen("sweep", chosen)
    return found[chosen]
