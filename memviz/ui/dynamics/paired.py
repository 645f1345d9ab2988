"""The section of Dynamics and Map on hidden states of the same rows under weights that had not read them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from memviz.errors import InputError
from memviz.maps import PairedStates, PairedTask, Scope, paired_numbers
from memviz.ui.common import frames
from memviz.ui.common.answers import stored
from memviz.ui.common.progress import offer_jobs
from memviz.ui.common.texts import told
from memviz.ui.population.earlier import choose_weights
from memviz.ui.population.view import SweepView

Picture = Callable[[PairedStates, tuple[str, str]], tuple[go.Figure, pd.DataFrame, str]]
"""Figure, the table behind it, and a note."""


def show_paired(view: SweepView, title: str, page: str, picture: Picture) -> None:
    """What a page draws of rows that an earlier checkpoint had not read, and the paired differences below it."""
    chosen = choose_weights(view)
    if chosen is None:
        return
    try:
        scope = Scope(
            str(view.sweep.folder), view.task.context_at, view.m, filters=view.filters, free_running=False,
            dtype=view.task.dtype,
        )  # fmt: skip
        task = PairedTask((chosen.later, chosen.before), scope)
        found = stored(task)
    except InputError as error:
        st.caption(told(error))
        return
    if found is None:
        st.caption("Not computed yet for these weights and rows.")
        offer_jobs([task], [task], "Compare with before", "Comparison", f"{page}-paired")
        return
    figure, table, note = picture(found, chosen.names)
    frames.show_figure(figure, table, title, f"{page}-before", view.task, note)
    numbers = paired_numbers(found)
    difference = frames.spans(numbers, "+z.4f", "difference", "low", "high")
    shown = numbers[["quantity", "before", "now"]].round(4).assign(difference=difference)
    st.dataframe(shown, hide_index=True)
    n = int(found.memorized.sum())
    st.caption(
        f"{n:,} memorized and {len(found.row) - n:,} unmemorized rows, by the hits of {chosen.names[0]}, that "
        f"{chosen.names[1]} had not read; the same rows on both sides, and both models read the rows' own tokens "
        "(teacher-forced). What makes a row easy is on both sides; what training did besides, and that the later "
        "weights' own hits make the groups, is in the difference."
    )
