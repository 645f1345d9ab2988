"""How far do memorized and other sequences lie apart inside a model while it decodes, step by step?"""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.dynamics import MEASURES, dynamics_figure, pair_name
from memviz.maps import PAIRS, STATES, VARIANTS, PairedStates, paired_tables
from memviz.measures.glossary import explain
from memviz.ui.common import frames
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.progress import offer_jobs
from memviz.ui.common.widgets import bound
from memviz.ui.dynamics.paired import show_paired
from memviz.ui.dynamics.tables import found_of, groups_drawn, joined, n_words, sampled_words, tables_of, tasks_of
from memviz.ui.population.answers import dynamics_answer
from memviz.ui.population.view import choose_view

MEASURE_HELP = f"Cosine: {explain('cosine')} Distance: {explain('distance')}"
USUAL = [("memorized", "memorized"), ("unmemorized", "unmemorized"), ("memorized", "unmemorized")]
READING = (
    "Distances are in each model's own units: between states whose coordinates have one size they grow as the square "
    "root of the width by themselves, and the final norm fixes the length of a state. So sizes are compared by ratios "
    "to the all-pairs mean, before and after the norm. Looping generations repeat their states and pull the curves; "
    "they are drawn apart. Raw cosines are high wherever all states share one large direction: the centred ones take "
    "the step's mean state away."
)

show_head("dynamics")
view, line, beside = choose_view("dynamics")
measure = beside.selectbox(
    "Measure",
    list(MEASURES),
    format_func=lambda n: MEASURES[n],
    width=330,
    label_visibility="collapsed",
    **bound("measure"),
)
with line:
    state = st.selectbox("States", STATES, width=200, help=MEASURE_HELP, **bound("state"))
    variant = st.selectbox("Generations", VARIANTS, width=180, help=explain("loop"), **bound("variant"))
    labels = {pair_name(*pair): pair for pair in PAIRS}
    chosen = st.multiselect("Pairs", list(labels), [pair_name(*pair) for pair in USUAL], **bound("pairs"))
tasks = tasks_of(view)
try:
    found = found_of(tasks)
except InputError as error:
    ui.refuse(error)
missing = [task for task in tasks if task.model not in found]
if missing:
    if not found:
        st.info("Not computed yet. Opening a page or a link never starts work.")
    verb = "Compute" if not found else f"Compute the other {len(missing)}"
    offer_jobs(tasks, missing, verb, "Dynamics", "dynamics-run")
if not found:
    st.stop()
tables = tables_of(view, found)
pairs = [labels[name] for name in chosen]
shown = [pair for pair in pairs if pair[0] == pair[1]] if measure == "norm" else pairs
large, left_out = groups_drawn(view, tables, variant)
largest = next(reversed(tables))
show_answer(dynamics_answer(tables[largest], largest, measure, state, variant, view.least))
frames.show_figure(
    dynamics_figure(large, measure, state, variant, shown) if shown else None,
    joined(tables),
    f"{frames.sentence(MEASURES[measure])}, {state}",
    "dynamics",
    view.task,
    f"Reading states of the last layer, free-running, k = {view.task.context_at}, m = {view.m}; "
    f"{sampled_words(found)}. {variant.capitalize()}: "
    f"{n_words(found, view, VARIANTS.index(variant))}. Bands: middle 95 % over resampled rows (whole "
    "groups of near-duplicates, never pairs); t = -1 is the last context token."
    + (f" Not drawn, of fewer than {view.least} rows: {left_out}." if left_out else ""),
    missing="Norms have no pairs between groups: choose a group or all rows." if pairs else "Choose a pair.",
)
st.caption(READING)


def curves(paired: PairedStates, names: tuple[str, str]) -> tuple[go.Figure, pd.DataFrame, str]:
    of_both = paired_tables(paired, names)
    figure = dynamics_figure(of_both, "cosine", STATES[0], VARIANTS[0], USUAL)
    return figure, joined(of_both), "Reading states of the last layer, after the final norm. Bands as above."


show_paired(view, "Cosine similarity, now and before", "dynamics", curves)
