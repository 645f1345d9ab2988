"""The boundary page's tables: rows aligned at the boundary, curves and differences, computed once a view."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import Model, find_model, read_card
from memviz.corpora import SUITE, index_of
from memviz.corpus import Corpus, CorpusError
from memviz.jobs import Errand, Status
from memviz.population import (
    GROUPS,
    Aligned,
    Frequencies,
    align,
    boundary_curves,
    boundary_differences,
    frequencies,
    members,
    stored_frequencies,
)
from memviz.population.aligned import EDGE, TABLE_GROUPS
from memviz.population.first_view import CURVES, DIFFERENCES, computed_before
from memviz.population.reported import DIRECTIONS, reported_frequencies
from memviz.settings import Settings, settings
from memviz.sweeps import Sweep
from memviz.tasks import IndexTask, Report, Say
from memviz.tokenizer import Tokenizer
from memviz.ui.clicks import clicked
from memviz.ui.population import View
from memviz.ui.running import watch
from memviz.ui.shared import session, store, tokenizer, told, worker
from memviz.ui.training import corpus_of
from memviz.weights import ModelError

PERMILLE = 1000.0


def sizes_of(view: View) -> list[int]:
    """Context sizes k with an index before the boundary that has a distribution."""
    curves = [curve for curve in view.sweep.manifest["curves"] if curve["mode"] == "sliding"]
    return sorted({k for curve in curves for k in curve["k"] if k > 1})


def has_positions(view: View, k: int) -> bool:
    """Whether entropies are known at every index; a packed sweep keeps them at one k."""
    about = view.sweep.manifest
    return "positions" in about["tables"] and ("packed" not in about or k == view.task.context_at)


def _model_of(view: View) -> tuple[Model, Tokenizer] | None:
    """The view's largest model with its tokenizer; None where it is not here or was not got ready."""
    try:
        model = find_model(view.models[-1], settings())
        card = read_card(model, settings())
    except ModelError:
        return None
    return (model, tokenizer(card)) if card else None


def counted(view: View) -> Frequencies | None:
    """The n-gram frequencies of a view's rows; where they are not counted yet, offers to count them."""
    about = _model_of(view)
    try:
        corpus = about and corpus_of(*about)
    except CorpusError as error:
        st.warning(told(error))
        return None
    if corpus:
        found = _frequencies(view.sweep, corpus, view.key, str(corpus.manifest))
        if found is not None:
            return found
        _frequencies.clear(view.sweep, corpus, view.key, str(corpus.manifest))
    elif not about or about[0].index != SUITE:
        st.info(
            "There is no n-gram index of what these models were trained on, so only entropy is drawn: "
            "`memviz corpus build` makes one of your own texts."
        )
        return None
    job = worker().job(f"count {view.key}")
    if job and job.active:
        job.attend(session())
        watch(job, "Counting n-grams in the training data", cancel=True, unit="rows")
        return None
    if job and job.status == Status.FAILED:
        st.error(told(job.error or ""))
    n, before = view.sweep.manifest["rows"]["n"], "" if corpus else " The training data are indexed first, in seconds."
    st.info(f"The n-grams of these {n:,} rows have not been counted yet: once, milliseconds a row.{before}")
    if clicked(st, "Count them", "boundary_count", type="primary"):
        assert about is not None
        errand = Errand(partial(_count, view.sweep, *about))
        worker().errand(f"count {view.key}", "n-gram counts", errand, session())
        st.rerun()
    return None


def _count(sweep: Sweep, model: Model, tokenizer: Tokenizer, its: Settings, report: Report, say: Say) -> None:
    """Index the suite's training data where they are not yet, then count; what is found is kept in the store."""
    if model.index == SUITE and index_of(model, tokenizer, its) is None:
        IndexTask(SUITE).run(its, report, say)
    corpus = index_of(model, tokenizer, its)
    if corpus is not None:
        say("counting n-grams")
        frequencies(sweep, corpus, store(), report)


@st.cache_resource(max_entries=4, show_spinner=False)
def _frequencies(_sweep: Sweep, _corpus: Corpus, key: str, index: str) -> Frequencies | None:
    return stored_frequencies(_sweep, _corpus, store())


