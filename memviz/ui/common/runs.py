"""A traced prompt on a page: asked for, its result or how to get it, and where it came from."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from memviz.catalog import Card
from memviz.records import Partial, Run
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import key_of, stored
from memviz.ui.common.links import PageLink, keep_request
from memviz.ui.common.lookup import ensure_index
from memviz.ui.common.process import session, tokenizer, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.texts import escaped


def seen() -> set[str]:
    """Hashes of the requests whose outcome this session has been shown, or is shown by another part of the page."""
    return st.session_state.setdefault("runs_seen", set())


def result_of(task: TraceTask, card: Card) -> tuple[str, Run]:
    """Key and result of a task; where there is none, shows its job or how to start it, and stops the page here.

    The job is asked before the store, for a job that just ended has already saved its result.
    """
    if under_way(task, f"{task.model} is decoding {task.n_steps} tokens", cancel=True, draw=partial(draw_so_far, card)):
        seen().discard(task.hash)
        st.stop()
    seen().add(task.hash)
    found, key = stored(task, card), key_of(task, card)
    if found and key:
        return key, found
    if not say_end(task, "Cancelled; nothing was kept. Press **Run** to start again."):
        st.info("Not computed yet: press **Run**. Opening a page or a link never starts work.")
    st.stop()


def draw_so_far(card: Card, so_far: Partial) -> None:
    """Tokens and their entropy as they come, before anything is known of matches."""
    text = tokenizer(card).to_bytes(so_far.generated_ids).decode("utf-8", "replace")
    st.caption(f"written so far, {len(so_far.generated_ids):,} tokens; entropy of each, nats")
    st.code(text, language=None, wrap_lines=True)
    st.line_chart(so_far.entropy, height=120, x_label="position", y_label="nats")


def note(task: TraceTask, provenance: dict[str, Any]) -> str:
    """Where a result came from, in one line."""
    versions = provenance["versions"]
    job = worker().job(task.hash)
    origin = "computed just now" if job and job.computed else "from the store"
    return (
        f"{origin} · "
        f"{escaped(provenance['label'])} · revision {provenance['revision']} · weights {provenance['weights'][:19]} · "
        f"{provenance['dtype']}{'' if provenance['dtype'] == 'float32' else f' ({task.reading})'} · "
        f"{provenance['device']} · {provenance['seconds']:.2f} s · "
        f"{provenance['created'][:16]} UTC · "
        f"torch {versions['torch']} · transformers {versions['transformers']}"
    )


def run(task: TraceTask, card: Card, link: PageLink[TraceTask] | None = None) -> None:
    """What the Run button does: start or join the job, and put the request into the address, or into a page's link.

    A stored result is shown as it is, for reading never waits in the queue.
    """
    if stored(task, card) is None:
        worker().ask(task, session())
    ensure_index(task.model)
    if link:
        link.keep(task)
    else:
        keep_request(task)
