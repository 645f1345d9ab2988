"""On the Trace page: what a predictor says of a prompt before anything is generated."""

from __future__ import annotations

import streamlit as st

from memviz.catalog import Card
from memviz.predictor.forecast import Forecast, ForecastTask
from memviz.predictor.known import Known
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import key_of, stored
from memviz.ui.common.clicks import clicked
from memviz.ui.common.frames import draw, picture
from memviz.ui.common.process import session, store, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.trace.predictors import choose_own, clock, question, said_of, said_of_row, usable


def show_forecast(task: TraceTask, card: Card) -> None:
    """Where nothing was generated yet: what the context alone tells, or the button that asks for it."""
    known = usable(card, task)[0].get("context")
    key = key_of(task, card)
    if known is None or (key and store().has(key)):
        return
    asked = question(task, known)
    found = stored(asked, card)
    with st.container(border=True):
        st.markdown("**Before anything is generated: P(memorized) from the context alone**")
        choose_own(card, task, {"context"})
        if found is not None:
            _draw(found, known, task)
        elif not under_way(asked, f"{task.model} reads {len(task.context_ids)} tokens of context", unit="contexts"):
            _offer(asked)


def _offer(asked: ForecastTask) -> None:
    say_end(asked)
    button, note = st.columns([2, 5], vertical_alignment="center")
    if clicked(button, "Predict from the context alone", "trace_forecast", icon=":material/online_prediction:"):
        worker().ask(asked, session())
        st.rerun()
    note.caption("One pass over the context, no decoding. It is kept, and shown beside the truth after **Run**.")


def _draw(found: Forecast, known: Known, task: TraceTask) -> None:
    from memviz.figures.predictor import forecast_figure  # half a second of imports, only where it is drawn

    p = found.probability[: task.n_steps]
    draw(
        forecast_figure(p, len(task.context_ids)),
        key="trace_forecast_figure",
        config=picture("forecast"),
        alt="P(memorized) for each token that will be generated, from the context alone",
    )
    beyond = f" The predictor says nothing of positions from {known.m} on." if task.n_steps > known.m else ""
    st.caption(
        f"Expected to be reproduced: {p.sum():.1f} of {len(p)} tokens (sum of the probabilities). "
        f"Made {clock(found.created)}, before anything was generated. {said_of(known, task.n_steps)}"
        f"{said_of_row(known, task)}{beyond}"
    )
