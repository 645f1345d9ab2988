"""What do entropy and n-gram frequency do where a memorized continuation begins?"""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from memviz import ui
from memviz.corpus.attribution import KINDS
from memviz.demo.index import SUITE
from memviz.errors import InputError
from memviz.figures.boundary import boundary_figure
from memviz.measures.glossary import explain
from memviz.population import GROUPS
from memviz.ui.boundary.counterfactual import show_counterfactual
from memviz.ui.boundary.counts import Counting, comes_counted, counted
from memviz.ui.boundary.curves import (
    PERMILLE,
    curves_of,
    differences_of,
    groups_drawn,
    has_positions,
    moved_of,
    null_note,
    readable,
    reported,
    sizes_of,
    source_of,
)
from memviz.ui.boundary.survival import show_survival
from memviz.ui.common import frames
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.answers import boundary_answer
from memviz.ui.population.view import choose_view

ENTROPIES = {"entropy_free_running": "free-running", "entropy_teacher_forced": "teacher-forced"}
ORDERS = ("1", "2", "3")

show_head("boundary")
view, line, beside = choose_view("boundary")
sizes = sizes_of(view)
if not sizes:
    st.info("This sweep has no context longer than one token, so nothing stands before the boundary.")
    st.stop()
forget_unknown("k", sizes)
usual = sizes.index(view.task.context_at) if view.task.context_at in sizes else len(sizes) - 1
always: dict[str, Any] = {"required": True}
entropy = beside.segmented_control(
    "Entropy",
    list(ENTROPIES),
    format_func=lambda name: ENTROPIES[name],
    default="entropy_free_running",
    width="content",
    label_visibility="collapsed",
    **always,
    **bound("entropy"),
)
with line:
    k = st.selectbox("Context k", sizes, usual, width=110, **bound("k"))
    order = st.segmented_control("n of the n-gram", ORDERS, default=ORDERS[0], **always, **bound("n"))
with line.popover("n-gram counts", icon=":material/tune:"):
    tokens = st.segmented_control(
        "n-grams of", ["true", "generated"], default="true", format_func=lambda name: f"{name} tokens",
        help=explain("gram_tokens"), **always, **bound("tokens"),
    )  # fmt: skip
    kind_of_count = st.segmented_control(
        "counted in", list(KINDS), format_func=lambda name: KINDS[name], default="other",
        help=explain("count_kinds"), **always, **bound("count"),
    )  # fmt: skip
with line:
    null = st.toggle("Selection alone", True, help=explain("selection_alone"), **bound("null"))
    moved = st.toggle("Edge moved", help=explain("moved_edge"), **bound("moved"))
    minus = st.toggle("Less all rows", help=explain("less_all_rows"), **bound("minus"))
    pooled = len(sizes) > 1 and st.toggle(
        "Pool all k in the table", help="One line for all k; intervals are clustered by row.", **bound("pooled")
    )
answer, pictures = st.container(), st.container()  # above what offers to count
counting = Counting(kind_of_count, k if tokens == "generated" else None)
shipped = not (moved or pooled) and comes_counted(view, counting, order, k)
found = None if shipped else counted(view, counting)
if not has_positions(view, k):
    st.info("This sweep has no positions at this k: entropy is known on the two sides of the boundary only.")
    entropy = "entropy_free_running"
kinds = {"entropy": (entropy, "entropy (nats)", 1.0)}
heads = {"entropy": f"entropy, {ENTROPIES[entropy]}"}
notes = {"entropy": "left of the rule: context; right: continuation"}
if shipped or found is not None:
    kinds["frequency"] = (counting.quantity(order), f"{order}-gram frequency (‰)", PERMILLE)
    heads["frequency"] = f"{order}-gram frequency"
    notes["frequency"] = f"‰ of the tokens of {found.index if found else SUITE}; {counting.words}"

differences: dict[str, list[pd.DataFrame]] = {kind: [] for kind in kinds}
for i, (model, kind) in enumerate((model, kind) for model in reversed(view.models) for kind in kinds):
    if i in (1, 2):
        ui.draw_so_far(f"boundary-{i}")
    if i % 2 == 0:
        places = pictures.columns(2)
    quantity, title, scale = kinds[kind]
    try:
        aligned = source_of(view, model, k, found, quantity)
        one_k = not pooled or (kind == "frequency" and tokens == "generated")  # what was generated is counted at one k
        every = [aligned] if one_k else [source_of(view, model, k_of, found, quantity) for k_of in sizes]
    except InputError as error:
        ui.refuse(error)
    with places[i % 2]:
        curves = curves_of(view, aligned, quantity, found)
        edge = moved_of(aligned, quantity) if moved else None
        drawn_of, left_out = groups_drawn(view, curves)
        frames.show_figure(
            boundary_figure(drawn_of, title, GROUPS, null, minus, edge, scale=scale),
            curves,
            f"{view.names[model]}: {heads[kind]}",
            f"boundary-{kind}-{model}",
            view.task,
            frames.joined(notes[kind], left_out),
        )
        try:
            differences[kind].append(differences_of(view, every, quantity, found))
        except InputError as error:
            st.caption(ui.told(error))
    if i == 0:
        with answer:
            show_answer(boundary_answer(differences[kind], view.names[model], ENTROPIES[entropy], view.least))

digits = view.sweep.manifest.get("packed", {}).get("digits")
st.caption(
    f"{ui.escaped(view.which)} · k = {k}, groups by the score at m = {view.m} · "
    + (f"{digits} · " if digits else "")
    + "bands: 95 %, over groups of near-duplicates"
    + ("; grey bands and dots: selection alone" if null else "")
    + ("; long dashes: groups chosen with the edge moved to the dashed rule" if moved else "")
)
st.subheader("Differences at the boundary: index k minus index k − 1", anchor=False)
for kind, tables in differences.items():
    if tables:
        whole = pd.concat(tables, ignore_index=True)
        unit = "nats" if kind == "entropy" else f"‰ of the stream's tokens, {order}-grams"
        with st.container(border=True):
            files = frames.title_line(f"**{frames.sentence(kind)}** ({unit})")
            with files.popover("Data", icon=":material/download:"):
                frames.offer_table(whole, f"differences-{kind}")
            st.dataframe(readable(whole, view, kind), hide_index=True)
            st.caption(null_note(whole))
            if kind == "frequency" and order == "1":
                st.caption(
                    "The study's own 1-grams (Pythia on the Pile, billions of occurrences): mean of the context → of "
                    "the continuation, difference at the boundary. From a published summary of its table."
                )
                st.dataframe(reported(), hide_index=True)
of_true = counting.generated_at is None
offer = partial(counted, view, counting) if shipped else None  # its curves ship, the counts of single rows do not
show_survival(view, k, found, counting.quantity(order) if of_true else None, offer)
show_counterfactual(view, k)
st.caption(
    "A group chosen by its hits is also chosen by what makes hits easy, so a jump counts as memorization only beyond "
    "selection alone and beyond all rows; the moved edge is shown and decides nothing, for far from the start missing "
    "selects almost nothing. “Reported”: Chen, Han and Miyao 2024."
)
