"""Jobs on a page: progress, polled while they are active, and the button that cancels them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from memviz.jobs import Job, Status
from memviz.tasks.base import Task
from memviz.ui.common.clicks import clicked
from memviz.ui.common.process import is_at_server, session, worker
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.widgets import saying

POLL_SECONDS = 0.5


@st.fragment(run_every=POLL_SECONDS)
@saying()
def watch(
    job: Job,
    title: str,
    cancel: bool = False,
    unit: str = "positions",
    draw: Callable[[Any], None] | None = None,
) -> None:
    """Progress of a job, polled while it is active, and what it shows so far; then the whole page once."""
    if not job.active:
        st.rerun(scope="app")
    ahead = worker().place(job) if job.status == Status.QUEUED else 0
    stage = f"{ahead} before it in the queue" if ahead else job.stage
    share = min(1.0, job.done / job.total) if job.total else 0.0
    percent = f", {share:.0%}" if share else ""
    st.progress(share, text=escaped(f"{title}: {stage}{percent}"))
    columns = st.columns([1, 2, 4], vertical_alignment="center")
    if cancel and may_end(job):
        if clicked(columns[0], "Cancel", f"cancel-{job.id}", icon=":material/stop_circle:"):
            end(job)
        if st.session_state.get(f"kept-{job.id}") != job.kept:  # whoever else watches has changed it
            st.session_state[f"keep-{job.id}"] = st.session_state[f"kept-{job.id}"] = job.kept
        columns[1].toggle("Go on when nobody watches", key=f"keep-{job.id}", on_change=_keep, args=(job,))
    if draw and job.partial is not None:
        draw(job.partial)
    columns[2].caption(f"{job.seconds:.0f} s" + (f" · {job.done:,} of {job.total:,} {unit}" if job.total else ""))


def _keep(job: Job) -> None:
    kept = st.session_state[f"kept-{job.id}"] = st.session_state[f"keep-{job.id}"]
    worker().keep(job, kept)


def may_end(job: Job) -> bool:
    """Whether this visitor may end a job: who asked for it, who sits at the server, all once those who asked left."""
    return job.may_end(session()) or is_at_server()


def end(job: Job) -> None:
    """What a Cancel button does: a job goes on where another visitor asked for it too."""
    worker().cancel(job, None if is_at_server() else session())


@st.fragment(run_every=POLL_SECONDS)
@saying()
def watch_several(jobs: list[Job], n: int, key: str) -> None:
    """Progress of some of n models' jobs in one line, with one button that cancels them; the page once one ends."""
    if any(not job.active for job in jobs):
        st.rerun(scope="app")
    now = next((job for job in jobs if job.status == Status.RUNNING), jobs[0])
    ahead = worker().place(now) if now.status == Status.QUEUED else 0
    stage = f"{ahead} before it in the queue" if ahead else now.stage
    share = (n - len(jobs) + (now.done / now.total if now.total else 0)) / n
    progress, button = st.columns([8, 1.3], vertical_alignment="center")
    progress.progress(min(1.0, share), text=escaped(f"{now.task.model}: {stage} · {n - len(jobs)} of {n} models done"))
    ours = [job for job in jobs if may_end(job)]
    if ours and clicked(button, "Cancel", key, icon=":material/stop_circle:", width="stretch"):
        for job in ours:
            end(job)
        st.rerun(scope="app")


def under_way(
    task: Task[Any],
    title: str,
    cancel: bool = False,
    unit: str = "positions",
    draw: Callable[[Any], None] | None = None,
) -> bool:
    """Whether a task's job is active; then its progress is shown, and this session waits for it."""
    job = worker().job(task.hash)
    if job is None or not job.active:
        return False
    job.attend(session())
    watch(job, title, cancel, unit, draw)
    return True


def say_end(task: Task[Any], cancelled: str = "", about: str = "") -> bool:
    """Say why a task's job failed, or `cancelled` where it was; whether there was anything to say."""
    job = worker().job(task.hash)
    if job and job.status == Status.FAILED:
        st.error((f"{escaped(about)}: " if about else "") + told(job.error or "the job failed"))
        return True
    if job and job.status == Status.CANCELLED and cancelled:
        st.info(cancelled)
        return True
    return False


def offer_jobs(
    tasks: Sequence[Task[Any]],
    missing: Sequence[Task[Any]],
    verb: str,
    words: str,
    key: str,
    draw: Callable[[Task[Any], Any], None] | None = None,
) -> bool:
    """Progress of the jobs under way, else why some failed and the button that asks for what is missing.

    True while a job is under way. Jobs that just ended have saved their results before they are asked. `draw` is given
    a task and what its job shows so far.
    """
    active = [
        under_way(task, f"{words} of {task.model}", True, "rows, points or epochs", draw and partial(draw, task))
        for task in tasks
    ]
    if any(active) or not missing:
        return any(active)
    for task in missing:
        say_end(task, f"{words} of {escaped(task.model)} was cancelled; states that were read are kept.", task.model)
    if clicked(st, verb, key, type="primary"):
        for task in missing:
            worker().ask(task, session())
        st.rerun()
    return False
