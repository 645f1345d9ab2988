"""What is memviz about, what is here, and where does one begin?"""

import streamlit as st

from memviz.gallery import examples
from memviz.ui.common.widgets import open_expander
from memviz.ui.overview import sections
from memviz.ui.overview.jobs import show_jobs

st.title("memviz")
st.markdown(
    "A language model has **memorized** a passage when, given its first tokens, it writes the next ones word for word. "
    "memviz shows this token by token, then for thousands of passages, several sizes of a model, and the hidden states "
    "inside it. Every number comes from a run whose model, precision and device are kept with it, and from exact "
    "counts of the training data where these are known."
)
live = next(iter(examples()), None)
if live:
    with st.container(border=True):
        sections.show_live(live)
st.subheader("Where to begin", anchor=False)
sections.show_doors()
st.subheader("Models", anchor=False)
sections.show_models()
show_jobs()
machine = open_expander("This machine: device, memory, queue and cache", "overview_machine")
if machine:
    with machine:
        sections.show_machine()
