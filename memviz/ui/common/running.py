"""Models got ready and tasks run: what a page shows before there is a result, and beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from memviz.catalog import Card, find_model, read_card
from memviz.errors import InputError
from memviz.jobs import Job, Status
from memviz.measures.score import longest_common_prefix, memorization_score
from memviz.records import Run
from memviz.settings import settings
from memviz.tasks.trace import TraceTask, result_key, run_hash, stored_run
from memviz.ui.common.clicks import clicked
from memviz.ui.common.shared import (
    bundled_models,
    default_model,
    device_kind,
    escaped,
    session,
    store,
    stored,
    told,
    worker,
)

LINK_LENGTH = 16
"""Characters of a run hash in a link."""
POLL_SECONDS = 0.5
N_RUNS = 3
"""Runs listed that are not on the page, the last ones."""
SEEN = "runs_seen"
"""Run hashes of ended jobs whose outcome this session has been shown."""


def card_of(model: str) -> Card:
    """The card of a model; where it must be got ready first, shows that and stops the page here."""
    card = read_card(find_model(model, settings()), settings())
    if card:
        return card
    job = worker().job(f"prepare {model}")
    if job is None and any(model == bundled.name for bundled in bundled_models()):
        job = worker().prepare(model, load=model == default_model())
    if job is None or not job.active:
        if job and job.status == Status.FAILED:
            st.error(told(job.error or ""))
        name = escaped(model)
        st.info(f"{name} must be read once before it can be used: its tokenizer, its weight identity, its limits.")
        if clicked(st, f"Get {name} ready", "prepare", type="primary"):
            worker().prepare(model, session())
            st.rerun()
        st.stop()
    watch(job, f"Getting {model} ready")
    st.stop()


def result_of(task: TraceTask, card: Card) -> tuple[str, Run]:
    """Key and result of a task; where there is none, shows its job or how to start it, and stops the page here.

    The job is asked before the store, for a job that just ended has already saved its result.
    """
    job = worker().job(run_hash(task))
    seen = st.session_state.setdefault(SEEN, set())
    seen.add(run_hash(task))
    if job and job.active:
        seen.discard(run_hash(task))
        job.attend(session())
        watch(job, f"{task.model} is decoding {task.n_steps} tokens", cancel=True)
        st.stop()
    found = stored(task, card)
    if found:
        return result_key(task, card, device_kind(task.dtype)), found
    if job and job.status == Status.FAILED:
        st.error(told(job.error or "the job failed"))
    elif job and job.status == Status.CANCELLED:
        st.info("Cancelled; nothing was kept. Press **Run** to start again.")
    else:
        st.info("Not computed yet: press **Run**. Opening a page or a link never starts work.")
    st.stop()


@st.fragment(run_every=POLL_SECONDS)
def watch(job: Job, title: str, cancel: bool = False, unit: str = "positions") -> None:
    """Progress of a job, polled while it is active; then the whole page once."""
    if not job.active:
        st.rerun(scope="app")
    ahead = worker().place(job) if job.status == Status.QUEUED else 0
    stage = f"{ahead} before it in the queue" if ahead else job.stage
    share = min(1.0, job.done / job.total) if job.total else 0.0
    st.progress(share, text=escaped(f"{title}: {stage}"))
    columns = st.columns([1, 2, 4], vertical_alignment="center")
    if cancel:
        if clicked(columns[0], "Cancel", f"cancel-{job.id}", icon=":material/stop_circle:"):
            worker().cancel(job)
        if st.session_state.get(f"kept-{job.id}") != job.kept:  # whoever else watches has changed it
            st.session_state[f"keep-{job.id}"] = st.session_state[f"kept-{job.id}"] = job.kept
        columns[1].toggle("Go on when nobody watches", key=f"keep-{job.id}", on_change=_keep, args=(job,))
    columns[2].caption(f"{job.seconds:.0f} s" + (f" · {job.done:,} of {job.total:,} {unit}" if job.total else ""))


def _keep(job: Job) -> None:
    job.kept = st.session_state[f"kept-{job.id}"] = st.session_state[f"keep-{job.id}"]


def other_runs(current: str | None) -> None:
    """The runs of this session that are not on the page: name, progress, cancel, and the way back to each."""
    seen = st.session_state.get(SEEN, set())
    jobs = [job for job in worker().jobs_of(session()) if job.key not in (current, *seen)]
    if not jobs:
        return
    active = [job for job in jobs if job.active]

    def lines() -> None:
        if any(not job.active for job in active):
            st.rerun(scope="app")
        for job in jobs[-N_RUNS:]:
            _show_run(job)
        if len(jobs) > N_RUNS:
            st.caption(f"and {len(jobs) - N_RUNS} more")

    with st.container(key="other_runs", border=True):
        st.fragment(lines, run_every=POLL_SECONDS if active else None)()


def _show_run(job: Job) -> None:
    task = job.task
    assert isinstance(task, TraceTask)
    columns = st.columns([6, 1.2, 1.2], vertical_alignment="center")
    ahead = worker().place(job) if job.status == Status.QUEUED else 0
    stage = f"{ahead} before it in the queue" if ahead else job.stage if job.active else job.status.value
    progress = f"{job.done:,} of {job.total:,} positions" if job.active and job.total else stage
    name = f"{escaped(task.model)}, {len(task.context_ids)} + {task.n_steps} tokens"
    columns[0].markdown(f"**{'Under way' if job.active else 'Ended'}:** {name} · {progress}")
    if clicked(columns[1], "Show", f"show-{job.id}", width="stretch"):
        for parameter in ("tok", "mode", "fill"):
            st.query_params.pop(parameter, None)
        st.query_params["run"] = job.key[:LINK_LENGTH]
        st.rerun(scope="app")
    if job.active:
        if clicked(columns[2], "Cancel", f"stop-{job.id}", width="stretch"):
            worker().cancel(job)
            st.session_state.setdefault(SEEN, set()).add(job.key)
            st.rerun(scope="app")
    elif clicked(columns[2], "Dismiss", f"dismiss-{job.id}", width="stretch"):
        st.session_state.setdefault(SEEN, set()).add(job.key)
        st.rerun(scope="app")


def show_passages(passages: Mapping[str, str], task_for: Callable[[str], TraceTask], card: Card) -> None:
    """What a model really does with each passage, from the store alone, and a button that runs the others."""
    rows, missing = [], []
    for title, passage in passages.items():
        score, prefix = "too short for these numbers", ""
        try:
            task = task_for(passage)
            key = result_key(task, card, device_kind(task.dtype))
            score, prefix = _score_and_prefix(key) if store().has(key) else ("not run yet", "")
            missing += [task] if score == "not run yet" else []
        except InputError:
            pass
        rows.append({"passage": title, "score M": score, "reproduced from the start": prefix})
    st.table(rows, border="horizontal", hide_index=True)
    if missing and clicked(st, f"Run the {len(missing)} not run yet", "run_passages"):
        for task in missing:
            worker().submit(task, session())
            st.session_state.setdefault(SEEN, set()).add(run_hash(task))  # this table shows them
        st.rerun()
    waiting = [job for task in missing if (job := worker().job(run_hash(task))) and job.active]
    if waiting:
        watch(waiting[-1], f"{len(waiting)} to run")


@st.cache_data(max_entries=500, show_spinner=False)
def _score_and_prefix(key: str) -> tuple[str, str]:
    found = stored_run(store(), key)
    if found is None:
        return "not run yet", ""
    score, prefix = memorization_score(found.trace)[0], longest_common_prefix(found.trace)[0]
    return f"{score:.2f}", f"{prefix} of {found.trace.n_continuation} tokens"


def note(task: TraceTask, provenance: dict[str, Any]) -> str:
    """Where a result came from, in one line."""
    versions = provenance["versions"]
    job = worker().job(run_hash(task))
    origin = "computed just now" if job and job.computed else "from the store"
    return (
        f"{origin} · "
        f"{escaped(provenance['label'])} · revision {provenance['revision']} · weights {provenance['weights'][:19]} · "
        f"{provenance['dtype']} · {provenance['device']} · {provenance['seconds']:.2f} s · "
        f"{provenance['created'][:16]} UTC · "
        f"torch {versions['torch']} · transformers {versions['transformers']}"
    )
