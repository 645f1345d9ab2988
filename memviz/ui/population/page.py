"""What the population pages share: which sweep, which of its rows, and tables computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.measures.glossary import explain
from memviz.measures.score import LEVELS
from memviz.population import (
    POPULATIONS,
    Choices,
    Filters,
    Population,
    SizeFit,
    Transition,
    choices,
    context_points,
    continuation_points,
    covered,
    labels_of,
    parameters_of,
    size_fits,
    size_points,
    strata_of,
    summary,
    transition,
    weights_of,
)
from memviz.settings import settings
from memviz.sweeps import Sweep, SweepTask
from memviz.sweeps.kept import SHIPPED, kept_sweeps
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.tables import lengths_of
from memviz.ui.common import frames
from memviz.ui.common.keeping import offer_keeping, rows_among
from memviz.ui.common.shared import PAGES, told

HELD_OUT = "held-out"
KEY_LENGTH = 12
"""Characters of a sweep's hash in a link."""
WEIGHTINGS: dict[Population, str] = {"swept": "As swept", "rows": "Unique rows", "exposures": "Stream exposures"}
_BOUND: dict[str, Any] = {"bind": "query-params"}


# Which sweep


def name_of(sweep: Sweep) -> str:
    """What a link calls a sweep."""
    return "suite" if sweep.folder == SHIPPED else sweep.folder.name[:KEY_LENGTH]


def title_of(sweep: Sweep) -> str:
    """A sweep in words."""
    about, task = sweep.manifest, sweep.task
    rows = "the bundled corpus" if task.rows.source == SUITE else task.rows.path.name
    when = about["provenance"]["created"][:16].replace("T", " ")
    words = f"{len(task.models)} models, {about['rows']['n']:,} rows of {rows}"
    return f"Bundled suite: {words}" if sweep.folder == SHIPPED else f"{words} · {when}"


def choose_sweep(where: Any) -> Sweep:
    """The sweep that a page is about; where there is none, says how to make one and stops the page here."""
    found = {name_of(sweep): sweep for sweep in kept_sweeps(settings())}
    if not found:
        st.info(
            "There is no finished sweep yet. A sweep asks many rows of many models; its tables are what these pages "
            "draw. Run one on the Sweeps page, or with `memviz sweep`."
        )
        st.page_link(PAGES / "sweep.py", label="Run a sweep", icon=":material/play_circle:")
        st.stop()
    asked = st.query_params.get("sweep")
    if asked in found and asked != st.session_state.get("sweep_followed"):
        st.session_state["sweep"] = asked
    elif asked and asked not in found:
        st.warning(f"This link is about sweep {told(asked[:32])}, which is not kept here; this is another one.")
    forget_unknown("sweep", list(found))
    names = {name: title_of(sweep) for name, sweep in found.items()}
    chosen = where.selectbox("Sweep", list(found), format_func=lambda n: names[n], key="sweep", persist_state="session")
    st.session_state["sweep_followed"] = st.query_params["sweep"] = chosen  # bound widgets would write their label
    return found[chosen]


def forget_unknown(key: str, options: Sequence[Any]) -> None:
    """Drop a choice made under another sweep that this one does not have."""
    said = st.session_state.get(key)
    if isinstance(said, list):
        if any(value not in options for value in said):
            st.session_state[key] = [value for value in said if value in options]
    elif said is not None and said not in options:
        del st.session_state[key]


# Which of its rows


@dataclass(frozen=True)
class View:
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
    def task(self) -> SweepTask:
        return self.sweep.task

    @cached_property
    def names(self) -> dict[str, str]:
        return labels_of(self.sweep)

    @cached_property
    def n_parameters(self) -> dict[str, int]:
        return {model: n for model, n in parameters_of(self.sweep).items() if model in self.models}

    @property
    def sequences(self) -> pd.DataFrame:
        return _sequences(self.sweep, self.key)

    @property
    def rows(self) -> pd.DataFrame:
        return _rows(self.sweep, self.key)

    @property
    def floor(self) -> View:
        """The held-out rows of the same kind, each once."""
        held_out = replace(self.filters, parts=(HELD_OUT,), buckets=(), classes=())
        return replace(self, filters=held_out, population="swept")


@st.cache_resource(max_entries=2, show_spinner="Reading the sweep")
def _sequences(_sweep: Sweep, key: str) -> pd.DataFrame:
    columns = _sweep.manifest["tables"]["sequences"]["columns"]
    return _sweep.read("sequences", [name for name in columns if name not in ("matches", "generated_ids")])


@st.cache_resource(max_entries=2, show_spinner="Reading the sweep")
def _rows(_sweep: Sweep, key: str) -> pd.DataFrame:
    return _sweep.read("rows")


@st.cache_data(max_entries=8, show_spinner=False)
def _choices(_sweep: Sweep, key: str) -> Choices:
    return choices(_sweep.read("rows", [n for n in _sweep.manifest["tables"]["rows"]["columns"] if n != "ids"]))


