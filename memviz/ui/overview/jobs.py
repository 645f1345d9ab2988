"""On the Overview page: every job of this server, whoever asked for it, and what a killed one was to go on with."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import streamlit as st

from memviz.errors import MemvizError
from memviz.jobs import Job, Status
from memviz.jobs.leftover import left_over
from memviz.settings import settings
from memviz.sweeps.progress import duration
from memviz.tasks.base import Task, task_from
from memviz.ui.common.clicks import clicked
from memviz.ui.common.process import session, worker
from memviz.ui.common.progress import end, may_end
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import saying

POLL_SECONDS = 2.0
MOST = 12
"""Jobs listed before somebody asks for all."""


def show_jobs() -> None:
    """Kind, size, time left and whose, with a Cancel where this visitor may; polled while there are any."""
    left = left_over(settings().cache)
    is_busy = bool(worker().jobs())
    if is_busy or left:
        st.subheader("Under way", anchor=False)
    st.fragment(_lines, run_every=POLL_SECONDS if is_busy else None)()
    if left:
        from memviz.maps import task as _maps  # noqa: F401 - their kinds are known then
        from memviz.predictor import task as _predictors  # noqa: F401
    for path, request in left.items():
        with suppress(MemvizError):
            task: Task[Any] = task_from(request)
            columns = st.columns([4, 1.4, 1.4], vertical_alignment="center")
            columns[0].markdown(f"**{task.kind}** of {escaped(task.model)}: left when a server ended")
            if clicked(columns[1], "Go on", f"again-{path.stem}", width="stretch"):
                worker().ask(task, session())
                path.unlink(missing_ok=True)
                st.rerun()
            if clicked(columns[2], "Forget", f"forget-{path.stem}", width="stretch"):
                path.unlink(missing_ok=True)
                st.rerun()


@saying()
def _lines() -> None:
    jobs = worker().jobs()
    for job in jobs if st.session_state.get("all_jobs") else jobs[:MOST]:
        columns = st.columns([5, 1.6], vertical_alignment="center")
        columns[0].markdown(words_of(job))
        if may_end(job) and clicked(columns[1], "Cancel", f"end-{job.id}", width="stretch"):
            end(job)
            st.rerun(scope="app")
    if len(jobs) > MOST:
        st.toggle(f"List all {len(jobs)}", key="all_jobs")


def words_of(job: Job) -> str:
    """A job in one line of Markdown."""
    size = f"{job.done:,} of {job.total:,}" if job.total else job.stage
    state = size if job.status == Status.RUNNING else "waits"
    left = f", about {duration(job.seconds_left)} left" if job.seconds_left is not None else ""
    whose = "yours" if session() in job.askers else "another's" if job.askers & job.sessions else "nobody's now"
    return f"**{job.task.kind}** of {escaped(job.task.model)} · {escaped(state)}{left} · {whose}"
