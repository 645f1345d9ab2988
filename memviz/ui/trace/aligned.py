"""The Trace page's aligned view: what was recited with a shift lies under its original."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from memviz import ui
from memviz.figures.aligned import LEFT_OUT, OTHER, PUT_IN, SAME, aligned_html, mark_of
from memviz.measures.display import format_value
from memviz.measures.glossary import explain
from memviz.measures.similarity import alignment
from memviz.records import Run
from memviz.tokenizer import Tokenizer


def show_aligned(run: Run, tokenizer: Tokenizer, score: float) -> None:
    """Where there is a truth: both continuations in the alignment of fewest edits. `score`: M, which stays."""
    if run.trace.continuation_ids is None:
        return
    box = ui.open_expander("Aligned: tokens put in and left out", "trace_open_aligned")
    if not box:
        return
    generated, true = run.trace.generated_ids[0].tolist(), run.trace.continuation_ids[0].tolist()
    pairs = alignment(generated, true)
    pieces = [
        (None if i is None else tokenizer.piece(generated[i]), None if j is None else tokenizer.piece(true[j]))
        for i, j in pairs
    ]
    counted = Counter(mark_of(pair, generated, true) for pair in pairs)
    with box:
        st.html(aligned_html(pairs, generated, true, pieces))
        n_edits = counted[OTHER] + counted[PUT_IN] + counted[LEFT_OUT]
        st.caption(
            f"Above the true tokens, below what the model wrote: {counted[SAME]} the same ({SAME}), {counted[OTHER]} "
            f"exchanged ({OTHER}), {counted[PUT_IN]} put in ({PUT_IN}), {counted[LEFT_OUT]} left out ({LEFT_OUT}): "
            f"{n_edits} edits, no alignment has fewer. M is unchanged by this: position by position it counts "
            f"{format_value(score, 'share')}.",
            help=explain("aligned_view"),
        )
