"""Ask many rows of many models, at many sizes of context and continuation."""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.sweeps import SweepTask, sweep_command
from memviz.ui.common.links import linked_task
from memviz.ui.sweeps.form import choose_task
from memviz.ui.sweeps.state import estimate_words, show_kept, show_task, start, words_of

st.title("Sweeps")
st.markdown(
    "Ask many rows of many models, at many sizes of context and continuation; the other pages draw the answers."
)
linked = linked_task(SweepTask, "sweep")
if linked:
    st.markdown(f"**This sweep:** {ui.escaped(words_of(linked))}")
    show_task(linked)
    with st.expander("The same from the command line"):
        st.code(sweep_command(linked), language=None, wrap_lines=True)
    if ui.clicked(st, "Make another one", "sweep_another", icon=":material/add:"):
        st.query_params.pop("run", None)
        st.rerun()
else:
    with st.container(border=True):
        try:
            task = choose_task()
            st.markdown(estimate_words(task))
            if ui.clicked(st, "Run", "sweep_run", type="primary", icon=":material/play_circle:"):
                start(task)
                st.rerun()
            st.caption(
                f"Results are kept under {task.hash[:12]}. A sweep can be cancelled, or the server stopped, at "
                "any time: what was computed is kept, and the same sweep goes on from there. The same from the command "
                "line:"
            )
            st.code(sweep_command(task), language=None, wrap_lines=True)
        except InputError as error:
            st.error(ui.told(error))
st.subheader("Kept here", anchor=False)
show_kept()
