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
from memviz.ui.common.every_page import name_tab_after
from memviz.ui.common.keeping import offer_keeping, rows_among
from memviz.ui.common.opening import fold_settings, widget_row
from memviz.ui.common.sweep import offer_sweeps, said_sweep, short_title_of, sweeps_here
from memviz.ui.common.texts import as_option, escaped, told
from memviz.ui.common.widgets import bound, forget_unknown

HELD_OUT, *TRAINED = PARTS
PLANTED = TRAINED[0]
LEAST = 20
"""Rows of a group below which it is not drawn, unless that is asked for."""
_SMALL = f"Groups of fewer than {LEAST} rows are not drawn without this: so few say little."
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
    least: int = LEAST
    """Rows of a group below which it is not drawn."""

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

    @property
    def which(self) -> str:
        return self.passing.words(self.n_passing(self.passing), self.n_rows)

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

    def large(self, table: pd.DataFrame | None, *counts: str) -> tuple[pd.DataFrame | None, str]:
        """The lines of a table whose groups have enough rows, by its columns of `counts`; None where none is left.

        Also what to say of those left out.
        """
        if table is None or not len(table):
            return None, ""
        kept = table[(table[list(counts or ("n",))] >= self.least).all(axis=1)]
        n = len(table) - len(kept)
        said = f"{n} of {len(table)} points are of fewer than {self.least} rows and not drawn" if n else ""
        return (kept if len(kept) else None), said


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


def choose_view(page: str, with_weights: bool = False) -> tuple[SweepView, DeltaGenerator, DeltaGenerator]:
    """The settings of a population page, folded into one line and all of them in the address.

    Also where the page's own settings go, and the place beside the line.
    """
    here = sweeps_here()
    sweep = said_sweep(here)
    start = SweepView(sweep, Filters(), tuple(parameters_of(sweep)), "swept", 0)
    known = _choices(start, start.key)
    lengths, models = lengths_of(sweep.task), list(start.models)
    usual = sweep.task.continuation_at if sweep.task.continuation_at in lengths else lengths[-1]
    box, beside = fold_settings(page, _settings_line(sweep, known, usual))
    with box:
        row, own = widget_row(), widget_row()
    offer_sweeps(row, here)
    chooser = row.popover("Rows and models", icon=":material/filter_list:")
    with chooser:
        filters = _choose_filters(known)
        forget_unknown("models", models)
        said = st.multiselect("Models", models, models, **bound("models"))
    forget_unknown("m", lengths)
    m = row.selectbox("Continuation m", lengths, lengths.index(usual), width=150, **bound("m"))
    population: Population = _choose_weighting(own) if with_weights and sweep.task.rows.source == SUITE else "swept"
    least = 0 if own.toggle("Small groups", help=_SMALL, **bound("small")) else LEAST
    view = SweepView(sweep, filters, tuple(model for model in models if model in said), population, m, least)
    name_tab_after(f"{len(view.models)} models")
    if _n_passing(view) <= MOST_UNITS:
        passing = view.passing.apply(view.rows)["row"]
        with chooser:
            offer_keeping(rows_among(sweep.task.rows, passing), view.which, "view")
    return view, own, beside


def _n_passing(view: SweepView) -> int:
    """How many rows pass; stops the page with a sentence where there is nothing to look at."""
    if not view.models:
        st.info("Choose at least one model under **Rows and models**.")
        st.stop()
    try:
        view.weights()
    except InputError as error:
        st.warning(told(error))
        st.stop()
    n_passing = view.n_passing(view.passing)
    if not n_passing:
        st.info("No row passes these filters: take some away under **Rows and models**.")
        st.stop()
    return n_passing


def _choose_weighting(where: DeltaGenerator) -> Population:
    said_of = " ".join(f"{WEIGHTINGS[name]}: {POPULATIONS[name]}." for name in WEIGHTINGS)
    chosen: Population = where.segmented_control(
        "Weighting", list(WEIGHTINGS), format_func=lambda name: WEIGHTINGS[name], default="swept", required=True,
        help=f"{explain('weighting')} {said_of}", **bound("weight"),
    )  # fmt: skip
    return chosen


def _said(key: str, usual: Sequence[Any] = ()) -> list[str]:
    """What a widget of the address says, before it is drawn too."""
    said = st.session_state.get(key, st.query_params.get_all(key) or usual)
    return list(map(str, said if isinstance(said, list | tuple) else [said]))


def _settings_line(sweep: Sweep, known: Choices, m: int) -> str:
    """What the widgets say, in a line of Markdown."""
    rows = [*_said("parts", _trained(known)), *_said("domains"), *_said("classes"), *_said("templates")]
    rows += [f"{seen} exposures" for seen in _said("buckets")]
    weights: list[str] = [WEIGHTINGS.get(name, name) for name in _said("weight")]  # type: ignore[call-overload]
    others = [name for name in weights if name != WEIGHTINGS["swept"]]
    parts = " · ".join([", ".join(rows) or "all rows", f"m = {_said('m', [m])[0]}", *others])
    return f"**{escaped(short_title_of(sweep))}** · {escaped(parts)}"


def _trained(known: Choices) -> list[str]:
    return [part for part in known.parts if part == PLANTED] or [part for part in known.parts if part != HELD_OUT]


def _choose_filters(known: Choices) -> Filters:
    shown: dict[str, tuple[str, Sequence[Any], list[Any], str | None]] = {
        "parts": ("Part of the corpus", known.parts, _trained(known), None),
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
                **bound(name),
            )  # fmt: skip
            said[name] = tuple(int(value) for value in chosen) if name == "buckets" else tuple(chosen)
    st.caption("Nothing chosen in a line: everything passes.")
    return Filters(**said)
