"""A sweep as the population pages look at it: which of its rows and models, at which continuation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.measures.glossary import explain
from memviz.population import (
    POPULATIONS,
    Choices,
    Filters,
    Population,
    choices,
    labels_of,
    parameters_of,
    row_weights,
    strata_of,
)
from memviz.population.pooled import Pool, pool_of
from memviz.sweeps import Sweep
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.rowset import PARTS, SUITE
from memviz.sweeps.scored import scored_background
from memviz.sweeps.sums import MOST_UNITS
from memviz.sweeps.tables import lengths_of
from memviz.sweeps.task import SweepRequest
from memviz.ui.common import frames
from memviz.ui.common.every_page import name_tab_after
from memviz.ui.common.keeping import offer_keeping, rows_among
from memviz.ui.common.sweep import choose_sweep
from memviz.ui.common.texts import as_option, escaped, told
from memviz.ui.common.widgets import BOUND, forget_unknown

HELD_OUT, *TRAINED = PARTS
WEIGHTINGS: dict[Population, str] = {"swept": "As swept", "rows": "Unique rows", "exposures": "Stream exposures"}


@dataclass(frozen=True)
class SweepView:
    """A sweep as a page looks at it. Tables are computed once for each different view."""

    sweep: Sweep
    filters: Filters
    models: tuple[str, ...]
    """Ascending by parameters."""
    population: Population
    m: int

    @cached_property
    def key(self) -> str:
        """What tells this sweep's numbers from every other one's."""
        content = json.dumps(self.sweep.manifest, sort_keys=True)
        return f"{self.sweep.folder} {hashlib.sha256(content.encode()).hexdigest()}"

    @property
    def asked(self) -> tuple[str, str, tuple[str, ...], Population, int]:
        """Everything a table depends on."""
        return self.key, repr(self.filters), self.models, self.population, self.m

    @property
    def task(self) -> SweepRequest:
        return self.sweep.task

    @cached_property
    def names(self) -> dict[str, str]:
        return labels_of(self.sweep)

    @cached_property
    def words(self) -> dict[str, str]:
        """The models' names as Markdown."""
        return {model: escaped(name) for model, name in self.names.items()}

    @cached_property
    def n_parameters(self) -> dict[str, int]:
        return {model: n for model, n in parameters_of(self.sweep).items() if model in self.models}

    @property
    def weighted(self) -> bool:
        """Whether the rows stand for a population of the corpus: then all of it is looked at, or of some domains."""
        return self.population != "swept"

    @property
    def passing(self) -> Filters:
        """The filters that hold."""
        return Filters(domains=self.filters.domains, parts=tuple(TRAINED)) if self.weighted else self.filters

    @property
    def sequences(self) -> pd.DataFrame:
        return _sequences(self.sweep, self.key, self.weighted)

    @property
    def rows(self) -> pd.DataFrame:
        """What is known of each row, but its token ids."""
        return _rows(self.sweep, self.key, self.weighted)

    @cached_property
    def pool(self) -> Pool | None:
        """Its rows put together, where they are too many to be looked at one by one."""
        return None if self.weighted else _pool(self.sweep, self.key)

    @property
    def n_rows(self) -> int:
        return len(self.rows if self.pool is None else self.pool.rows)

    def n_passing(self, filters: Filters) -> int:
        """Rows that pass some filters."""
        return int(filters.keep(self.rows).sum()) if self.pool is None else self.pool.n_passing(filters)

    def ids(self, rows: np.ndarray) -> list[np.ndarray]:
        """The token ids of some rows, by their numbers."""
        table = self.sweep.read("rows", ["row", "ids"], [("row", "in", np.unique(rows).tolist())])
        found: list[np.ndarray] = table.set_index("row").loc[rows, "ids"].tolist()
        return found

    def weights(self, among: pd.Series | None = None) -> pd.Series | None:
        """Of each row, or of some row numbers; None where all count once.

        Raises InputError where they cannot stand for the population.
        """
        if not self.weighted:
            return None
        rows = self.rows if among is None else self.rows[self.rows["row"].isin(among)]
        return row_weights(rows, strata_of(read_data()), self.population)

    @property
    def floor(self) -> SweepView:
        """The held-out rows of the same kind, each once."""
        held_out = replace(self.filters, parts=(HELD_OUT,), buckets=(), classes=())
        return replace(self, filters=held_out, population="swept")


@st.cache_resource(max_entries=2, show_spinner="Reading the sweep")
def _sequences(_sweep: Sweep, key: str, weighted: bool) -> pd.DataFrame:
    found = _sweep.numbers
    return pd.concat([found, _background(_sweep)], ignore_index=True) if _is_shipped(_sweep, weighted) else found


@st.cache_resource(max_entries=2, show_spinner="Reading the sweep")
def _rows(_sweep: Sweep, key: str, weighted: bool) -> pd.DataFrame:
    found = _sweep.read("rows", [name for name in _sweep.manifest["tables"]["rows"]["columns"] if name != "ids"])
    if not _is_shipped(_sweep, weighted):
        return found
    more = _background(_sweep).drop_duplicates("row")
    return pd.concat([found, more[[name for name in found if name in more]]], ignore_index=True)


