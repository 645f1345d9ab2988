"""Which weights are compared with which earlier ones, as Boundary, Dynamics and Map ask alike."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from memviz.demo.suite import read_data
from memviz.measures.glossary import explain
from memviz.population import labels_of
from memviz.population.counterfactual import earlier, first_steps
from memviz.sweeps.rowset import SUITE
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.view import SweepView


class Weights(NamedTuple):
    """Two models of one training run."""

    later: str
    before: str
    names: tuple[str, str]
    """Their labels."""


@st.cache_resource(max_entries=1, show_spinner=False)
def first_read() -> pd.Series:
    """Training step at which each row of the suite was first read."""
    return first_steps(read_data())


@st.cache_data(max_entries=20, show_spinner=False)
def _earlier(_view: SweepView, asked: str, model: str) -> list[str]:
    return earlier(_view.sweep, model, first_read())


def choose_weights(view: SweepView) -> Weights | None:
    """The section's head and its widgets; None, and why, where no weights here had not read the rows yet."""
    st.subheader("The same rows, before they were read", anchor=False, help=explain("counterfactual"))
    pairs = {}
    if view.task.rows.source == SUITE:
        pairs = {model: found for model in view.models if (found := _earlier(view, view.key, model))}
    if not pairs:
        st.caption(
            "This sweep has no weights that had not read its rows yet: sweep checkpoints beside the final weights, "
            "such as `--models NAME@step1000,NAME`. Where training data and their order are unknown there "
            "is no such comparison."
        )
        return None
    names = {name: label for each in (*view.sweep.beside, view.sweep) for name, label in labels_of(each).items()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        forget_unknown("later", list(pairs))
        later = st.selectbox(
            "Weights", list(pairs), len(pairs) - 1, format_func=names.__getitem__, width=200, **bound("later")
        )
        forget_unknown("before", pairs[later])
        before = st.selectbox(
            "Before",
            pairs[later],
            len(pairs[later]) - 1,
            format_func=names.__getitem__,
            width=240,
            **bound("before"),
        )
    return Weights(later, before, (names[later], names[before]))
