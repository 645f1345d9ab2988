"""On the Trace page: what the training data hold of the prompt: counts, and rows with its spans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from memviz.catalog import Model, find_model
from memviz.corpus.attribution import KINDS, SPAN_LISTED, SPAN_MIN, places, row_of, span_at, when
from memviz.corpus.index import ORDERS
from memviz.corpus.known import index_folder, seen_until
from memviz.demo.index import SUITE
from memviz.errors import InputError
from memviz.figures.ngrams import spelled
from memviz.measures.display import UNKNOWN
from memviz.measures.glossary import explain
from memviz.settings import settings
from memviz.tasks.preparing import IndexTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.clicks import clicked
from memviz.ui.common.links import index_in
from memviz.ui.common.lookup import CHOICES, Lookup, corpus_of
from memviz.ui.common.process import samples, session, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.training_rows import open_row

N_PLACES = 8
"""Places of a span listed."""
N_SPELLED = 48
"""Tokens of a span spelled out."""


def show_training(lookup: Lookup | None, model: str, tokenizer: Tokenizer) -> None:
    """The section under the linked component: choices, boundary difference, and the rows that hold the text."""
    st.subheader("In the training data", anchor=False)
    if lookup is None:
        _offer_index(find_model(model, settings()), tokenizer)
        return
    about = lookup.corpus.manifest
    index = escaped(about.name)
    _choose(lookup)
    if lookup.foreign:
        held_out = _held_out(lookup)
        st.info(
            (f"Row {held_out} is held out: no model of the suite has read it. " if held_out is not None else "")
            + f"This text is not from {index}, the index of {escaped(lookup.model.name)}'s training data: none of its "
            f"rows shares 16 tokens in a row with the prompt, and none holds {SPAN_MIN} tokens in a row of it. Counts "
            "of its n-grams say how usual its words are, not whether it was seen."
        )
        st.toggle("Show the counts all the same", key="trace_ngram_anyway", persist_state="session")
    if lookup.drawn:
        _show_boundary(lookup)
    if not lookup.foreign:
        _show_spans(lookup)
    st.caption(
        f"Index {index}: exact counts over {about.n_tokens:,} tokens of {about.n_rows:,} rows, by token ids; "
        "no n-gram crosses the border of a row. Where a sequence's end cut a row inside a span, it was not seen whole."
    )


def _row(lookup: Lookup) -> int | None:
    """The suite's row that the prompt is the start of, if it is one."""
    rows, trace = samples(), lookup.trace
    if rows is None or lookup.corpus.manifest.name != SUITE:
        return None
    return rows.row_of((trace.context_ids[0] if trace.continuation_ids is None else row_of(trace, "true")).tolist())


def _held_out(lookup: Lookup) -> int | None:
    """The held-out row that the prompt is, if it is one."""
    rows, row = samples(), _row(lookup)
    return row if rows and row is not None and rows.data.bucket[row] == 0 else None


def _offer_index(model: Model, tokenizer: Tokenizer) -> None:
    """Say which index is missing, and how it comes to be."""
    try:
        corpus_of(model, tokenizer)
    except InputError as error:
        st.error(told(error))
        return
    if model.index != SUITE:
        name = model.index or model.name.replace("/", "-")
        st.info(
            f"What {escaped(model.name)} was trained on is {escaped(model.corpus)}, and no index built with its "
            "tokenizer is here, so nothing can be said of counts or rows. With its training texts at hand, build one:"
        )
        folder = index_folder(name, settings())
        st.code(
            f"memviz corpus build --model {model.name} --input TEXTS --out {folder}", language=None, wrap_lines=True
        )
        return
    if under_way(IndexTask(SUITE), "Counting comes when the training data are indexed", unit="tokens"):
        return
    say_end(IndexTask(SUITE))
    st.info("The index of the training data is not built yet: some seconds and about 200 MB of the cache, once.")
    if clicked(st, "Build the index", "trace_build_index"):
        worker().ask(IndexTask(SUITE), session())
        st.rerun(scope="app")


def _choose(lookup: Lookup) -> None:
    """The widgets; of a text without tracks only that which might find another text."""
    for name, value in CHOICES.items():
        st.session_state.setdefault(f"trace_ngram_{name}", value)
    options: dict[str, Any] = {"required": True, "persist_state": "session"}
    columns = iter(st.columns([1.5, 2, 1.5, 2], vertical_alignment="bottom"))
    if lookup.drawn:
        next(columns).segmented_control("n of the n-gram", ORDERS, key="trace_ngram_order", **options)
        next(columns).segmented_control(
            "Count",
            list(KINDS),
            format_func=lambda kind: KINDS[kind],
            key="trace_ngram_kind",
            help=explain("count_kinds"),
            **options,
        )
    if lookup.trace.continuation_ids is not None:
        next(columns).segmented_control("Over tokens", ["true", "generated"], key="trace_ngram_tokens", **options)
    if seen_until(lookup.model.step, lookup.model.n_steps) is not None:
        next(columns).toggle(
            f"Only what was seen up to step {lookup.model.step:,}",
            key="trace_ngram_so_far",
            persist_state="session",
            help=f"This checkpoint was written after {lookup.model.step:,} of {lookup.model.n_steps:,} steps.",
        )


