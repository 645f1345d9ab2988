"""The Boundary page's section on where recitation breaks off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.errors import InputError
from memviz.figures.population import lines_figure
from memviz.measures.glossary import explain
from memviz.population import Aligned
from memviz.population.summed import ENTROPIES, Summed, has_sums
from memviz.population.survival import (
    SPLITS,
    entropy_codes,
    exposure_codes,
    frequency_codes,
    hazards,
    summed_hazards,
)
from memviz.ui.boundary.counts import Counted
from memviz.ui.boundary.curves import aligned_of, source_of
from memviz.ui.common import frames
from memviz.ui.common.texts import told
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.view import SweepView

X = "position t of the first miss"


def show_survival(
    view: SweepView, k: int, found: Counted | None, frequency: str | None, offer: Callable[[], Counted | None] | None
) -> None:
    """Hazards by size, and within one model by what the reader chooses; `frequency`: the quantity that is counted.

    offer: offers here to count it, where the page has not had to.
    """
    st.subheader("Where recitation breaks off", anchor=False, help=explain("hazard"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.segmented_control(
            "Split by", list(SPLITS), format_func=lambda name: frames.sentence(SPLITS[name]), default="entropy",
            required=True, **bound("split"),
        )  # fmt: skip
        forget_unknown("survival_model", list(view.models))
        model = st.selectbox(
            "Model", view.models, len(view.models) - 1, format_func=lambda name: view.names[name],
            width=160, **bound("survival_model"),
        )  # fmt: skip
    if split == "frequency" and offer is not None:
        found = offer()
    left, right = st.columns(2)
    with left:
        table, missing = None, ""
        try:
            table = _split(view, model, k, found, split, frequency)
        except InputError as error:
            missing = told(error)
        _show(view, table, f"{view.names[model]}, by {SPLITS[split]}", f"hazard-{split}", missing)
    with right:
        sizes = [_of_model(view, each, k, found) for each in view.models]
        _show(view, pd.concat(sizes, ignore_index=True), "By size", "hazard-size", "")
    st.caption(
        "Each row is at risk until its first miss, whatever its score: no group is chosen by its hits, so nothing is "
        "selected. Bins widen as misses become rare; whiskers: 95 %, over groups of near-duplicates within domains and "
        "exposures."
    )


def _show(view: SweepView, table: pd.DataFrame | None, title: str, name: str, missing: str) -> None:
    figure = None
    if table is not None:
        kinds = list(dict.fromkeys(table["of"]))
        drawn = table.assign(model=table["of"]).sort_values("t", kind="stable")
        figure = lines_figure(drawn, "positions", X, "hazard", kinds, {}, category=True)
    note = "hazard: rows that miss here first, by rows that reach here"
    if table is not None:
        note += f"; n = {int(table['n'].min()):,} to {int(table['n'].max()):,} row and position pairs a point"
    frames.show_figure(figure, table, title, name, view.task, note, missing)


def _of_model(view: SweepView, model: str, k: int, found: Counted | None) -> pd.DataFrame:
    if has_sums(view.sweep):
        return _of_sums(view, model, k, found, "size").assign(of=view.names[model])
    aligned = aligned_of(view, model, k, found)
    codes, labels = np.zeros(len(aligned.rows), np.int64), (view.names[model],)
    return _hazards(aligned, codes, labels, (*view.asked, model, k, "size"))


def _split(
    view: SweepView, model: str, k: int, found: Counted | None, split: str, frequency: str | None
) -> pd.DataFrame:
    if has_sums(view.sweep) and split != "frequency":
        return _of_sums(view, model, k, found, split)
    aligned = aligned_of(view, model, k, found)
    if split == "exposures":
        bucket = view.rows.set_index("row")["bucket"].reindex(aligned.rows)
        codes, labels = exposure_codes(bucket.to_numpy(np.float64, na_value=np.nan))
    elif split == "entropy":
        codes, labels = entropy_codes(aligned)
    elif frequency is None or found is None:
        raise InputError("the n-grams of the true tokens have not been counted: choose and count them above")
    else:
        codes, labels = frequency_codes(aligned, frequency)
    return _hazards(aligned, codes, tuple(labels), (*view.asked, model, k, split, frequency, found and found.key))


def _of_sums(view: SweepView, model: str, k: int, found: Counted | None, split: str) -> pd.DataFrame:
    source = source_of(view, model, k, found, ENTROPIES[0])
    assert isinstance(source, Summed)
    return _summed_hazards(source, split, (*view.asked, model, k))


@st.cache_data(max_entries=100, show_spinner="Resampling rows")
def _summed_hazards(_summed: Summed, split: str, asked: tuple[Any, ...]) -> pd.DataFrame:
    return summed_hazards(_summed, split)


@st.cache_data(max_entries=100, show_spinner="Resampling rows")
def _hazards(_aligned: Aligned, _codes: np.ndarray, labels: tuple[str, ...], asked: tuple[Any, ...]) -> pd.DataFrame:
    return hazards(_aligned.match[:, : _aligned.m], _aligned.units, _codes, labels)
