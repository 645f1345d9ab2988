"""The Boundary page's section on the same rows under weights that had not read them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.measures.glossary import explain
from memviz.population.counterfactual import KINDS, QUANTITIES, earlier, first_steps, paired_differences, paired_points
from memviz.sweeps.rowset import SUITE
from memviz.ui.common import frames
from memviz.ui.common.texts import told
from memviz.ui.common.widgets import BOUND, forget_unknown
from memviz.ui.population.view import SweepView


@st.cache_resource(max_entries=1, show_spinner=False)
def _first() -> pd.Series:
    return first_steps(read_data())


@st.cache_data(max_entries=50, show_spinner="Resampling rows")
def _table(_view: SweepView, asked: tuple[Any, ...], model: str, before: str, k: int) -> pd.DataFrame:
    sequences = _view.sequences
    kept = _view.filters.keep(sequences) | _view.floor.filters.keep(sequences)
    return paired_differences(paired_points(_view.sweep, sequences[kept], model, before, _first(), _view.m, k))


def show_counterfactual(view: SweepView, k: int) -> None:
    """Differences between a model and an earlier checkpoint of it on rows that only the later one has read."""
    st.subheader("The same rows, before they were read", anchor=False, help=explain("counterfactual"))
    pairs = {}
    if view.task.rows.source == SUITE:
        pairs = {model: found for model in view.models if (found := earlier(view.sweep, model, _first()))}
    if not pairs:
        st.caption(
            "This sweep has no weights that had not read its rows yet: sweep checkpoints beside the final weights, "
            "such as `--models suite-1.8m@step661,suite-1.8m`. Where training data and their order are unknown there "
            "is no such comparison."
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        forget_unknown("later", list(pairs))
        model = st.selectbox("Weights", list(pairs), len(pairs) - 1, key="later", width=200, **BOUND)
        forget_unknown("before", pairs[model])
        before = st.selectbox("Before", pairs[model], key="before", width=240, **BOUND)
    try:
        table = _table(view, view.asked, model, before, k)
    except InputError as error:
        st.caption(told(error))
        return
    with st.container(border=True):
        files = frames.title_line(f"**{view.words[model]} less {view.words[before]}**")
        with files.popover("Data", icon=":material/download:"):
            frames.offer_table(table, "counterfactual")
        st.dataframe(_readable(table), hide_index=True)
        st.caption(
            "Rows are chosen by the hits of the later weights and are the same on both sides, so selection does not "
            "come in. What training did besides is in both: rows that neither had read show it."
        )


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    ends = table[["difference", "low", "high"]].to_numpy()
    return pd.DataFrame(
        {
            "rows": table["kind"].map(KINDS),
            "quantity": table["quantity"].map(QUANTITIES),
            "n": table["n"],
            "before": [f"{value:.3f}" for value in table["before"]],
            "after": [f"{value:.3f}" for value in table["now"]],
            "difference": ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*values) for values in ends],
        }
    )