def _show_boundary(lookup: Lookup) -> None:
    k, n = lookup.trace.n_context, lookup.order
    difference = lookup.counts().boundary(n, k)
    about, note = st.columns([1.6, 4], vertical_alignment="center")
    value = UNKNOWN if np.isnan(difference) else f"{difference:+,.0f}".replace("-", "−")
    about.metric(f"Boundary difference, {n}-gram count", value, help=explain("boundary_difference"), border=True)
    note.caption(f"index {k} minus index {k - 1}, {KINDS[lookup.kind]}, {lookup.tokens} tokens. {_of_own(lookup)}")


def _of_own(lookup: Lookup) -> str:
    """What is left out of "other rows"."""
    own = lookup.own.tolist()
    if not own:
        return (
            "No row shares 16 tokens in a row with the prompt: it has no copies to leave out, "
            "and “other rows” is the stream."
        )
    named = "row " + ", ".join(map(str, own)) if len(own) <= 4 else f"{len(own)} rows"
    return f"The prompt's own: {named}, left out of “other rows”."


def _show_spans(lookup: Lookup) -> None:
    pinned = index_in(st.query_params)
    j = pinned if pinned is not None and pinned < len(lookup.ids) else None
    st.markdown(
        "**The longest verbatim span of this text.** Click a token to see the one through it."
        if j is None
        else f"**The longest verbatim span through token {j}**"
    )
    blocks = [(False, "In the prompt's own row")] if len(lookup.own) else []
    for without_own, title in [*blocks, (True, "In other rows")]:
        _show_span(lookup, j, without_own, title)


def _show_span(lookup: Lookup, j: int | None, without_own: bool, title: str) -> None:
    spans = lookup.spans(without_own)
    if not without_own:
        spans = [span for span in spans if np.isin(span.rows, lookup.own).any()]
    span = span_at(spans, j)
    if span is None:
        st.markdown(f"**{title}:** none of {SPAN_LISTED} tokens or more.")
        return
    ids = lookup.ids[span.start : span.start + span.n_tokens]
    text = spelled(lookup.tokenizer.pieces(ids[:N_SPELLED])) + ("…" if span.n_tokens > N_SPELLED else "")
    wanted = span.rows if without_own else np.intersect1d(span.rows, lookup.own)
    found, n_places, n_seen = places(lookup.corpus, ids, wanted, lookup.until, N_PLACES)
    shown = "" if n_places <= len(found) else f"; {len(found)} of {n_places:,} places are listed, most often seen first"
    st.markdown(
        f"**{title}:** {span.n_tokens} tokens, {span.start} to {span.start + span.n_tokens - 1}, in {len(wanted):,} "
        f"row{'' if len(wanted) == 1 else 's'}, seen whole {n_seen:,} time{'' if n_seen == 1 else 's'}{shown}.  \n"
        f"“{escaped(text)}”"
    )
    st.table(_readable(found, lookup.model.n_steps), border="horizontal", hide_index=True)
    _offer_rows(lookup, [place["row"] for place in found], "other" if without_own else "own")


def _readable(places: list[dict[str, Any]], n_steps: int | None) -> list[dict[str, Any]]:
    """Places as a table to read; a row of blocks shows how many exposures fall into each part of the steps."""
    lines = []
    for place in places:
        steps = place["steps"]
        line = {escaped(name): escaped(v) if isinstance(v, str) else v for name, v in place.items() if name != "steps"}
        if n_steps:
            line["first and last step"] = f"{steps[0]:,}" + (f" … {steps[-1]:,}" if len(steps) > 1 else "")
            line[f"when, steps 0 to {n_steps:,}"] = when(steps, n_steps)
        lines.append(line)
    return lines


def _offer_rows(lookup: Lookup, rows: Sequence[int], name: str) -> None:
    """Buttons that make a listed row the page's prompt."""
    others = [row for row in dict.fromkeys(rows) if row != _row(lookup)]
    if not others or samples() is None or lookup.corpus.manifest.name != SUITE:
        return
    with st.container(horizontal=True):
        for row in others:
            if clicked(st, f"Open row {row}", f"open-{name}-{row}"):
                open_row(row, "trace")
                st.rerun(scope="app")