@st.cache_resource(max_entries=2, show_spinner="Reading the sweep")
def _pool(_sweep: Sweep, key: str) -> Pool | None:
    return pool_of(_sweep)


def _is_shipped(sweep: Sweep, weighted: bool) -> bool:
    """Whether it is the suite's own sweep, which has no row of the background, and some are needed."""
    return weighted and sweep.folder == SHIPPED


def _background(sweep: Sweep) -> pd.DataFrame:
    return scored_background(sweep.task.models)


@st.cache_data(max_entries=8, show_spinner=False)
def _choices(_view: SweepView, key: str) -> Choices:
    return choices(_view.rows if _view.pool is None else _view.pool.lines)


def choose_view(with_weights: bool = False) -> tuple[SweepView, DeltaGenerator]:
    """The widgets above a population page, all of them in the address; also the line below, for the page's own."""
    bar = st.columns([3.4, 2.7, 1.7, 2.0], vertical_alignment="bottom")
    sweep = choose_sweep(bar[0])
    start = SweepView(sweep, Filters(), tuple(parameters_of(sweep)), "swept", 0)
    lengths = lengths_of(sweep.task)
    forget_unknown("m", lengths)
    usual = sweep.task.continuation_at if sweep.task.continuation_at in lengths else lengths[-1]
    chooser = bar[1].popover("Rows and models", width="stretch", icon=":material/filter_list:")
    with chooser:
        filters = _choose_filters(_choices(start, start.key))
        models = list(start.models)
        forget_unknown("models", models)
        said = st.multiselect("Models", models, models, key="models", **BOUND)
    m = bar[2].selectbox("Continuation m", lengths, lengths.index(usual), key="m", **BOUND)
    with bar[3]:
        frames.choose_picture()
    line = st.container(horizontal=True, vertical_alignment="bottom")
    population: Population = "swept"
    if with_weights and sweep.task.rows.source == SUITE:
        said_of = " ".join(f"{WEIGHTINGS[name]}: {POPULATIONS[name]}." for name in WEIGHTINGS)
        population = line.segmented_control(
            "Weighting",
            list(WEIGHTINGS),
            format_func=lambda name: WEIGHTINGS[name],
            default="swept",
            required=True,
            key="weight",
            help=f"{explain('weighting')} {said_of}",
            **BOUND,
        )
    view = SweepView(sweep, filters, tuple(model for model in models if model in said), population, m)
    if not view.models:
        st.info("Choose at least one model under **Rows and models**.")
        st.stop()
    name_tab_after(f"{len(view.models)} models")
    try:
        view.weights()
    except InputError as error:
        st.warning(told(error))
        st.stop()
    n_passing = view.n_passing(view.passing)
    if not n_passing:
        st.info("No row passes these filters: take some away under **Rows and models**.")
        st.stop()
    with chooser:
        if n_passing <= MOST_UNITS:
            passing = view.passing.apply(view.rows)["row"]
            offer_keeping(rows_among(sweep.task.rows, passing), _which(view), "view")
    return view, line


def _choose_filters(known: Choices) -> Filters:
    shown: dict[str, tuple[str, Sequence[Any], list[Any], str | None]] = {
        "parts": ("Part of the corpus", known.parts, [part for part in known.parts if part != HELD_OUT], None),
        "domains": ("Domain", known.domains, [], None),
        "buckets": ("Planned exposures", [str(bucket) for bucket in known.buckets], [], None),
        "classes": ("Recite, reconstruct, recollect", known.classes, [], explain("class")),
        "templates": ("Template", known.templates, [], "Rows that repeat themselves, or count upwards."),
    }
    said: dict[str, tuple[Any, ...]] = {}
    for name, (label, options, default, help_) in shown.items():
        if len(options) > 1:
            forget_unknown(name, options)
            chosen = st.pills(
                label, options, selection_mode="multi", format_func=as_option, wrap=True, default=default, help=help_,
                key=name, **BOUND,
            )  # fmt: skip
            said[name] = tuple(int(value) for value in chosen) if name == "buckets" else tuple(chosen)
    st.caption("Nothing chosen in a line: everything passes.")
    return Filters(**said)


def words_of(view: SweepView) -> str:
    """How many rows are looked at, of how many, and which, as Markdown."""
    return escaped(_which(view))


def _which(view: SweepView) -> str:
    filters = view.passing
    passing = view.n_passing(filters)
    said = [*filters.parts, *filters.domains, *filters.classes]
    said += [f"template: {', '.join(filters.templates)}"] if filters.templates else []
    said += [f"{', '.join(map(str, filters.buckets))} exposures"] if filters.buckets else []
    return f"{passing:,} of {view.n_rows:,} rows" + (f" ({', '.join(said)})" if said else "")
