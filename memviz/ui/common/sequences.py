"""Sequences of a population one by one: listed with their text, opened on another page, kept as a row set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import find_model, read_card
from memviz.errors import InputError
from memviz.settings import settings
from memviz.tasks.ladder import LadderTask, tasks_of
from memviz.tasks.trace import run_hash, task_of_ids
from memviz.ui.common.clicks import clicked
from memviz.ui.common.frames import offer_table
from memviz.ui.common.keeping import offer_keeping, rows_among
from memviz.ui.common.running import LINK_LENGTH
from memviz.ui.common.shared import PAGES, refuse, store, tokenizer
from memviz.ui.population.page import View, points

SHOWN = 300
"""Sequences listed at most; files hold all."""
TEXT_TOKENS = 48
"""Tokens of a row that are spelled out in a list."""


def show_sequences(view: View, rows: np.ndarray, title: str, name: str, models: tuple[str, str]) -> None:
    """A list of rows with their scores under two models, from which one opens elsewhere; `name` tells lists apart."""
    st.markdown(f"**{title}**: {len(rows):,} sequence{'' if len(rows) == 1 else 's'}")
    if not len(rows):
        return
    table = listed(view, rows, models)
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
    listed_words = "all are listed" if len(table) <= SHOWN else f"the first {SHOWN} are listed, files hold all"
    row = int(shown["row"].iloc[chosen[0]]) if chosen else None
    with st.container(horizontal=True, vertical_alignment="center"):
        for target, label, icon in (
            ("compare", "Open in Compare", ":material/stacks:"),
            ("trace", f"Open in Trace, {view.names[models[1]]}", ":material/timeline:"),
        ):
            if clicked(st, label, f"{target}-{name}", icon=icon, disabled=row is None) and row is not None:
                _open(view, row, target, models[1])
        with st.popover("Keep these rows", icon=":material/bookmark_add:"):
            offer_keeping(rows_among(view.task.rows, rows), title, name)
        with st.popover("Data", icon=":material/download:"):
            offer_table(table, f"{name}-rows")
    st.caption(
        f"{listed_words}. Tick a line to open its sequence; opening starts no computation." if row is None else ""
    )


def listed(view: View, rows: np.ndarray, models: tuple[str, str]) -> pd.DataFrame:
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
    scores = points(view, "size").pivot(index="row", columns="model", values="score")
    for model in models:
        found[f"M, {view.names[model]}"] = scores[model].reindex(rows).to_numpy()
    found["text"] = _texts(view, known["ids"].tolist(), models[1])
    return found


def _texts(view: View, ids: list[np.ndarray], model: str) -> list[str]:
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


def _open(view: View, row: int, page: str, model: str) -> None:
    """Store the request that asks a row as the sweep did, and go to the page that shows it."""
    task = view.task
    ids: list[int] = view.rows.loc[view.rows["row"] == row, "ids"].iloc[0].tolist()
    names = view.models if page == "compare" else (model,)
    try:
        cards = [(name, read_card(find_model(name, settings()), settings())) for name in names]
        missing = [name for name, card in cards if card is None]
        if missing:
            raise InputError(
                f"{', '.join(missing)} must be got ready first: choose it on the Trace page, or run "
                f"`memviz models add {missing[0]}`"
            )
        ready = [card for _, card in cards if card is not None]
        if page == "compare":
            readers = [(card, tokenizer(card)) for card in ready]
            ladder = LadderTask(tasks_of(ids, readers, task.context_at, view.m, task.dtype), "size")
            name, request = ladder.hash, ladder.request()
        else:
            trace = task_of_ids(ids, ready[0], task.context_at, view.m, dtype=task.dtype)
            name, request = run_hash(trace), trace.request()
    except InputError as error:
        refuse(error)
    store().put_request(name, request)
    st.switch_page(PAGES / f"{page}.py", query_params={"run": name[:LINK_LENGTH]})
