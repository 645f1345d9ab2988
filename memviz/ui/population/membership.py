"""The Membership page's classes and tables, computed once a view."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from memviz.measures.glossary import explain
from memviz.population.curves import known_columns
from memviz.population.membership import EXPOSURES, KEPT, SCORES, judged, membership_points, text_of
from memviz.sweeps import Sweep
from memviz.sweeps.sums import ABOUT
from memviz.sweeps.task import SLIDING
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.view import SweepView

MOST_JUDGED = 5_000
"""Groups of near-duplicates of a large sweep: each is resampled a thousand times, by model, statistic and exposures."""
_MOST_VALUES = 50


def choose_classes(view: SweepView) -> tuple[str, tuple[str, ...]]:
    """The column that tells members, and which of its values do; none: every exposure."""
    columns = [name for name in view.sweep.manifest["tables"]["rows"]["columns"] if name.startswith("label_")]
    if _said(view, EXPOSURES).notna().any():
        columns.insert(0, EXPOSURES)
    if not columns:
        st.info(
            "Which of these rows were trained on is not known: sweep rows with a column that says so, "
            "named with `--labels`."
        )
        st.stop()
    forget_unknown("classes_by", columns)
    column = st.selectbox(
        "Members by", columns, format_func=lambda name: "exposures" if name == EXPOSURES else name[6:],
        help=explain("member_classes"), **bound("classes_by"),
    )  # fmt: skip
    values = _said(view, column).dropna().unique()
    shown = sorted({text_of(value) for value in values.tolist()})
    if column == EXPOSURES:
        shown = sorted((each for each in shown if each != "0"), key=float)
    forget_unknown("members", shown[:_MOST_VALUES])
    said = st.multiselect(
        "Members have", shown[:_MOST_VALUES], [] if column == EXPOSURES else shown[-1:],
        placeholder="any exposure" if column == EXPOSURES else "a value", **bound("members"),
    )  # fmt: skip
    return column, tuple(said)


def _said(view: SweepView, column: str) -> pd.Series:
    """What a column says of rows, at least once each."""
    if view.pool is None:
        return view.rows[column]
    return view.pool.lines[column] if column in view.pool.lines else _labels(view.sweep, view.key, column)


@st.cache_resource(max_entries=4, show_spinner="Reading the sweep")
def _labels(_sweep: Sweep, key: str, column: str) -> pd.Series:
    return _sweep.read("rows", [column])[column].drop_duplicates()


@st.cache_resource(max_entries=4, show_spinner="Reading the sweep")
def _drawn(_view: SweepView, asked: tuple[Any, ...], column: str) -> pd.DataFrame:
    """What `membership_points` asks of a large sweep, of groups drawn at random."""
    pool, k = _view.pool, _view.task.context_at
    assert pool is not None
    passing = pool.passing(_view.filters)
    if column == EXPOSURES:
        passing |= pool.passing(_view.floor.filters)
    units = pool.some_units(passing, MOST_JUDGED)
    names = {"row", "group", "model", "mode", "k", column, *ABOUT, *(f"{name}_{_view.m}" for name in KEPT)}
    condition = [("model", "in", _view.models), ("mode", "==", SLIDING), ("k", "==", k), ("group", "in", units)]
    return _view.sweep.read("sequences", sorted(names & set(known_columns(_view.sweep))), condition)


def drawn_words(view: SweepView) -> str:
    """That not all rows of a large sweep are judged; empty of others."""
    return "" if view.pool is None else f" · at most {MOST_JUDGED:,} groups of near-duplicates, drawn at random"


def points_of(view: SweepView, column: str, members: tuple[str, ...]) -> pd.DataFrame:
    """The view's rows with the held-out ones of the same kind, where exposures tell. Raises InputError."""
    every = view.sequences if view.pool is None else _drawn(view, view.asked, column)
    sequences = every[every["model"].isin(view.models)]
    keep = view.filters.keep(sequences)
    if column == EXPOSURES:
        keep |= view.floor.filters.keep(sequences)
    return membership_points(sequences[keep], view.m, view.task.context_at, column, members)


@st.cache_data(max_entries=50, show_spinner="Resampling rows")
def _judged(
    _view: SweepView, asked: tuple[Any, ...], column: str, members: tuple[str, ...], together: bool
) -> pd.DataFrame:
    return judged(points_of(_view, column, members), together=together)


def judged_of(view: SweepView, column: str, members: tuple[str, ...], together: bool) -> pd.DataFrame:
    """How well each statistic tells members, all together or also those of each value, models ascending.

    Raises InputError.
    """
    parts = [_judged(view, view.asked, column, members, each) for each in ((True,) if together else (True, False))]
    found = pd.concat([each for each in parts if len(each)], ignore_index=True)
    return found.sort_values("model", key=lambda names: names.map(view.models.index), kind="stable", ignore_index=True)


def older_words(view: SweepView, score: str) -> str:
    """That a sweep is older than a statistic, and what to do."""
    return (
        f"This sweep was made before memviz kept {score}: `memviz sweep`, with the command under **Save as** and its "
        f"own folder as --out ({view.sweep.folder.name}), writes its tables anew. Perplexity is judged meanwhile."
    )


def readable(table: pd.DataFrame, view: SweepView) -> pd.DataFrame:
    """The table with intervals in words."""
    auroc, tpr = (
        [form.format(*values) for values in table[[name, f"{name}_low", f"{name}_high"]].to_numpy()]
        for name, form in (("auroc", "{:.3f} [{:.3f}, {:.3f}]"), ("tpr", "{:.1%} [{:.1%}, {:.1%}]"))
    )
    return pd.DataFrame(
        {
            "model": table["model"].map(view.names),
            "statistic": table["score"].map(SCORES),
            "members": table["members"],
            "n members": table["n_members"],
            "n others": table["n_others"],
            "AUROC": auroc,
            "found at 1 % false": tpr,
        }
    )
