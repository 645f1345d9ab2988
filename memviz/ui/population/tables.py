"""Tables of a view, computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.errors import InputError
from memviz.measures.score import LEVELS
from memviz.population import (
    Filters,
    SizeFit,
    Transition,
    context_points,
    continuation_points,
    memorized_only_by,
    rows_of_cell,
    size_fits,
    size_points,
    summary,
    transition,
)
from memviz.population.likeness import likeness, likeness_points
from memviz.population.pooled import (
    pooled_likeness,
    pooled_only_by,
    pooled_points,
    pooled_rows_of_cell,
    pooled_transition,
)
from memviz.ui.population.view import HELD_OUT, SweepView


def points(view: SweepView, curve: str) -> pd.DataFrame:
    """One line a sequence and size of a curve: size, continuation, sliding or anchored; of a large sweep put together.

    Raises InputError.
    """
    if view.pool is not None:
        return _pooled(view, view.asked, curve)
    sequences, task = view.sequences, view.task
    sequences = view.passing.apply(sequences[sequences["model"].isin(view.models)])
    if curve == "continuation":
        return continuation_points(sequences)
    if curve == "size":
        return size_points(sequences, view.m, task.context_at)
    return context_points(sequences, curve, task.continuation_at)


@st.cache_resource(max_entries=16, show_spinner="Reading the sweep")
def _pooled(_view: SweepView, asked: tuple[Any, ...], curve: str) -> pd.DataFrame:
    assert _view.pool is not None
    return pooled_points(_view.pool, _view.models, _view.passing, curve, _view.m)


@st.cache_data(max_entries=300, max_size="64MB", show_spinner="Counting")
def _table(_view: SweepView, asked: tuple[Any, ...], curve: str, keys: tuple[str, ...]) -> pd.DataFrame:
    return summary(points(_view, curve), keys, _weights(_view, curve))


def _weights(view: SweepView, curve: str) -> pd.Series | None:
    """From all rows of the curve, whatever the filters: a curve may lack some. Raises InputError."""
    return view.weights(points(replace(view, filters=Filters()), curve)["row"]) if view.weighted else None


def table_of(view: SweepView, curve: str, *keys: str) -> pd.DataFrame | None:
    """A summary of a view's curve by columns, or None where the sweep lacks it; models ascending."""
    try:
        found = _table(view, view.asked, curve, keys)
    except InputError:
        return None
    return found.sort_values("model", key=lambda names: names.map(view.models.index), kind="stable", ignore_index=True)


def floor_of(view: SweepView, curve: str, *keys: str) -> pd.DataFrame | None:
    """The same of the held-out rows; None where the sweep has none, or shows nothing else."""
    if view.filters.parts == (HELD_OUT,) or not view.n_passing(view.floor.filters):
        return None
    return table_of(view.floor, curve, *keys)


def with_held_out(view: SweepView) -> SweepView:
    """The view with its held-out rows, each row once: for figures that show them as a bucket of their own."""
    parts = view.filters.parts and (*view.filters.parts, HELD_OUT)
    return replace(view, filters=replace(view.filters, parts=parts), population="swept")


@st.cache_data(max_entries=50, show_spinner="Counting")
def _likeness(_view: SweepView, asked: tuple[Any, ...]) -> pd.DataFrame:
    m, k = _view.m, _view.task.context_at
    if _view.pool is not None:
        return pooled_likeness(_view.pool, _view.models, _view.passing, k, m)
    sequences = _view.sequences[_view.sequences["model"].isin(_view.models)]
    weights = _view.weights(likeness_points(sequences, m, k)["row"]) if _view.weighted else None
    return likeness(likeness_points(_view.passing.apply(sequences), m, k), weights)


def likeness_of(view: SweepView) -> pd.DataFrame:
    """What forgives a shift beside M, by model, ascending. Raises InputError for a sweep that is older than that."""
    found = _likeness(view, view.asked)
    return found.sort_values("model", key=lambda names: names.map(view.models.index), kind="stable", ignore_index=True)


@st.cache_data(max_entries=100, show_spinner="Fitting")
def _fits(_view: SweepView, asked: tuple[Any, ...]) -> list[SizeFit]:
    return size_fits(points(_view, "size"), _view.n_parameters, _weights(_view, "size"))


def fit_of(view: SweepView, quantity: str) -> SizeFit | None:
    """The fit to draw: a power law of a share where there is one, a straight line of the mean score."""
    try:
        found = {fit.kind: fit for fit in _fits(view, view.asked) if fit.quantity == quantity}
    except InputError:
        return None
    return found.get("power" if quantity == "full" else "linear") or found.get("linear")


@st.cache_data(max_entries=100, show_spinner="Counting")
def _transition(_view: SweepView, asked: tuple[Any, ...], smaller: str, larger: str) -> Transition:
    if _view.pool is not None:
        return pooled_transition(_view.pool, _view.passing, smaller, larger, _view.task.context_at, _view.m)
    return transition(points(_view, "size"), smaller, larger)


def transition_of(view: SweepView, smaller: str, larger: str) -> Transition:
    """How levels change from one model of a view to another."""
    return _transition(view, view.asked, smaller, larger)


@st.cache_data(max_entries=20, show_spinner="Counting")
def rows_of_transition(
    _view: SweepView, asked: tuple[Any, ...], smaller: str, larger: str, cell: tuple[int, int] | None
) -> np.ndarray:
    """(r,) row numbers of a cell of the matrix; None: with M = 1 under `smaller` and not under `larger`."""
    if _view.pool is not None:
        about = (_view.pool, _view.passing, smaller, larger, _view.task.context_at, _view.m)
        return pooled_only_by(*about) if cell is None else pooled_rows_of_cell(*about, cell)
    found = points(_view, "size")
    return memorized_only_by(found, smaller, larger) if cell is None else rows_of_cell(found, smaller, larger, *cell)


def scores_of(view: SweepView, rows: np.ndarray, models: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Model -> (r,) score M of some rows, NaN where it was not asked."""
    if view.pool is not None:
        place, k = np.searchsorted(view.pool.rows, rows), view.task.context_at
        hits = {model: view.pool.hits(model, k, view.m)[place] for model in models}
        return {model: np.where(each < 0, np.nan, each / view.m) for model, each in hits.items()}
    scores = points(view, "size").pivot(index="row", columns="model", values="score")
    return {model: scores[model].reindex(rows).to_numpy() for model in models}


def table_of_transition(found: Transition) -> pd.DataFrame:
    """One line a cell."""
    cells = [(i, j) for i in range(len(LEVELS)) for j in range(len(LEVELS))]
    return pd.DataFrame(
        {
            "smaller": found.smaller,
            "larger": found.larger,
            "level_smaller": [LEVELS[i] for i, _ in cells],
            "level_larger": [LEVELS[j] for _, j in cells],
            "n": [int(found.counts[cell]) for cell in cells],
            "share_of_row": [float(found.shares[cell]) for cell in cells],
        }
    )
