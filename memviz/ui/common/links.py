"""A page's address says what it shows: the request, the pinned token, the way of reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import streamlit as st

from memviz.catalog import Card
from memviz.errors import MemvizError
from memviz.figures.linked import FILLS, MODES
from memviz.tasks.trace import TraceTask, run_hash, task_from
from memviz.tokenizer import Tokenizer
from memviz.ui.common.rows import ROW
from memviz.ui.common.running import LINK_LENGTH, card_of
from memviz.ui.common.shared import pinned_index, samples, session, store, stored, tokenizer, told, worker
from memviz.ui.trace.training_data import ensure_index

_NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
_SAMPLING = ("sampled", *_NEUTRAL)


def run(task: TraceTask, card: Card, page: str) -> None:
    """What the Run button does: keep the request under its hash, put it into the link, and start or join the job.

    A stored result is shown as it is, for reading never waits in the queue.
    """
    name = run_hash(task)
    store().put_request(name, task.request())
    if stored(task, card) is None:
        worker().submit(task, session())
    ensure_index(task.model)
    st.query_params["run"] = name[:LINK_LENGTH]
    st.session_state[f"{page}_followed"] = (name[:LINK_LENGTH], _inputs(page))


def _inputs(page: str) -> dict[str, Any]:
    """What the visitor has chosen on a page, by widget."""
    names = ("model", "source", "row", "text", "context", "continuation", "decode_only", "bar_eos", *_SAMPLING)
    return {name: st.session_state.get(f"{page}_{name}") for name in names}


def followed_link(page: str, passages: Mapping[str, str], own_text: str) -> TraceTask | None:
    """The request a link names, while the widgets still say what it says; they are filled from it when it is new.

    Never starts work. An unknown hash is said to be unknown, and the page goes on as without a link.
    """
    name = st.query_params.get("run")
    if not name:
        return None
    try:
        request = store().get_request(name)
        task = request and task_from(request)
    except MemvizError as error:
        st.warning(f"This link cannot be followed: {told(error)}")
        return None
    if not task:
        st.warning(
            f"This link names run {name[:16]}, which is not stored here: "
            "it was made elsewhere, or the cache was cleared."
        )
        return None
    followed = st.session_state.get(f"{page}_followed")
    if followed is None or followed[0] != name:
        _fill(page, task, passages, own_text)
        st.session_state[f"{page}_followed"] = (name, _inputs(page))
    elif _inputs(page) != followed[1]:
        del st.session_state[f"{page}_followed"]  # the same link may come back
        for parameter in ("run", "tok"):
            st.query_params.pop(parameter, None)
        return None
    return task


def _fill(page: str, task: TraceTask, passages: Mapping[str, str], own_text: str) -> None:
    """Set a page's widgets to what a task asks."""
    card = card_of(task.model)
    ids = [*task.context_ids, *(task.continuation_ids or ())][len(card.leading_ids) :]
    text = tokenizer(card).to_bytes(ids).decode("utf-8", "replace")
    source = next((title for title, passage in passages.items() if passage.startswith(text)), own_text)
    row = _row_of(ids, text, tokenizer(card)) if source == own_text else None
    if row is not None:
        source = ROW
    decoding = asdict(task.decoding)
    values = {
        "model": task.model,
        "source": source,
        "row": st.session_state.get(f"{page}_row", 0) if row is None else row,
        "text": text if source == own_text else st.session_state.get(f"{page}_text", ""),
        "context": max(1, len(task.context_ids) - len(card.leading_ids)),
        "continuation": task.n_steps,
        "decode_only": task.continuation_ids is None,
        "bar_eos": task.decoding.bar_eos,
        "sampled": not task.decoding.greedy,
        **{name: _NEUTRAL[name] if decoding[name] is None else decoding[name] for name in _NEUTRAL},
    }
    for name, value in values.items():
        st.session_state[f"{page}_{name}"] = value


def _row_of(ids: list[int], text: str, own: Tokenizer) -> int | None:
    """The training row that a request's ids, or its text under another tokenizer, are the start of."""
    rows = samples()
    if rows is None:
        return None
    return rows.row_of(ids) if own.hash == rows.tokenizer.hash else rows.row_of_text(text)


def take_upload(given: Any, text_key: str) -> None:
    """Put an uploaded text into a text area, once; says so where it is not UTF-8."""
    if given is None or st.session_state.get(f"{text_key}_from") == given.file_id:
        return
    try:
        st.session_state[text_key] = given.getvalue().decode("utf-8-sig")
        st.session_state[f"{text_key}_from"] = given.file_id
    except UnicodeDecodeError as error:
        st.error(f"{told(given.name)} is not UTF-8 (byte {error.start}): save it as UTF-8")


def selection(query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The pinned token, way of reading and fill that a link asks for; what makes no sense is left out.

    `query` are its parameters, by default those of the page.
    """
    given = st.query_params if query is None else query
    wishes = {"mode": MODES, "fill": FILLS}
    asked = {name: given[name] for name, known in wishes.items() if given.get(name) in known}
    return {"pinned": pinned_index(given), **asked}
