"""Choosing a training row: the line that names it, and the browser of all rows behind it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.demo.samples import SHAPES, SHOWN, SIZES, Samples, Wish
from memviz.measures.glossary import explain
from memviz.measures.score import LEVELS
from memviz.measures.templates import CLASSES
from memviz.sweeps import RowSet
from memviz.tokenizer import Tokenizer
from memviz.ui.common.keeping import offer_keeping
from memviz.ui.common.process import samples, whole_runs
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import open_expander

ROW = "A row of the training data"
"""What the list of texts calls training rows."""


def edited(page: str) -> str:
    """Under what it is noted that a visitor has changed what a page asks."""
    return f"{page}_edited"


def known_row(model: str) -> int:
    """The row a first visitor sees."""
    rows = samples()
    return rows.known_row(model) if rows else 0


def prompt_of_row(row: int, own: Tokenizer) -> Sequence[int] | str:
    """A row's token ids as in training for a model that reads them, else its text, which is then said."""
    rows = samples()
    assert rows is not None
    if own.hash == rows.tokenizer.hash:
        return rows.data.ids[row].tolist()
    st.caption("Its text is split anew by this model's tokenizer: the tokens are not those of the suite's training.")
    return rows.texts[row]


def row_words(row: int) -> str:
    """A row in a few words of Markdown."""
    rows = samples()
    assert rows is not None
    return f"row {row} of {escaped(rows.titles[row])}"


def show_row(row: int, page: str, models: Sequence[str]) -> None:
    """Name the chosen row, and the browser of all of them; `models`: who is asked."""
    rows = samples()
    assert rows is not None
    wish = _wish(page)
    where = "in training" if set(models) <= set(rows.models) else "in the training of the suite"
    if any("@step" in model for model in models):  # which may have read it fewer times
        where = "in the whole training of the suite"
    seen = {0: "held out: no model of the suite has read it", 1: f"seen once {where}"}
    n_seen = int(rows.data.bucket[row])
    facts = [f"**Row {row}**", escaped(rows.data.domain[row]), escaped(rows.titles[row])]
    facts.append(seen.get(n_seen, f"seen {n_seen} times {where}"))
    known = [model for model in models if model in rows.models]
    if len(known) == len(models):
        facts.append(f":gray-badge[{rows.class_of(row)}]")
    share = rows.matches(known[-1], 32)[row] / 32 if known else math.nan
    if not math.isnan(share):
        facts.append(f"{escaped(known[-1])}: M {share:.2f} at 32 + 32")
    st.markdown(" · ".join(facts), help=explain("class"))
    box = open_expander("Choose among the training rows: by domain, exposures, score or text", f"{page}_open_rows")
    if box:
        with box:
            _browse(rows, wish, page)


def offer_surprise(where: DeltaGenerator, page: str) -> None:
    """The button for another row."""
    where.button(
        "Surprise me",
        icon=":material/casino:",
        help="Another row, drawn at random from those that fit the filters of the settings.",
        on_click=_surprise,
        args=(page,),
        key=f"{page}_surprise",
    )


def open_row(row: int, page: str) -> None:
    """Make a row the page's prompt, as a visitor's own change of it."""
    st.session_state[edited(page)] = True
    st.session_state[f"{page}_row"] = row
    st.session_state[f"{page}_source"] = ROW


def _surprise(page: str) -> None:
    rows = samples()
    found = rows.find(_wish(page)).tolist() if rows else []
    if found:
        open_row(random.choice(found), page)


def _wish(page: str) -> Wish:
    """What the browser's filters say; all rows where it has not been opened."""
    rows = samples()
    model, named = st.session_state.get(f"{page}_model", ""), st.session_state.get(f"{page}_rows_model")
    known = rows.models if rows else []
    scored = next((name for name in (named, model, *known[::-1]) if name in known), "")
    said = {
        name: st.session_state.get(f"{page}_rows_{name}") or ()
        for name in ("domains", "exposures", "levels", "classes")
    }
    m = st.session_state.get(f"{page}_rows_m") or 32
    text = st.session_state.get(f"{page}_rows_text") or ""
    shape = st.session_state.get(f"{page}_rows_shape") or ""
    sizes = tuple(name for name in whole_runs() if name in known)
    return Wish(
        model=scored, m=m, text=text, shape=shape, sizes=sizes, **{name: tuple(values) for name, values in said.items()}
    )


def _browse(rows: Samples, wish: Wish, page: str) -> None:
    keep: dict[str, Any] = {"persist_state": "session"}
    several: dict[str, Any] = {"selection_mode": "multi", "wrap": True, **keep}
    st.session_state.setdefault(f"{page}_rows_model", wish.model)
    st.session_state.setdefault(f"{page}_rows_m", wish.m)
    st.pills("M along the sizes", list(SHAPES), key=f"{page}_rows_shape", **keep)
    first, second = st.columns([1.4, 1]), st.columns([1.4, 1, 1.4])
    first[0].pills("Exposures", rows.exposure_labels, key=f"{page}_rows_exposures", **several)
    first[1].pills("Domain", rows.domains, key=f"{page}_rows_domains", **several)
    second[0].selectbox("Scores of", rows.models[::-1], key=f"{page}_rows_model", **keep)
    second[1].selectbox("Continuation of the score", SIZES, key=f"{page}_rows_m", **keep)
    second[2].text_input("Search in the text", key=f"{page}_rows_text", placeholder="any words", **keep)
    third = st.columns([1.4, 1, 1.4])
    of = f"Score level of {escaped(wish.model)}"
    third[0].pills(of, LEVELS, key=f"{page}_rows_levels", **several)
    third[1].pills("Class", CLASSES, key=f"{page}_rows_classes", help=explain("class"), **several)
    found = rows.find(wish)
    listed = rows.listed(found, wish)

    def take() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        if chosen:
            open_row(int(listed["row"].iloc[chosen[0]]), page)

    key = f"{page}_rows_{hash(wish)}"  # a selection is by place in the list, so another list has another one
    st.dataframe(
        listed,
        hide_index=True,
        height=320,
        on_select=take,
        selection_mode="single-row",
        key=key,
        column_config={
            "row": st.column_config.NumberColumn(format="%d", width=60),
            "sizes": st.column_config.BarChartColumn("M by size", y_min=0, y_max=1, width=80, help="Smallest first."),
            "domain": st.column_config.TextColumn(width=75),
            "document": st.column_config.TextColumn(width=150),
            "exposures": st.column_config.TextColumn(width=110),
            "class": st.column_config.TextColumn(width=90, help=explain("class")),
            "score": st.column_config.NumberColumn(f"M, m = {wish.m}", format="%.2f", width=85),
            "text": st.column_config.TextColumn(width="large"),
        },
    )
    drawn = f"{SHOWN} of them, drawn at random, are listed" if len(found) > SHOWN else "all are listed"
    n_scored = len(rows.scores) // max(1, len(rows.models))
    st.caption(
        f"{len(found):,} of {rows.n_rows:,} rows fit; {drawn}. M is the memorization score after the row's first 32 "
        f"tokens. {n_scored:,} rows were scored: every row of a bucket, and a sample of the background, the rows that "
        "were never meant to repeat; choosing a level leaves the others out."
    )
    if len(found):
        with st.popover("Keep these rows", icon=":material/bookmark_add:"):
            offer_keeping(RowSet(rows=tuple(found.tolist())), "chosen among the training rows", f"{page}-rows")