@st.cache_resource(max_entries=8, show_spinner="Reading the sweep")
def _aligned(
    _view: View, asked: tuple[Any, ...], model: str, k: int, _counted: Frequencies | None, with_counts: bool
) -> Aligned:
    found = align(_view.sweep, model, k, m=_view.m, frequencies=_counted, entropy=has_positions(_view, k))
    passing = _view.filters.apply(_view.rows)["row"]
    return found.where(np.isin(found.rows, passing))


def aligned_of(view: View, model: str, k: int, found: Frequencies | None) -> Aligned:
    """The rows of a view under one model. Raises InputError where the sweep lacks them."""
    return _aligned(view, view.asked, model, k, found, found is not None)


@st.cache_data(max_entries=200, max_size="64MB", show_spinner="Resampling rows")
def _curves(_aligned: Aligned, asked: tuple[Any, ...], model: str, k: int, quantity: str) -> pd.DataFrame:
    return boundary_curves(_aligned, quantity)


def curves_of(view: View, aligned: Aligned, quantity: str) -> pd.DataFrame:
    """Means by index for each group, with intervals and the null's band."""
    found = computed_before(view.sweep, view.filters, aligned.model, aligned.k, aligned.m, quantity, CURVES)
    return found if found is not None else _curves(aligned, view.asked, aligned.model, aligned.k, quantity)


def moved_of(aligned: Aligned, quantity: str) -> tuple[int, dict[str, np.ndarray]] | None:
    """Each group's (k + M,) means as chosen with the edge moved; None where too few positions were decoded for it."""
    if aligned.match.shape[1] < aligned.m + EDGE:
        return None
    chosen = {group: members(aligned, group, EDGE) for group in GROUPS}
    return EDGE, {group: aligned.of(quantity)[mask].mean(axis=0) for group, mask in chosen.items() if mask.any()}


@st.cache_data(max_entries=200, show_spinner="Resampling rows")
def _differences(
    _aligned: list[Aligned], asked: tuple[Any, ...], model: str, sizes: tuple[int, ...], quantity: str
) -> pd.DataFrame:
    return boundary_differences(_aligned, quantity)


def differences_of(view: View, aligned: list[Aligned], quantity: str) -> pd.DataFrame:
    """Index k minus index k - 1 by group. Raises InputError where the quantity is unknown there."""
    one = aligned[0]
    if len(aligned) == 1:
        found = computed_before(view.sweep, view.filters, one.model, one.k, one.m, quantity, DIFFERENCES)
        if found is not None:
            return found
    return _differences(aligned, view.asked, aligned[0].model, tuple(each.k for each in aligned), quantity)


def readable(table: pd.DataFrame, view: View, kind: str) -> pd.DataFrame:
    """A table of differences to read: values with intervals, in nats or permille."""
    scale = PERMILLE if kind == "frequency" else 1

    def with_interval(name: str) -> list[str]:
        columns = ((scale * table[f"{name}{end}"]).tolist() for end in ("", "_low", "_high"))
        return [_interval(*values) for values in zip(*columns, strict=True)]

    return pd.DataFrame(
        {
            "model": [view.names[model] for model in table["model"]],
            "k": table["k"],
            "group": [f"{group}, {TABLE_GROUPS[group]}" for group in table["group"]],
            "n": table["n"],
            "difference": with_interval("jump"),
            "less all rows": with_interval("above"),
            "selection alone": with_interval("null"),
            "edge moved, less all rows": with_interval("edge_above"),
            "n there": table["n_edge"],
            "reported": [DIRECTIONS.get((kind, group), "–") for group in table["group"]],
        }
    )


def reported() -> pd.DataFrame:
    """The study's own 1-gram frequencies to read, one line a model, in billions of occurrences."""
    found = reported_frequencies()
    found["cell"] = [f"{a:.2f} → {b:.2f}, {jump:+.2f}" for a, b, jump in found[_REPORTED_COLUMNS].to_numpy()]
    table = found.pivot(index="model", columns="group", values="cell").loc[found["model"].unique()]
    return table[list(GROUPS)].rename(columns=lambda group: f"{group}, {GROUPS[group]}").reset_index()


_REPORTED_COLUMNS = ["context", "continuation", "jump"]


def _interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.2f}" if math.isnan(low) else f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
