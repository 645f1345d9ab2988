"""The Trace page's prompt on the Map page: its way through a map that it does not move."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from memviz.errors import InputError, MemvizError
from memviz.figures.glyphs import visible
from memviz.figures.maps import Path
from memviz.maps import trajectory
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import stored
from memviz.ui.common.links import LINK_LENGTH, find_task
from memviz.ui.common.process import tokenizer
from memviz.ui.map.form import Asked
from memviz.ui.map.frame import Framed
from memviz.ui.trace.form import LINK


def current_prompt() -> tuple[str, TraceTask] | None:
    """The run that the address names, or the one last seen on the Trace page."""
    name = st.query_params.get("prompt") or LINK.name
    with suppress(MemvizError):
        task = find_task(TraceTask, name) if name else None
        return (name[:LINK_LENGTH], task) if name and task else None
    return None


def trail_of(asked: Asked, frames: Sequence[Framed]) -> tuple[str, Path] | str:
    """The current prompt's model and way, or the sentence that says why there is none."""
    prompt = current_prompt()
    if prompt is None:
        return "No prompt was run on the Trace page in this session: run one there, then come back."
    task = prompt[1]
    if task.model not in asked.models:
        return f"The Trace page's prompt was read by {task.model}: map that model to see it here."
    place = asked.models.index(task.model)
    card, frame = asked.cards[place], frames[place]
    run = stored(task, card)
    if run is None or run.trace.hidden is None:
        return "The Trace page's prompt has no stored result any more: run it again there."
    try:
        xy = frame.moved(trajectory(frame.found, run.trace.hidden))
    except InputError as error:
        return f"The Trace page's prompt is not drawn: {error}."
    ids = [*run.trace.context_ids[0].tolist(), *run.trace.generated_ids[0].tolist()]
    words = visible(tokenizer(card).pieces(ids))
    return task.model, Path(xy, words, run.trace.n_context)


def keep_prompt(on: bool) -> None:
    """Name the prompt that is drawn in the address, or take it out."""
    prompt = current_prompt() if on else None
    if prompt is not None:
        st.query_params["prompt"] = prompt[0]
    elif not on:
        st.query_params.pop("prompt", None)
