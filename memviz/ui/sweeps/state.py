"""Where a sweep stands on the Sweeps page, and what is kept of others."""

from __future__ import annotations

import streamlit as st

from memviz.errors import MemvizError
from memviz.settings import settings
from memviz.sweeps import Sweep, SweepTask
from memviz.sweeps.estimate import estimate, lengths_of_rows
from memviz.sweeps.kept import SHIPPED, delete_sweep, kept_sweeps, outdated, rename_sweep, unfinished
from memviz.sweeps.progress import duration
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import DOORS, PAGES
from memviz.ui.common.links import CHOSEN_LENGTH, LINK_LENGTH, find_task, keep_request
from memviz.ui.common.process import session, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.sweep import name_of, title_of
from memviz.ui.common.texts import escaped, told

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


SHOWN_ON = ("population", "transitions", "boundary", "map", "dynamics", "membership")
"""Pages that draw a sweep."""


def _offer_pages(name: str) -> None:
    with st.container(horizontal=True):
        for door in DOORS:
            if door.name in SHOWN_ON:
                icon = f":material/{door.icon}:"
                st.page_link(PAGES / f"{door.name}.py", label=door.title, icon=icon, query_params={"sweep": name})


def estimate_words(*tasks: SweepTask) -> str:
    """What sweeps of the same rows amount to, in a line. Raises InputError where no row or model can be asked."""
    lengths = lengths_of_rows(tasks[0])
    if lengths is None:
        return "How many rows the file has, and so how long it takes, is known once it is read."
    earlier = kept_sweeps(settings())
    found = [estimate(task, lengths, earlier, settings()) for task in tasks]
    how = "as fast as earlier sweeps here" if found[0].is_measured else "a rough guess for this machine's processor"
    return (
        f"**{found[0].n_rows:,} rows, {sum(each.n_sequences for each in found):,} sequences**, up to "
        f"{_size(sum(each.n_bytes for each in found))} kept in the store, about "
        f"**{duration(sum(each.seconds for each in found))}** ({how})."
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"


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


def _look_after(sweep: Sweep) -> None:
    """Fields to name a kept sweep and to delete it."""
    key = sweep.folder.name[:CHOSEN_LENGTH]
    name = st.text_input("Name", sweep.name, key=f"sweep_name-{key}")
    try:
        if clicked(st, "Rename", f"sweep_rename-{key}", disabled=name.strip() == sweep.name):
            rename_sweep(sweep, name, settings())
            st.rerun()
        sure = st.checkbox("Delete its tables for good", key=f"sweep_sure-{key}")
        if clicked(st, "Delete", f"sweep_delete-{key}", disabled=not sure, icon=":material/delete:"):
            delete_sweep(sweep, settings())
            st.rerun()
    except MemvizError as error:
        st.error(told(error))


def _show_sweep(sweep: Sweep) -> None:
    about = sweep.manifest
    with st.container(border=True):
        head, tools = st.columns([6, 1.6], vertical_alignment="center")
        head.markdown(f"**{escaped(title_of(sweep))}**")
        if sweep.folder != SHIPPED:
            with tools.popover("Name, delete", width="stretch"):
                _look_after(sweep)
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
