"""Widgets that choose rows to ask models about: of the bundled corpus, of a row set, or of a data set."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from memviz.catalog import known_models, read_card
from memviz.demo.stream import TrainingData
from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.rows.kept import data_sets, rows_of
from memviz.settings import settings
from memviz.sweeps import RowSet, row_sets
from memviz.sweeps.rowset import PARTS
from memviz.ui.common.process import bundled_models, whole_runs
from memviz.ui.common.widgets import KEEP, forget_unknown

SUITE_ROWS = "Rows of the bundled corpus"


def choose_models(page: str, large_alone: bool = False) -> tuple[str, ...]:
    """Names of ready models, at first the suite's whole runs, or the largest of them alone.

    The widget's key begins with the page's name.
    """
    ready = [model.name for model in known_models(settings()) if read_card(model, settings())]
    bundled = [model.name for model in bundled_models()]
    whole = whole_runs()
    options = list(dict.fromkeys([*bundled[::-1], *ready]))
    return tuple(st.multiselect("Models", options, whole[-1:] if large_alone else whole, key=f"{page}_models", **KEEP))


@cache
def _corpus() -> TrainingData | None:
    """The bundled corpus, or None where the suite is not there."""
    try:
        return read_data()
    except OSError:
        return None


def choose_rows(page: str) -> RowSet:
    """The rows that the widgets ask for, whose keys begin with the page's name. Raises InputError for none."""
    saved = {each["name"]: each["rows"] for each in row_sets(settings())}
    data = _corpus()
    added = data_sets(settings())
    sources = [*([SUITE_ROWS] if data else []), *dict.fromkeys([*saved, *added])]
    if not sources:
        raise InputError("the bundled corpus is not here, and no row set is saved: use `memviz sweep --data FILE`")
    forget_unknown(f"{page}_source", sources)
    source = st.selectbox(
        "Rows", sources, key=f"{page}_source", help="Row sets are saved on any page that lists or filters rows; data "
        "sets are those of `memviz data add`; files of your own are swept with `memviz sweep --data FILE`.", **KEEP,
    )  # fmt: skip
    if source in added:
        return RowSet(str(rows_of(source, settings())), sample=_choose_sample(st, page))
    if source != SUITE_ROWS or data is None:
        return saved[source]
    filters = st.columns([2, 2.2, 2.4, 1.8])
    parts = filters[0].pills("Part", PARTS, selection_mode="multi", wrap=True, key=f"{page}_parts", **KEEP)
    domains = filters[1].pills(
        "Domain", sorted(set(data.domain.tolist())), selection_mode="multi", wrap=True, key=f"{page}_domains", **KEEP
    )
    buckets = filters[2].pills(
        "Planned exposures",
        sorted(set(data.bucket.tolist())),
        selection_mode="multi",
        wrap=True,
        key=f"{page}_buckets",
        **KEEP,
    )
    sample = _choose_sample(filters[3], page)
    return RowSet(domains=tuple(domains), buckets=tuple(buckets), parts=tuple(parts), sample=sample)


def _choose_sample(place: Any, page: str) -> int | None:
    return place.number_input(
        "Sample", min_value=1, value=None, step=100, placeholder="all", key=f"{page}_sample", **KEEP,
        help="So many of the rows that pass, drawn at random; empty: all of them.",
    )  # fmt: skip
