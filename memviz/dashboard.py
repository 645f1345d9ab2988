"""The entry script of the dashboard: page settings, navigation, and what stands beside every page."""

from __future__ import annotations

import streamlit as st

from memviz import ui
from memviz.settings import ROOT

st.set_page_config(page_title="memviz", page_icon=":material/visibility:", layout="wide")
ui.guard_settings()
page = st.navigation(
    {
        "": [st.Page(ROOT / "pages" / "overview.py", title="Overview", icon=":material/home:", default=True)],
        "One prompt": [
            st.Page(ROOT / "pages" / "trace.py", title="Trace", icon=":material/timeline:", url_path="trace"),
        ],
    }
)
ui.attend()
page.run()
ui.show_state()
ui.warm_up()
