"""The Boundary page's section on the same rows under weights that had not read them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from memviz.errors import InputError
from memviz.population.counterfactual import KINDS, QUANTITIES, paired_differences, paired_points
from memviz.ui.common import frames
from memviz.ui.common.texts import escaped, told
from memviz.ui.population.earlier import choose_weights, first_read
from memviz.ui.population.view import SweepView


@st.cache_data(max_entries=50, show_spinner="Resampling rows")
def _table(_view: SweepView, asked: tuple[Any, ...], model: str, before: str, k: int) -> pd.DataFrame:
    then = _view.sweep.holding(before)
    sequences = (
        _view.sequences
        if then is _view.sweep
        else pd.concat(
            [_view.sequences, then.read("sequences", filters=[("model", "==", before), ("k", "==", k)])],
            ignore_index=True,
        )
    )
    kept = _view.filters.keep(sequences) | _view.floor.filters.keep(sequences)
    return paired_differences(paired_points(_view.sweep, sequences[kept], model, before, first_read(), _view.m, k))


def show_counterfactual(view: SweepView, k: int) -> None:
    """Differences between a model and an earlier checkpoint of it on rows that only the later one has read."""
    chosen = choose_weights(view)
    if chosen is None:
        return
    try:
        table = _table(view, view.asked, chosen.later, chosen.before, k)
    except InputError as error:
        st.caption(told(error))
        return
    with st.container(border=True):
        files = frames.title_line(f"**{escaped(chosen.names[0])} less {escaped(chosen.names[1])}**")
        with files.popover("Data", icon=":material/download:"):
            frames.offer_table(table, "counterfactual")
        st.dataframe(_readable(table), hide_index=True)
        st.caption(
            "Rows are chosen by the hits of the later weights and are the same on both sides, so what makes them easy "
            "is in both. What training did besides shows in rows that neither had read, and the last column is without "
            "it; what choosing by one's own hits does to the later entropy shows in those of them with M = 0. n-gram "
            "frequencies of true tokens are those of the rows, whatever the weights."
        )


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rows": table["kind"].map(KINDS),
            "quantity": table["quantity"].map(QUANTITIES),
            "n": table["n"],
            "before": [f"{value:.3f}" for value in table["before"]],
            "after": [f"{value:.3f}" for value in table["now"]],
            "difference": frames.spans(table, "+z.3f", "difference", "low", "high"),
            "less rows neither had read": frames.spans(table, "+z.3f", "beyond", "beyond_low", "beyond_high"),
        }
    )
