"""On the Trace page: the runs of this session that it does not show."""

from __future__ import annotations

import streamlit as st

from memviz.jobs import Job, Status
from memviz.tasks.trace import TraceTask
from memviz.ui.common.clicks import clicked
from memviz.ui.common.links import LINK_LENGTH
from memviz.ui.common.process import session, worker
from memviz.ui.common.progress import POLL_SECONDS, end, may_end
from memviz.ui.common.runs import seen
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import saying

N_RUNS = 3
"""Runs listed that are not on the page, the last ones."""


def other_runs(current: str | None) -> None:
    """The runs of this session that are not on the page: name, progress, cancel, and the way back to each."""
    jobs = [job for job in worker().jobs_of(session()) if isinstance(job.task, TraceTask)]
    jobs = [job for job in jobs if job.key not in (current, *seen())]
    if not jobs:
        return
    active = [job for job in jobs if job.active]

    @saying()
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
        if may_end(job) and clicked(columns[2], "Cancel", f"stop-{job.id}", width="stretch"):
            end(job)
            seen().add(job.key)
            st.rerun(scope="app")
    elif clicked(columns[2], "Dismiss", f"dismiss-{job.id}", width="stretch"):
        seen().add(job.key)
        st.rerun(scope="app")