def choose_view(with_weights: bool = False) -> tuple[View, DeltaGenerator]:
    """The widgets above a population page, all of them in the address; also the line below, for the page's own."""
    bar = st.columns([5, 2.2, 1.5, 1.5], vertical_alignment="bottom")
    sweep = choose_sweep(bar[0])
    start = View(sweep, Filters(), tuple(parameters_of(sweep)), "swept", 0)
    lengths = lengths_of(sweep.task)
    forget_unknown("m", lengths)
    usual = sweep.task.continuation_at if sweep.task.continuation_at in lengths else lengths[-1]
    chooser = bar[1].popover("Rows and models", width="stretch", icon=":material/filter_list:")
    with chooser:
        filters = _choose_filters(_choices(sweep, start.key))
        models = list(start.models)
        forget_unknown("models", models)
        said = st.multiselect("Models", models, models, key="models", **_BOUND)
    m = bar[2].selectbox("Continuation m", lengths, lengths.index(usual), key="m", **_BOUND)
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
            **_BOUND,
        )
    view = View(sweep, filters, tuple(model for model in models if model in said), population, m)
    if not view.models:
        st.info("Choose at least one model under **Rows and models**.")
        st.stop()
    passing = filters.apply(view.rows)["row"]
    if not len(passing):
        st.info("No row passes these filters: take some away under **Rows and models**.")
        st.stop()
    with chooser:
        offer_keeping(rows_among(sweep.task.rows, passing), words_of(view), "view")
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
                label, options, selection_mode="multi", wrap=True, default=default, help=help_, key=name, **_BOUND
            )
            said[name] = tuple(int(value) for value in chosen) if name == "buckets" else tuple(chosen)
    st.caption("Nothing chosen in a line: everything passes.")
    return Filters(**said)


def words_of(view: View) -> str:
    """How many rows are looked at, of how many, and which."""
    passing, filters = len(view.filters.apply(view.rows)), view.filters
    said = [*filters.parts, *filters.domains, *filters.classes]
    said += [f"template: {', '.join(filters.templates)}"] if filters.templates else []
    said += [f"{', '.join(map(str, filters.buckets))} exposures"] if filters.buckets else []
    return f"{passing:,} of {len(view.rows):,} rows" + (f" ({', '.join(said)})" if said else "")


# Tables, once a view


def points(view: View, curve: str) -> pd.DataFrame:
    """One line a sequence and size of a curve: size, continuation, sliding or anchored. Raises InputError."""
    sequences, task = view.sequences, view.task
    sequences = view.filters.apply(sequences[sequences["model"].isin(view.models)])
    if curve == "continuation":
        return continuation_points(sequences)
    if curve == "size":
        return size_points(sequences, view.m, task.context_at)
    return context_points(sequences, curve, task.continuation_at)


@st.cache_data(max_entries=300, max_size="64MB", show_spinner="Counting")
def _table(_view: View, asked: tuple[Any, ...], curve: str, keys: tuple[str, ...]) -> pd.DataFrame:
    return summary(points(_view, curve), keys, _weights(_view))


def _weights(view: View) -> pd.Series | None:
    return None if view.population == "swept" else weights_of(view.rows, strata_of(read_data()), view.population)


def covered_words(view: View) -> str:
    """How much of a stated population the rows looked at can speak for; nothing for the rows as swept."""
    if view.population == "swept":
        return ""
    share = covered(view.filters.apply(view.rows), strata_of(read_data()), view.population)
    return f", of which the strata of these rows are {share:.0%}; nothing is said of the others"


def table_of(view: View, curve: str, *keys: str) -> pd.DataFrame | None:
    """A summary of a view's curve by columns, or None where the sweep lacks it; models ascending."""
    try:
        found = _table(view, view.asked, curve, keys)
    except InputError:
        return None
    return found.sort_values("model", key=lambda names: names.map(view.models.index), kind="stable", ignore_index=True)


def floor_of(view: View, curve: str, *keys: str) -> pd.DataFrame | None:
    """The same of the held-out rows; None where the sweep has none, or shows nothing else."""
    if view.filters.parts == (HELD_OUT,) or not len(view.floor.filters.apply(view.rows)):
        return None
    return table_of(view.floor, curve, *keys)


def with_held_out(view: View) -> View:
    """The view with its held-out rows, each row once: for figures that show them as a bucket of their own."""
    parts = view.filters.parts and (*view.filters.parts, HELD_OUT)
    return replace(view, filters=replace(view.filters, parts=parts), population="swept")


@st.cache_data(max_entries=100, show_spinner="Fitting")
def _fits(_view: View, asked: tuple[Any, ...]) -> list[SizeFit]:
    return size_fits(points(_view, "size"), _view.n_parameters, _weights(_view))


def fit_of(view: View, quantity: str) -> SizeFit | None:
    """The fit to draw: a power law of a share where there is one, a straight line of the mean score."""
    try:
        found = {fit.kind: fit for fit in _fits(view, view.asked) if fit.quantity == quantity}
    except InputError:
        return None
    return found.get("power" if quantity == "full" else "linear") or found.get("linear")


@st.cache_data(max_entries=100, show_spinner="Counting")
def _transition(_view: View, asked: tuple[Any, ...], smaller: str, larger: str) -> Transition:
    return transition(points(_view, "size"), smaller, larger)


def transition_of(view: View, smaller: str, larger: str) -> Transition:
    """How levels change from one model of a view to another."""
    return _transition(view, view.asked, smaller, larger)


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
