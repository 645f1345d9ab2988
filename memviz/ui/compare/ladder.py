"""The ladder on the Compare page: what it draws, and what the address asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from memviz.catalog import Card, same_weights
from memviz.demo.index import SUITE
from memviz.figures.ladder import LADDER, METRICS, MODES, VIEWS, Rung
from memviz.tasks.ladder import step_of
from memviz.tasks.preparing import IndexTask
from memviz.ui.common.components import Component
from memviz.ui.common.links import index_in
from memviz.ui.common.lookup import Lookup
from memviz.ui.common.process import worker
from memviz.ui.common.texts import escaped
from memviz.ui.several import PAGE, RunRow

DRAWN = Component("memviz_ladder", LADDER.css, LADDER.js)
KEPT = {
    "view": "view",
    "pinned": "tok",
    "mode": "mode",
    "metric": "metric",
    "base": "base",
    "differences": "diff",
    "only": "only",
}
"""What the component shares with the address, and under which name."""


def ladder_component(data: dict[str, Any], key: str) -> None:
    """Draw the ladder, and keep what is chosen on it in the address."""
    DRAWN.draw_kept(data, key, KEPT)


def ladder_state(names: Sequence[str]) -> dict[str, Any]:
    """What the address asks the ladder to show; what makes no sense is left out."""
    given, wishes = st.query_params, {"view": VIEWS, "mode": MODES, "metric": METRICS, "base": names}
    asked: dict[str, Any] = {name: given[name] for name, known in wishes.items() if given.get(name) in known}
    asked |= {name: given.get(KEPT[name]) == "1" for name in ("differences", "only")}
    return {"pinned": index_in(given), **asked}


def rungs_of(rows: Sequence[RunRow], axis: str) -> list[Rung]:
    """The rows as figures know them."""
    rungs = []
    for row in rows:
        step, n = step_of(row.model), row.card.n_parameters
        label = f"step {step:,}" if axis == "step" and step is not None else row.model.name
        facts = "" if axis == "step" else f"{n / 1e9:.3g}B" if n >= 1e9 else f"{n / 1e6:.2g}M" if n >= 1e5 else f"{n:,}"
        trace = row.result.trace if row.result else None
        rungs.append(Rung(row.model.name, label, facts, row.tokenizer.piece, trace, row.status, step))
    return rungs


def say_same(cards: Sequence[Card]) -> None:
    """Which of the models have equal weights, so that their rows differ in nothing but their names."""
    of = {card.name: card for card in cards}
    for names in same_weights(cards):
        once = len({of[name].weights for name in names}) == 1
        end = "their rows are computed once" if once else "their configurations differ, so each is computed"
        st.info(f"{escaped(', '.join(names))} have the same weights, byte for byte; {end}.")


def say_counted(lookup: Lookup | None, row: RunRow) -> None:
    """Under the curves: the switch of the n-gram curve, and what it counts or why there is none."""
    toggle, note = st.columns([1.5, 6], vertical_alignment="center")
    on = toggle.toggle("n-gram counts", True, key=f"{PAGE}_counted", persist_state="session")
    if not on:
        said = "Counts of the text's n-grams in the training data are not drawn."
    elif lookup is None and (job := worker().job(IndexTask(SUITE).hash)) and job.active:
        said = "The index of the training data is being built; its counts come with the next look at this page."
    elif lookup is None:
        name = escaped(row.model.name)
        said = f"No n-gram index of {name}'s training data is here; the Trace page says how to build one."
    elif not lookup.tracks():
        said = f"This text is not from {escaped(lookup.corpus.manifest.name)}, so its n-grams are not counted."
    else:
        about = lookup.corpus.manifest
        said = f"n-grams of the text in {escaped(about.name)}: exact counts over {about.n_tokens:,} tokens."
    note.caption(said)
