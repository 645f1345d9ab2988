"""The boundary page's tables: rows aligned at the boundary, curves and differences, computed once a view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import Model, find_model, read_card
from memviz.corpus import Corpus, Kind
from memviz.corpus.attribution import KINDS
from memviz.corpus.known import index_of, seen_until
from memviz.demo.index import SUITE
from memviz.errors import InputError
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
from memviz.sweeps.task import SLIDING
from memviz.tasks.base import Report, Say
from memviz.tasks.trace import IndexTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.clicks import clicked
from memviz.ui.common.running import watch
from memviz.ui.common.shared import session, store, tokenizer, told, worker
from memviz.ui.population.page import View
from memviz.ui.trace.training_data import corpus_of

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
    except InputError:
        return None
    return (model, tokenizer(card)) if card else None


@dataclass(frozen=True)
class Counting:
    """Which n-grams are counted: of the true tokens or of what each model wrote after its first k; which copies."""

    kind: Kind = "other"
    generated_at: int | None = None
    """k of what was generated; None for the true tokens."""

    def asked(self, view: View, model: str) -> dict[str, Any]:
        """The question about one model: a checkpoint has seen only the exposures before it."""
        about = next(each for each in view.sweep.manifest["models"] if each["name"] == model)
        until = seen_until(about["step"], about["n_steps"])
        generated = None if self.generated_at is None else (model, SLIDING, self.generated_at)
        return {"kind": self.kind, "until_step": until, "generated": generated}

    def quantity(self, order: str) -> str:
        return f"frequency_{order}" + ("" if self.generated_at is None else "_generated")

    @property
    def words(self) -> str:
        tokens = "true tokens" if self.generated_at is None else "generated tokens"
        return f"{tokens}, " + ("own copies removed" if self.kind == "other" else KINDS[self.kind])


@dataclass(frozen=True)
class Counted:
    """n-gram frequencies of a view's rows, model by model, and what tells them from all others."""

    of: dict[str, Frequencies]
    counting: Counting
    index: str
    """Name of the n-gram index."""
    key: str


def counted(view: View, counting: Counting) -> Counted | None:
    """The n-gram frequencies of a view's rows; where they are not counted yet, offers to count them."""
    about = _model_of(view)
    try:
        corpus = about and corpus_of(*about)
    except InputError as error:
        st.warning(told(error))
        return None
    try:
        if corpus:
            found = _counted(view, corpus, counting)
            if found is not None:
                return found
    except InputError as error:
        st.info(told(error))
        return None
    if not corpus and (not about or about[0].index != SUITE):
        st.info(
            "There is no n-gram index of what these models were trained on, so only entropy is drawn: "
            "`memviz corpus build` makes one of your own texts."
        )
        return None
    name = f"count {view.key} {view.models} {counting}"
    job = worker().job(name)
    if job and job.active:
        job.attend(session())
        watch(job, "Counting n-grams in the training data", cancel=True, unit="rows")
        return None
    if job and job.status == Status.FAILED:
        st.error(told(job.error or ""))
    n, before = view.sweep.manifest["rows"]["n"], "" if corpus else " The training data are indexed first, in seconds."
    what = f"The n-grams of these {n:,} rows ({counting.words})"
    st.info(f"{what} have not been counted yet: once, milliseconds a row.{before}")
    if clicked(st, "Count them", "boundary_count", type="primary"):
        assert about is not None
        worker().errand(name, "n-gram counts", Errand(partial(_count, view, counting, *about)), session())
        st.rerun()
    return None


def _counted(view: View, corpus: Corpus, counting: Counting) -> Counted | None:
    """What is counted of every model of a view, or None. Raises InputError where the sweep lacks the tokens."""
    index, found = str(corpus.manifest), {}
    for model in view.models:
        asked = counting.asked(view, model)
        place = (view.sweep, corpus, view.key, index, repr(asked), asked)
        known = _frequencies(*place)
        if known is None:
            _frequencies.clear(*place)
            return None
        found[model] = known
    return Counted(found, counting, corpus.manifest.name, f"{index} {counting}")


