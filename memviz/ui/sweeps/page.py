"""Running a sweep from a page: the widgets that make its task, its job, and what is kept of others."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from memviz.catalog import known_models, read_card
from memviz.demo.stream import TrainingData
from memviz.demo.suite import read_data
from memviz.errors import InputError, MemvizError
from memviz.jobs import Job, Status
from memviz.settings import settings
from memviz.sweeps import RowSet, Sweep, SweepTask, row_sets, sweep_hash, sweep_task_from
from memviz.sweeps.kept import finished_sweep, kept_sweeps, outdated, sweep_folder, unfinished
from memviz.sweeps.rowset import PARTS
from memviz.sweeps.task import ANCHORED, AT, CONTEXTS, CONTINUATIONS, SLIDING
from memviz.ui.common.clicks import clicked
from memviz.ui.common.running import LINK_LENGTH, watch
from memviz.ui.common.shared import PAGES, bundled_models, escaped, session, store, told, worker
from memviz.ui.population.page import KEY_LENGTH, name_of, title_of

SUITE_ROWS = "Rows of the bundled corpus"
FINISHED = "sweeps_seen_running"
KEEP: dict[str, Any] = {"persist_state": "session"}


def choose_task() -> SweepTask:
    """The task that the widgets ask for. Raises InputError where they make none."""
    ready = [model.name for model in known_models(settings()) if read_card(model, settings())]
    bundled = [model.name for model in bundled_models()]
    whole = [model.name for model in bundled_models() if model.step == model.n_steps and not model.seed][::-1]
    options = list(dict.fromkeys([*bundled[::-1], *ready]))
    models = st.multiselect("Models", options, whole, key="sweep_models", **KEEP)
    rows = _choose_rows()
    sizes = st.columns([2, 2, 1.6])
    contexts = sizes[0].pills(
        "Context sizes k", CONTEXTS, selection_mode="multi", wrap=True, default=CONTEXTS, key="sweep_contexts", **KEEP,
        help=f"A context curve at m = {AT}; none leaves it out.",
    )  # fmt: skip
    continuations = sizes[1].pills(
        "Continuation sizes m", CONTINUATIONS, selection_mode="multi", wrap=True, default=CONTINUATIONS,
        key="sweep_continuations", **KEEP, help=f"A continuation curve at k = {AT}; one decode serves all of them.",
    )  # fmt: skip
    modes = sizes[2].pills(
        "Context grows", [SLIDING, ANCHORED], selection_mode="multi", wrap=True, default=[SLIDING, ANCHORED],
        key="sweep_modes", **KEEP,
        help="sliding: the first k tokens of the row, so the target moves. anchored: the target stays.",
    )  # fmt: skip
    positions = st.toggle(
        "Also every position", True, key="sweep_positions", help="Entropy curves on the Boundary page need it.", **KEEP
    )
    return SweepTask(
        models=tuple(models),
        rows=rows,
        contexts=tuple(contexts),
        context_modes=tuple(modes) or (SLIDING,),
        continuations=tuple(continuations),
        dtype=settings().dtype,
        positions=positions,
    )


@cache
def _corpus() -> TrainingData | None:
    """The bundled corpus, or None where the suite is not there."""
    try:
        return read_data()
    except OSError:
        return None


def _choose_rows() -> RowSet:
    saved = {each["name"]: each["rows"] for each in row_sets(settings())}
    data = _corpus()
    sources = [*([SUITE_ROWS] if data else []), *saved]
    if not sources:
        raise InputError("the bundled corpus is not here, and no row set is saved: use `memviz sweep --data FILE`")
    if st.session_state.get("sweep_source") not in (None, *sources):
        del st.session_state["sweep_source"]
    source = st.selectbox(
        "Rows", sources, key="sweep_source", help="Row sets are saved on any page that lists or filters rows; "
        "files of your own are swept with `memviz sweep --data FILE`.", **KEEP,
    )  # fmt: skip
    if source != SUITE_ROWS or data is None:
        return saved[source]
    filters = st.columns([2, 2.4, 2.4, 1.2])
    parts = filters[0].pills("Part", PARTS, selection_mode="multi", wrap=True, key="sweep_parts", **KEEP)
    domains = filters[1].pills(
        "Domain", sorted(set(data.domain.tolist())), selection_mode="multi", wrap=True, key="sweep_domains", **KEEP
    )
    buckets = filters[2].pills(
        "Planned exposures",
        sorted(set(data.bucket.tolist())),
        selection_mode="multi",
        wrap=True,
        key="sweep_buckets",
        **KEEP,
    )
    sample = filters[3].number_input(
        "Sample", min_value=1, value=None, step=100, placeholder="all", key="sweep_sample", **KEEP,
        help="So many of the rows that pass, drawn at random; empty: all of them.",
    )  # fmt: skip
    return RowSet(domains=tuple(domains), buckets=tuple(buckets), parts=tuple(parts), sample=sample)


def start(task: SweepTask) -> None:
    """Keep the request under its hash, put it into the link, and start or join its job."""
    name = sweep_hash(task)
    store().put_request(name, task.request())
    st.query_params["run"] = name[:LINK_LENGTH]
    worker().sweep(task, session())


def linked_task() -> SweepTask | None:
    """The sweep that the address names; says so where it is unknown. Never starts work."""
    name = st.query_params.get("run")
    if not name:
        return None
    try:
        request = store().get_request(name)
        if request:
            return sweep_task_from(request)
        st.warning(f"This link names sweep {name[:16]}, which is not stored here: it was made elsewhere.")
    except MemvizError as error:
        st.warning(f"This link cannot be followed: {told(error)}")
    return None


def words_of(task: SweepTask) -> str:
    """A request in one line."""
    rows = task.rows
    said = [*rows.parts, *rows.domains, *(f"{bucket} exposures" for bucket in rows.buckets)]
    said += [f"{len(rows.rows):,} chosen rows"] if rows.rows else []
    said += [f"a sample of {rows.sample:,}"] if rows.sample else []
    return f"{', '.join(task.models)} · {', '.join(said) or 'all rows'} of {rows.source}"


def show_task(task: SweepTask) -> None:
    """Where a sweep stands: its progress with a cancel, its result, or how to start it or go on."""
    job, name = worker().job(sweep_hash(task)), sweep_hash(task)
    if job and job.active:
        job.attend(session())
        st.session_state.setdefault(FINISHED, set()).add(name)
        watch(job, f"Sweeping {len(task.models)} models", cancel=True, unit="tokens")
        return
    found = finished_sweep(task, settings())
    why = found and outdated(found, settings())
    if why:
        st.warning(f"Finished earlier, but {escaped(why)}. Its tables are those of then; batches still valid are kept.")
    elif found:
        st.success("Finished." if name in st.session_state.get(FINISHED, ()) else "Finished earlier; nothing to do.")
    if found:
        _offer_pages(name[:KEY_LENGTH])
    if found and not why:
        return
    _say_why_not(job)
    begun = sweep_folder(task, settings()).exists()
    label = "Run again" if why else "Go on" if begun else "Run"
    if clicked(st, label, "sweep_start", type="primary", icon=":material/play_circle:"):
        start(task)
        st.rerun()


def _say_why_not(job: Job | None) -> None:
    if job and job.status == Status.FAILED:
        st.error(told(job.error or "the sweep failed"))
    elif job and job.status == Status.CANCELLED:
        st.info("Cancelled. Batches that were done are kept: **Go on** computes the others alone.")


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
        request = store().get_request(name)
        if request:
            columns = st.columns([6, 1.2], vertical_alignment="center")
            columns[0].markdown(f"**Unfinished** · {escaped(words_of(sweep_task_from(request)))}")
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
