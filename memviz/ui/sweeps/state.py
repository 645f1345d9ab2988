"""Where a sweep stands on the Sweeps page, and what is kept of others."""

from __future__ import annotations

import streamlit as st

from memviz.settings import settings
from memviz.sweeps import Sweep, SweepTask
from memviz.sweeps.kept import kept_sweeps, outdated, unfinished
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import PAGES
from memviz.ui.common.links import CHOSEN_LENGTH, LINK_LENGTH, find_task, keep_request
from memviz.ui.common.process import session, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.sweep import name_of, title_of
from memviz.ui.common.texts import escaped

FINISHED = "sweeps_seen_running"


def start(task: SweepTask) -> None:
    """Put the request into the address, and start or join its job."""
    keep_request(task)
    worker().ask(task, session())


def words_of(task: SweepTask) -> str:
    """A request in one line."""
    rows = task.rows
    said = [*rows.parts, *rows.domains, *(f"{bucket} exposures" for bucket in rows.buckets)]
    said += [f"{len(rows.rows):,} chosen rows"] if rows.rows else []
    said += [f"a sample of {rows.sample:,}"] if rows.sample else []
    return f"{', '.join(task.models)} · {', '.join(said) or 'all rows'} of {rows.source}"


def show_task(task: SweepTask) -> None:
    """Where a sweep stands: its progress with a cancel, its result, or how to start it or go on."""
    name, job = task.hash, worker().job(task.hash)
    if job and job.active:
        st.session_state.setdefault(FINISHED, set()).add(name)
    if under_way(task, f"Sweeping {len(task.models)} models", cancel=True, unit="tokens"):
        return
    found = task.finished(settings())
    why = found and outdated(found, settings())
    if why:
        st.warning(f"Finished earlier, but {escaped(why)}. Its tables are those of then; batches still valid are kept.")
    elif found:
        st.success("Finished." if name in st.session_state.get(FINISHED, ()) else "Finished earlier; nothing to do.")
    if found:
        _offer_pages(name[:CHOSEN_LENGTH])
    if found and not why:
        return
    say_end(task, "Cancelled. Batches that were done are kept: **Go on** computes the others alone.")
    begun = task.folder(settings()).exists()
    label = "Run again" if why else "Go on" if begun else "Run"
    if clicked(st, label, "sweep_start", type="primary", icon=":material/play_circle:"):
        start(task)
        st.rerun()


def _offer_pages(name: str) -> None:
    with st.container(horizontal=True):
        for page, icon in (("population", "groups"), ("transitions", "grid_on"), ("boundary", "vertical_split")):
            st.page_link(
                PAGES / f"{page}.py", label=page.capitalize(), icon=f":material/{icon}:",
                query_params={"sweep": name},
            )  # fmt: skip


def show_kept() -> None:
    """Finished sweeps with the way to their figures, and those left unfinished."""
    found = kept_sweeps(settings())
    for sweep in found:
        _show_sweep(sweep)
    left = [name for name in unfinished(settings()) if not ((job := worker().job(name)) and job.active)]
    for name in left:
        task = find_task(SweepTask, name)
        if task:
            columns = st.columns([6, 1.2], vertical_alignment="center")
            columns[0].markdown(f"**Unfinished** · {escaped(words_of(task))}")
            if clicked(columns[1], "Show", f"show-{name}", width="stretch"):
                st.query_params["run"] = name[:LINK_LENGTH]
                st.rerun()
    if not found and not left:
        st.info("None yet: choose models and rows above and press **Run**.")


def _show_sweep(sweep: Sweep) -> None:
    about = sweep.manifest
    with st.container(border=True):
        st.markdown(f"**{escaped(title_of(sweep))}**")
        notes = [
            f"{about['tables']['sequences']['n_rows']:,} sequences",
            "with every position" if "positions" in about["tables"] else "without positions",
        ]
        made = about["provenance"]
        notes += [f"{made['seconds']:.0f} s on {made['device']}"] if made["batches_computed"] else []
        notes += [f"packed: {about['packed']['digits']}"] if "packed" in about else []
        notes += [f"{about['rows']['n_malformed']:,} malformed rows left out"] if about["rows"]["n_malformed"] else []
        skipped = [f"k = {each['k']}, m = {each['m']} ({each['n_rows']:,} rows too short)" for each in about["skipped"]]
        st.caption(" · ".join(notes) + (f" · skipped: {', '.join(skipped)}" if skipped else ""))
        _offer_pages(name_of(sweep))