def _count(
    view: View, counting: Counting, model: Model, tokenizer: Tokenizer, its: Settings, report: Report, say: Say
) -> None:
    """Index the suite's training data where they are not yet, then count; what is found is kept in the store."""
    if model.index == SUITE and index_of(model, tokenizer, its) is None:
        IndexTask(SUITE).run(its, report, say)
    corpus = index_of(model, tokenizer, its)
    if corpus is not None:
        questions = {repr(asked): asked for each in view.models for asked in [counting.asked(view, each)]}
        for i, asked in enumerate(questions.values()):
            say("counting n-grams" + (f", {i + 1} of {len(questions)}" if len(questions) > 1 else ""))
            frequencies(view.sweep, corpus, store(), report, **asked)


@st.cache_resource(max_entries=8, show_spinner=False)
def _frequencies(
    _sweep: Sweep, _corpus: Corpus, key: str, index: str, asked: str, _asked: dict[str, Any]
) -> Frequencies | None:
    return stored_frequencies(_sweep, _corpus, store(), **_asked)


@st.cache_resource(max_entries=8, show_spinner="Reading the sweep")
def _aligned(_view: View, asked: tuple[Any, ...], model: str, k: int, _counted: Counted | None, of: str) -> Aligned:
    found = _counted and _counted.of[model]
    given = {"generated" if found and found.generated else "frequencies": found}
    aligned = align(_view.sweep, model, k, m=_view.m, entropy=has_positions(_view, k), **given)  # type: ignore[arg-type]
    passing = _view.filters.apply(_view.rows)["row"]
    return aligned.where(np.isin(aligned.rows, passing))


def aligned_of(view: View, model: str, k: int, found: Counted | None) -> Aligned:
    """The rows of a view under one model. Raises InputError where the sweep lacks them."""
    return _aligned(view, view.asked, model, k, found, found.key if found else "")


@st.cache_data(max_entries=200, max_size="64MB", show_spinner="Resampling rows")
def _curves(_aligned: Aligned, asked: tuple[Any, ...], model: str, k: int, quantity: str, counted: str) -> pd.DataFrame:
    return boundary_curves(_aligned, quantity)


def curves_of(view: View, aligned: Aligned, quantity: str, found: Counted | None) -> pd.DataFrame:
    """Means by index for each group, with intervals and the null's band."""
    known = computed_before(view.sweep, view.filters, aligned.model, aligned.k, aligned.m, quantity, CURVES)
    if known is not None:
        return known
    return _curves(aligned, view.asked, aligned.model, aligned.k, quantity, _key(quantity, found))


def _key(quantity: str, found: Counted | None) -> str:
    """Entropies are the same whatever was counted."""
    return found.key if found and quantity.startswith("frequency") else ""


def moved_of(aligned: Aligned, quantity: str) -> tuple[int, dict[str, np.ndarray]] | None:
    """Each group's (k + M,) means as chosen with the edge moved; None where too few positions were decoded for it."""
    if aligned.match.shape[1] < aligned.m + EDGE:
        return None
    chosen = {group: members(aligned, group, EDGE) for group in GROUPS}
    return EDGE, {group: aligned.of(quantity)[mask].mean(axis=0) for group, mask in chosen.items() if mask.any()}


@st.cache_data(max_entries=200, show_spinner="Resampling rows")
def _differences(
    _aligned: list[Aligned], asked: tuple[Any, ...], model: str, sizes: tuple[int, ...], quantity: str, counted: str
) -> pd.DataFrame:
    return boundary_differences(_aligned, quantity)


def differences_of(view: View, aligned: list[Aligned], quantity: str, found: Counted | None) -> pd.DataFrame:
    """Index k minus index k - 1 by group. Raises InputError where the quantity is unknown there."""
    one = aligned[0]
    if len(aligned) == 1:
        known = computed_before(view.sweep, view.filters, one.model, one.k, one.m, quantity, DIFFERENCES)
        if known is not None:
            return known
    sizes = tuple(each.k for each in aligned)
    return _differences(aligned, view.asked, one.model, sizes, quantity, _key(quantity, found))


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
