"""The entry script of the dashboard: page settings, navigation, and what stands beside every page."""

from __future__ import annotations

import streamlit as st

from memviz import ui
from memviz.settings import ROOT

FIGURES = ROOT / "memviz" / "figures"
PAGES = ROOT / "pages"

st.set_page_config(page_title="memviz", page_icon=FIGURES / "icon.png", layout="wide")
st.logo(FIGURES / "logo.svg", size="large")
ui.set_style()
ui.guard_settings()
page = st.navigation(
    {
        "": [st.Page(ROOT / "pages" / "overview.py", title="Overview", icon=":material/home:", default=True)],
        "One prompt": [
            st.Page(ROOT / "pages" / "trace.py", title="Trace", icon=":material/timeline:", url_path="trace"),
            st.Page(ROOT / "pages" / "compare.py", title="Compare", icon=":material/stacks:", url_path="compare"),
            st.Page(PAGES / "layers.py", title="Inside the model", icon=":material/layers:", url_path="layers"),
        ],
        "Populations": [
            st.Page(PAGES / "population.py", title="Population", icon=":material/groups:", url_path="population"),
            st.Page(PAGES / "transitions.py", title="Transitions", icon=":material/grid_on:", url_path="transitions"),
            st.Page(PAGES / "boundary.py", title="Boundary", icon=":material/vertical_split:", url_path="boundary"),
            st.Page(PAGES / "map.py", title="Map", icon=":material/scatter_plot:", url_path="map"),
            st.Page(PAGES / "dynamics.py", title="Dynamics", icon=":material/animation:", url_path="dynamics"),
            st.Page(
                PAGES / "predictor.py", title="Predictor", icon=":material/online_prediction:", url_path="predictor"
            ),
            st.Page(PAGES / "sweep.py", title="Sweeps", icon=":material/play_circle:", url_path="sweep"),
        ],
    }
)
ui.attend()
ui.show_state()
try:
    page.run()
finally:  # a page that stops early is a first page too
    ui.warm_up()
