"""On the Trace page: what a model does with each of the passages."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.measures.score import longest_common_prefix, memorization_score
from memviz.passages import PASSAGES
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import key_of, stored
from memviz.ui.common.clicks import clicked
from memviz.ui.common.process import session, store, worker
from memviz.ui.common.progress import watch
from memviz.ui.common.runs import seen


def show_passages(task_for: Callable[[str], TraceTask], card: Card) -> None:
    """What a model really does with each passage, from the store alone, and a button that runs the others."""
    rows, missing = [], []
    for title, passage in PASSAGES.items():
        score, prefix = "too short for these numbers", ""
        try:
            task = task_for(passage)
            key = key_of(task, card)
            score, prefix = _score_and_prefix(key, task, card) if key and store().has(key) else ("not run yet", "")
            missing += [task] if score == "not run yet" else []
        except InputError:
            pass
        rows.append({"passage": title, "score M": score, "reproduced from the start": prefix})
    st.table(rows, border="horizontal", hide_index=True)
    if missing and clicked(st, f"Run the {len(missing)} not run yet", "run_passages"):
        for task in missing:
            worker().ask(task, session())
            seen().add(task.hash)  # this table shows them
        st.rerun()
    waiting = [job for task in missing if (job := worker().job(task.hash)) and job.active]
    if waiting:
        watch(waiting[-1], f"{len(waiting)} to run")


@st.cache_data(max_entries=500, show_spinner=False)
def _score_and_prefix(key: str, _task: TraceTask, _card: Card) -> tuple[str, str]:
    found = stored(_task, _card)
    if found is None:
        return "not run yet", ""
    score, prefix = memorization_score(found.trace)[0], longest_common_prefix(found.trace)[0]
    return f"{score:.2f}", f"{prefix} of {found.trace.n_continuation} tokens"
