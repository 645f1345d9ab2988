"""The Gallery page's cards, one an example, and the walk through the four findings."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from memviz.gallery import Example, tour
from memviz.ui.common.doors import DOORS, PAGES
from memviz.ui.common.texts import escaped
from memviz.ui.gallery.tour import link_of

FINDINGS = (
    (
        "Memorization against size, context and continuation",
        "The study reports that larger models recite more sentences, that longer contexts elicit more and longer "
        "continuations are recited less, and that most sentences keep their score level as the model grows. It asked "
        "Pythia about the Pile; here it is asked of a suite whose training data are known to the last token.",
    ),
    (
        "Hidden states of memorized and other sentences",
        "The study looks at hidden states while sentences are decoded. Here maps illustrate; whether groups lie apart, "
        "and whether sizes agree, is decided in the full space against shuffled labels.",
    ),
    (
        "The boundary where a continuation begins",
        "The study reports that n-gram frequency and entropy jump between the last token of the context and the first "
        "of the continuation. How much of a jump is made by choosing rows by their score is drawn beside it.",
    ),
    (
        "Predicting memorization",
        "The study trains a Transformer to label each token as recited or not. What such a predictor is worth is what "
        "it adds to the best baseline, so every baseline is in the same table.",
    ),
)
N_COLUMNS = 3


def show_walk() -> None:
    """The findings in order, each with its steps and the tested claims."""
    first = tour()[0]
    st.page_link(
        PAGES / f"{first.page}.py",
        label=f"**Take the tour: {len(tour())} views**",
        icon=":material/play_circle:",
        query_params=link_of(first, 1),
    )
    for number, (title, about) in enumerate(FINDINGS, 1):
        st.subheader(f"{number}. {title}", anchor=f"finding-{number}")
        st.markdown(about)
        show_cards([each for each in tour() if each.finding == number])
    st.caption(
        "Which of the study's claims hold here, which do not, and which are undecided is judged by `memviz findings`, "
        "and written up in docs/findings.md of the sources."
    )


def show_cards(shown: Sequence[Example]) -> None:
    """A grid of examples; the link below each picture opens its page."""
    dark, titles = st.context.theme.type == "dark", {door.name: door.title for door in DOORS}
    for start in range(0, len(shown), N_COLUMNS):
        for column, example in zip(st.columns(N_COLUMNS), shown[start : start + N_COLUMNS], strict=False):
            with column.container(border=True, height="stretch"):
                if example.thumbnail(dark).is_file():
                    st.image(str(example.thumbnail(dark)), width="stretch", alt="")  # the link below says what it is
                stops = tour()
                query = link_of(example, stops.index(example) + 1) if example in stops else example.query
                st.page_link(PAGES / f"{example.page}.py", label=f"**{example.title}**", query_params=query)
                st.markdown(escaped(example.note))
                st.caption(" · ".join(map(escaped, (titles[example.page], example.models, example.prompt))))


def show_unseen() -> None:
    """One of each element that other pages show, hidden: the browser then has what draws them before it is asked.

    Streamlit fetches and prepares each kind when the first of it comes, and shows it a third of a second later.
    """
    import pandas as pd
    import plotly.graph_objects as go

    with st.container(key="unseen"):
        st.plotly_chart(go.Figure(), key="unseen-figure")
        st.dataframe(pd.DataFrame({"unseen": [0]}), key="unseen-frame")
        st.metric("unseen", 0)
        for kind in (st.selectbox, st.multiselect, st.radio, st.select_slider):
            kind("unseen", [0, 1], key=f"unseen-{kind.__name__}")
        st.number_input("unseen", key="unseen-number")
        st.checkbox("unseen", key="unseen-check")
