"""Sequences of a population one by one: listed with their text, opened on another page, kept as a row set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import find_model, read_card
from memviz.errors import InputError
from memviz.settings import settings
from memviz.tasks.ladder import LadderTask, tasks_of
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import PAGES
from memviz.ui.common.frames import offer_table
from memviz.ui.common.keeping import offer_keeping, rows_among
from memviz.ui.common.links import link_to
from memviz.ui.common.process import tokenizer
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import refuse
from memviz.ui.population.tables import scores_of
from memviz.ui.population.view import SweepView

SHOWN = 300
"""Sequences listed at most; files hold all, or the first `MOST_LISTED`."""
MOST_LISTED = 20_000
"""Of a list whose files hold all: more are not spelled out."""
TEXT_TOKENS = 48
"""Tokens of a row that are spelled out in a list."""


def show_sequences(view: SweepView, rows: np.ndarray, title: str, name: str, models: tuple[str, str]) -> int | None:
    """A list of rows with their scores under two models, from which one opens elsewhere; `name` tells lists apart.

    The row that is ticked, if any.
    """
    st.markdown(f"**{escaped(title)}**: {len(rows):,} sequence{'' if len(rows) == 1 else 's'}")
    if not len(rows):
        return None
    table = listed(view, rows[:MOST_LISTED], models)
    shown = table.head(SHOWN)
    chosen = st.dataframe(
        shown,
        hide_index=True,
        height=min(320, 38 + 35 * len(shown)),
        on_select="rerun",
        selection_mode="single-row",
        key=f"list-{name}-{hash((view.asked, rows.tobytes()))}",
        column_config={
            "row": st.column_config.NumberColumn(format="%d", width=70),
            "text": st.column_config.TextColumn("text (context | continuation)", width="large"),
            **{f"M, {view.names[model]}": st.column_config.NumberColumn(format="%.2f", width=110) for model in models},
        },
    )["selection"]["rows"]
    listed_words = (
        "all are listed" if len(table) <= SHOWN else f"the first {SHOWN} are listed, files hold {len(table):,}"
    )
    row = int(shown["row"].iloc[chosen[0]]) if chosen else None
    with st.container(horizontal=True, vertical_alignment="center"):
        for target, label, icon in (
            ("compare", "Open in Compare", ":material/stacks:"),
            ("trace", f"Open in Trace, {view.words[models[1]]}", ":material/timeline:"),
        ):
            if clicked(st, label, f"{target}-{name}", icon=icon, disabled=row is None) and row is not None:
                _open(view, row, target, models[1])
        with st.popover("Keep these rows", icon=":material/bookmark_add:"):
            offer_keeping(rows_among(view.task.rows, rows[:MOST_LISTED]), title, name)
        with st.popover("Data", icon=":material/download:"):
            offer_table(table, f"{name}-rows")
    st.caption(
        f"{listed_words}. Tick a line to open its sequence; opening starts no computation." if row is None else ""
    )
    return row


def listed(view: SweepView, rows: np.ndarray, models: tuple[str, str]) -> pd.DataFrame:
    """One line a row: what is known of it, its score under each model, and the start of its text."""
    known = view.rows.set_index("row").loc[rows]
    found = pd.DataFrame({"row": rows})
    if known["row_id"].notna().any():
        found["id"] = known["row_id"].to_numpy()
    if known["domain"].notna().any():
        found["domain"] = known["domain"].to_numpy()
        exposures = np.where(known["bucket"] == 0, "held out", known["bucket"].astype(str))
        found["exposures"] = exposures
    if known["memorization_class"].notna().any():
        found["class"] = known["memorization_class"].to_numpy()
    found["template"] = known["template"].to_numpy()
    scores = scores_of(view, rows, models)
    for model in models:
        found[f"M, {view.names[model]}"] = scores[model]
    found["text"] = texts_of_rows(view, view.ids(rows), models[1])
    return found


def texts_of_rows(view: SweepView, ids: list[np.ndarray], model: str) -> list[str]:
    """The tokens around the end of the context; token ids where the model's tokenizer is not here."""
    try:
        card = read_card(find_model(model, settings()), settings())
    except InputError:
        card = None
    k = view.task.context_at
    if card is None:
        return [" ".join(map(str, row[:TEXT_TOKENS])) for row in ids]
    read = tokenizer(card).to_bytes

    def text(part: np.ndarray) -> str:
        return " ".join(read(part.tolist()).decode("utf-8", "replace").split())

    return [f"{text(row[max(0, k - TEXT_TOKENS // 2) : k])} | {text(row[k : k + TEXT_TOKENS // 2])}" for row in ids]


def _open(view: SweepView, row: int, page: str, model: str) -> None:
    """Go to the page that shows a row, asked as the sweep did."""
    try:
        asked = _asked(view, row, view.models if page == "compare" else (model,))
    except InputError as error:
        refuse(error)
    st.switch_page(PAGES / f"{page}.py", query_params=link_to(asked if page == "compare" else asked.tasks[0]))


def _asked(view: SweepView, row: int, names: Sequence[str]) -> LadderTask:
    """A row under some models at the view's sizes. Raises InputError where one of them is not ready."""
    ids: list[int] = view.ids(np.array([row]))[0].tolist()
    cards = [(name, read_card(find_model(name, settings()), settings())) for name in names]
    missing = [name for name, card in cards if card is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)} must be got ready first: choose it on the Trace page, or run "
            f"`memviz models add {missing[0]}`"
        )
    readers = [(card, tokenizer(card)) for _, card in cards if card is not None]
    return LadderTask(tasks_of(ids, readers, view.task.context_at, view.m, view.task.dtype), "size")
