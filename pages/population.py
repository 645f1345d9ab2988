"""How does memorization change with model size, context, continuation and exposures?"""

import numpy as np
import streamlit as st

from memviz import ui
from memviz.figures.population import QUANTITIES, levels_figure, lines_figure, size_figure
from memviz.measures.glossary import explain
from memviz.population import POPULATIONS
from memviz.ui.common import frames
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.population.answers import size_answer
from memviz.ui.population.heads import show_heads
from memviz.ui.population.likeness import show_likeness
from memviz.ui.population.tables import fit_of, floor_of, table_of, with_held_out
from memviz.ui.population.view import LEAST, WEIGHTINGS, choose_view

CURVES = {
    "continuation": ("Against continuation size", "m", "continuation tokens m"),
    "sliding": ("Against context size, sliding", "k", "context tokens k (the target moves along)"),
    "anchored": ("Against context size, anchored", "k", "context tokens k (the target stays)"),
}

show_head("population")
view, _, beside = choose_view("population", with_weights=True)
names, largest = view.names, view.models[-1]
modes = [mode for mode in ("sliding", "anchored") if mode in view.task.context_modes and view.task.contexts]
mode = modes[0] if modes else "sliding"
quantity = beside.segmented_control(
    "Drawn",
    list(QUANTITIES),
    format_func=lambda name: frames.sentence(QUANTITIES[name]),
    default="mean",
    required=True,
    key="quantity",
    width="content",
    label_visibility="collapsed",
    bind="query-params",
)
if len(modes) > 1:
    mode = beside.segmented_control(
        "Context grows",
        modes,
        default=mode,
        required=True,
        key="mode",
        width="content",
        label_visibility="collapsed",
        bind="query-params",
    )
k, m, at = view.task.context_at, view.m, view.task.continuation_at
sizes, floor = table_of(view, "size", "model"), floor_of(view, "size", "model")
fit = fit_of(view, quantity)
show_answer(size_answer(fit, quantity, LEAST))

left, right = st.columns(2)
large_sizes, few = view.large(sizes)
with left:
    figure = None if large_sizes is None else levels_figure(large_sizes, "model", names)
    note = frames.joined(f"{frames.n_words(sizes, 'model')}; levels are fifths of the score, very high from 0.8", few)
    frames.show_figure(figure, sizes, "Share at each score level", "levels", view.task, note, few)
with right:
    drawn = None
    if fit is not None:
        ends = sorted(view.n_parameters.values())
        x = np.geomspace(ends[0], ends[-1], 50)
        drawn = (x, fit.at(x), frames.slope_words(fit))
    figure = None
    if large_sizes is not None:
        figure = size_figure(large_sizes, quantity, view.n_parameters, names, drawn, floor)
    note = frames.n_words(sizes, "model") + (
        f"; fitted through {fit.n_models} models, interval over rows" if fit else "; a fit needs two sizes"
    )
    frames.show_figure(
        figure, sizes, f"{frames.sentence(QUANTITIES[quantity])} against model size", "size", view.task,
        frames.joined(note, few), few,
    )  # fmt: skip

if sizes is not None and len(sizes):
    top = sizes.iloc[-1]
    cards = st.container(key="cards").columns(4)
    cards[0].metric("Rows", f"{int(top['n']):,}", help=ui.escaped(view.which), border=True)
    cards[1].metric(
        f"Mean score M, {view.words[largest]}", f"{top['mean']:.3f}", help=explain("mean_score"), border=True
    )
    cards[2].metric(
        f"Memorized (M = 1), {view.words[largest]}", f"{top['full']:.1%}", help=explain("share_memorized"), border=True
    )
    held = "none swept" if floor is None or not len(floor) else f"{floor.iloc[-1]['mean']:.3f}"
    cards[3].metric("Held-out floor, mean M", held, help=explain("held_out"), border=True)
st.caption(
    f"{ui.escaped(view.which)} · k = {k}, m = {m} unless an axis says otherwise · "
    f"{WEIGHTINGS[view.population].lower()}: {POPULATIONS[view.population]} · "
    "whiskers: 95 %, over groups of near-duplicates; another training run would differ by more"
)

ui.draw_so_far("population")
continuation, context = st.columns(2)
with continuation:
    title, x_column, label = CURVES["continuation"]
    table = table_of(view, "continuation", "model", "m")
    figure = None
    drawn_of, few = view.large(table)
    if drawn_of is not None:
        below = floor_of(view, "continuation", "model", "m")
        figure = lines_figure(drawn_of, x_column, label, quantity, view.models, names, below)
    note = frames.joined(f"{frames.n_words(table)}, the same rows at every m; k = {k}", few)
    frames.show_figure(figure, table, title, "continuation", view.task, note, few)
with context:
    title, x_column, label = CURVES[mode]
    table = table_of(view, mode, "model", "k") if modes else None
    figure = None
    drawn_of, few = view.large(table)
    if drawn_of is not None:
        below = floor_of(view, mode, "model", "k")
        figure = lines_figure(drawn_of, x_column, label, quantity, view.models, names, below)
    note = frames.joined(f"{frames.n_words(table)}, the same rows at every k; m = {at}", few)
    lacking = f"The rows of this curve cannot stand for {POPULATIONS[view.population]}: choose another weighting."
    missing = few or (lacking if view.weighted and modes else "")
    frames.show_figure(figure, table, title, f"context-{mode}", view.task, note, missing)

exposures, domains = st.columns(2)
with exposures:
    table = table_of(with_held_out(view), "size", "model", "bucket")
    drawn_of, left_out = view.large(table)
    figure = None
    if drawn_of is not None:
        steps = drawn_of.assign(bucket=["held out" if not bucket else f"{bucket:g}" for bucket in drawn_of["bucket"]])
        figure = lines_figure(
            steps, "bucket", "planned exposures in training", quantity, view.models, names, category=True
        )
    frames.show_figure(
        figure,
        table,
        "Against exposures",
        "exposures",
        view.task,
        frames.joined(f"{frames.n_words(drawn_of, 'bucket and model')}; rows of a bucket count once each", left_out),
        left_out or "How often these rows were seen in training is not known.",
    )
with domains:
    table = table_of(view, "size", "model", "domain")
    drawn_of, left_out = view.large(table)
    figure = None
    if drawn_of is not None:
        below, _ = view.large(floor_of(view, "size", "model", "domain"))
        figure = lines_figure(
            drawn_of, "domain", "domain", quantity, view.models, names, below, category=True, join=False
        )
    frames.show_figure(
        figure, table, "By domain", "domains", view.task,
        frames.joined(frames.n_words(drawn_of, "domain and model"), left_out),
        left_out or "The domains of these rows are not known.",
    )  # fmt: skip
show_likeness(view)
show_heads(view)
st.caption(
    "A suite with planted duplicates decides itself how many of its rows are memorized: read shares per bucket, or "
    "weighted to a stated population, and always against the held-out floor."
)
