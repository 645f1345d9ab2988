"""On the Trace page: what a model does with each of the passages."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.measures.score import longest_common_prefix, memorization_score
from memviz.passages import PASSAGES
from memviz.tasks.trace import TraceTask, result_key, run_hash, stored_run
from memviz.ui.common.clicks import clicked
from memviz.ui.common.process import device_kind, session, store, worker
from memviz.ui.common.progress import watch
from memviz.ui.common.runs import seen


def show_passages(task_for: Callable[[str], TraceTask], card: Card) -> None:
    """What a model really does with each passage, from the store alone, and a button that runs the others."""
    rows, missing = [], []
    for title, passage in PASSAGES.items():
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
            seen().add(run_hash(task))  # this table shows them
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
