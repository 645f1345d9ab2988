"""What is memviz about, and which models can be looked at here?"""

import streamlit as st

from memviz import ui
from memviz.catalog import known_models, read_card
from memviz.settings import settings

st.title("memviz")
st.markdown(
    "A language model has **memorized** a passage when, given its first tokens, it writes the next ones word for word. "
    "memviz shows this one token at a time: what the model wrote, what the text says, how sure the model was, and "
    "where the two part. Every number comes from a run on this machine, with its model, precision and device beside it."
)
st.page_link("../pages/trace.py", label="Trace one prompt", icon=":material/timeline:")
st.subheader("Models")
st.dataframe(
    [
        {
            "model": model.name,
            "ready": read_card(model, settings()) is not None,
            "parameters": model.n_parameters,
            "licence": model.licence,
            "training data": model.corpus,
        }
        for model in known_models(settings())
    ],
    hide_index=True,
    column_config={"parameters": st.column_config.NumberColumn(format="compact")},
)
st.caption("A model that is not ready is fetched with `memviz models add NAME`; opening a page never fetches anything.")
stats = ui.store().stats()
st.caption(f"{stats.n_results} stored results, {stats.n_bytes / 1e6:.0f} of at most {stats.limit / 1e6:,.0f} MB.")
