"""Which sequences change their score level from one model to another?"""

import itertools
from functools import partial
from typing import Any

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.transitions import transition_figure
from memviz.measures.glossary import explain
from memviz.measures.score import LEVELS
from memviz.ui.common import frames
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.answers import transition_answer
from memviz.ui.population.sequences import show_sequences
from memviz.ui.population.tables import rows_of_transition as rows_of
from memviz.ui.population.tables import table_of_transition, transition_of
from memviz.ui.population.view import LEAST, choose_view

ANY = "choose a level"
CELL, LOST, GAINED = "One cell", "Memorized by the first alone", "Memorized by the second alone"

show_head("transitions")
view, _, beside = choose_view("transitions")
if len(view.models) < 2:
    st.info("A transition needs two models: choose another one under **Rows and models**, or sweep several.")
    st.stop()
names = view.names


def choose_pair(smaller: str, larger: str) -> None:
    st.session_state["smaller"], st.session_state["larger"] = smaller, larger


def take_cell(key: str, smaller: str, larger: str) -> None:
    """A clicked cell becomes what the lists below are about."""
    clicked = st.session_state[key]["selection"]["points"]
    if clicked:
        choose_pair(smaller, larger)
        row, column = clicked[0]["customdata"][:2]
        st.session_state["level"], st.session_state["to"] = LEVELS[int(row)], LEVELS[int(column)]


for key in ("smaller", "larger"):
    forget_unknown(key, view.models)
last = len(view.models) - 1
folded: dict[str, Any] = {"format_func": lambda name: names[name], "label_visibility": "collapsed", "width": 150}
smaller = beside.selectbox("From", view.models, last - 1, **folded, **bound("smaller"))
beside.markdown("→", width="content")
larger = beside.selectbox("To", view.models, last, **folded, **bound("larger"))
if smaller == larger:
    st.info("Choose two different models.")
    st.stop()
try:
    found = transition_of(view, smaller, larger)
except InputError as error:
    ui.refuse(error)
show_answer(transition_answer(found, names, view.least))

left, right = st.columns([1.25, 1])
with right:
    pair = st.columns(2, vertical_alignment="bottom")
    level = pair[0].selectbox(f"Level under {view.words[smaller]}", LEVELS, None, placeholder=ANY, **bound("level"))
    to = pair[1].selectbox(f"Level under {view.words[larger]}", LEVELS, None, placeholder=ANY, **bound("to"))
chosen = (LEVELS.index(level), LEVELS.index(to)) if level and to else None
with left:
    key = f"matrix-{smaller}-{larger}-{hash(view.asked)}"
    frames.show_figure(
        transition_figure(found.counts, found.shares, names[smaller], names[larger], LEAST, chosen=chosen),
        table_of_transition(found),
        f"From {names[smaller]} to {names[larger]}",
        "transition",
        view.task,
        f"n = {found.n:,} sequences, k = {view.task.context_at}, m = {view.m}. A row adds up to 100 %; its percentages "
        f"are hidden below n = {LEAST}. Click a cell to list its sequences.",
        on_select=partial(take_cell, key, smaller, larger),
        key=key,
    )
with right:
    cards = st.container(key="cards").columns(2)
    cards[0].metric(
        "Keep their level",
        f"{found.kept.value:.1%}",
        help=f"{explain('kept_level')} 95 %: {found.kept.low:.1%} to {found.kept.high:.1%}.",
        border=True,
    )
    known = found.kappa.value == found.kappa.value
    cards[1].metric(
        "Cohen's kappa",
        f"{found.kappa.value:.2f}" if known else "undefined",
        help=explain("kappa")
        + (f" 95 %: {found.kappa.low:.2f} to {found.kappa.high:.2f}." if known else " Here both know one level only."),
        border=True,
    )
    st.caption(ui.escaped(view.which))
    gained, lost = (rows_of(view, view.asked, *ends, None) for ends in ((larger, smaller), (smaller, larger)))
    lists = {
        CELL: f"{level or '…'} → {to or '…'}",
        LOST: f"{len(lost):,} by {view.words[smaller]}, not by {view.words[larger]}",
        GAINED: f"{len(gained):,} by {view.words[larger]}, not by {view.words[smaller]}",
    }
    which = st.radio("Listed below", list(lists), captions=list(lists.values()), **bound("listed"))

if which == CELL and chosen is None:
    st.info("Click a cell of the matrix, or choose both levels beside it, to list its sequences.")
elif which == CELL and chosen:
    rows = rows_of(view, view.asked, smaller, larger, chosen)
    title = f"{level} under {names[smaller]}, {to} under {names[larger]}"
    show_sequences(view, rows, title, "cell", (smaller, larger))
else:
    rows = lost if which == LOST else gained
    ends = (smaller, larger) if which == LOST else (larger, smaller)
    title = f"Memorized by {names[ends[0]]}, not by {names[ends[1]]}"
    show_sequences(view, rows, title, "lost" if which == LOST else "gained", (smaller, larger))

if len(view.models) > 2:
    st.subheader("Along the ladder", anchor=False)
    ladder = "next larger one" if len(set(view.n_parameters.values())) == len(view.models) else "next one"
    st.caption(f"Each model to the {ladder}; rows: the first one's level, very high on top. Click for more.")
    steps = list(itertools.pairwise(view.models))
    columns = st.columns(min(4, len(steps)))
    for i, (one, next_one) in enumerate(steps):
        each = transition_of(view, one, next_one)
        key = f"step-{one}-{hash(view.asked)}"
        with columns[i % len(columns)]:
            frames.show_figure(
                transition_figure(each.counts, each.shares, names[one], names[next_one], LEAST, compact=True),
                table_of_transition(each),
                f"{names[one]} → {names[next_one]}",
                f"transition-{i}",
                view.task,
                f"keep their level: {each.kept.value:.0%} [{each.kept.low:.0%}, {each.kept.high:.0%}], n = {each.n:,}",
                on_select=partial(take_cell, key, one, next_one),
                key=key,
            )
