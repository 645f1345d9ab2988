"""Do likelihood statistics tell rows that were trained on from rows that were not?"""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.membership import roc_figure
from memviz.figures.population import lines_figure
from memviz.measures.glossary import explain
from memviz.population.membership import EVERY, FALSE_POSITIVES, SCORES, roc
from memviz.ui.common import frames
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.answers import membership_answer
from memviz.ui.population.membership import (
    choose_classes,
    drawn_words,
    judged_of,
    older_words,
    points_of,
    readable,
)
from memviz.ui.population.view import choose_view

JUDGED = {"auroc": "AUROC", "tpr": "True positives at 1 %"}

show_head("membership")
view, line, beside = choose_view("membership")
with line:
    column, members = choose_classes(view)
    judged_by = st.segmented_control(
        "Judged by", list(JUDGED), format_func=lambda name: JUDGED[name], default="auroc", required=True,
        help=explain("membership_auroc") + " " + explain("membership_tpr"), **bound("by"),
    )  # fmt: skip
forget_unknown("score", list(SCORES))
score = beside.segmented_control(
    "Statistic", list(SCORES), format_func=lambda name: SCORES[name], default="min_k_plus_plus", required=True,
    width="content", label_visibility="collapsed", **bound("score"),
)  # fmt: skip
try:
    points, table = points_of(view, column, members), judged_of(view, column, members, together=True)
except InputError as error:
    ui.refuse(error)
older = "" if score in set(table["score"]) else older_words(view, SCORES[score])
score = table["score"].iloc[0] if older else score
k, largest = view.task.context_at, view.models[-1]
every = table[table["model"] == largest]
of_score = every[every["score"] == score].iloc[0]
show_answer(membership_answer(of_score, SCORES[score], view.names[largest], view.least))
n_members, n_others = (int(every[name].iloc[0]) for name in ("n_members", "n_others"))

left, right = st.columns(2)
with left:
    curves = roc(points, largest)
    note = f"{n_members:,} members, {n_others:,} others; the rule: {FALSE_POSITIVES:.0%} of others called members"
    if n_others * FALSE_POSITIVES < 1:
        note += ", which is less than one row: judged where none is"
    frames.show_figure(
        roc_figure(curves, SCORES, FALSE_POSITIVES), curves, f"ROC, {view.names[largest]}", "roc", view.task, note
    )
with right:
    sizes = table.assign(size=table["model"].map(view.names))
    figure = lines_figure(
        sizes.assign(model=sizes["score"]), "size", "model", judged_by, list(dict.fromkeys(sizes["score"])), SCORES,
        category=True, ordered=False,
    )  # fmt: skip
    frames.show_figure(
        figure, sizes, f"{JUDGED[judged_by]} by size", "membership-size", view.task, frames.n_words(sizes, "size")
    )

if older:
    st.info(older)
for place, (_, each) in zip(st.container(key="cards").columns(len(every)), every.iterrows(), strict=True):
    place.metric(
        f"AUROC, {SCORES[each['score']]}",
        f"{each['auroc']:.3f}",
        f"{each['tpr']:.1%} found at {FALSE_POSITIVES:.0%} false",
        delta_color="off",
        delta_arrow="off",
        help=explain("membership_auroc") + " " + explain("membership_statistics"),
        border=True,
    )
st.caption(
    f"{ui.escaped(view.which)} · of them {n_members:,} members; {n_others:,} others · {view.words[largest]} above · "
    f"the m = {view.m} true tokens after k = {k}, teacher-forced · whiskers: 95 %, over groups of near-duplicates "
    f"within domains and exposures{drawn_words(view)}"
)

ui.draw_so_far("membership")
table = judged_of(view, column, members, together=False)  # more classes, and more time, than the first screen needs
by_kind = table[(table["members"] != EVERY) & (table["score"] == score)]
steps, left_out = view.large(by_kind, "n_members", "n_others")
title = f"{JUDGED[judged_by]} of {SCORES[score]} by {'exposures' if column == 'bucket' else 'label'}"
figure = lines_figure(
    steps, "members", "planned exposures of the members" if column == "bucket" else "label of the members", judged_by,
    view.models, view.names, category=True,
) if steps is not None else None  # fmt: skip
frames.show_figure(
    figure, by_kind, title, "membership-exposures", view.task,
    frames.joined(f"each against the same others; {frames.n_words(steps, 'point')}", left_out),
    left_out or "All members are of one kind here.",
)  # fmt: skip
with st.container(border=True):
    files = frames.title_line("**All of it**")
    with files.popover("Data", icon=":material/download:"):
        frames.offer_table(table, "membership")
    st.dataframe(readable(table, view), hide_index=True)
st.caption(
    "A statistic that is no better than 0.5 says nothing of membership; one that tells rows seen 64 times from those "
    "held out may still say nothing of rows seen once. Rows of one domain may be likelier than others whoever was "
    "trained on them: filter by domain under **Rows and models**."
)
