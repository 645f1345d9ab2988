"""The entry script of the dashboard: page settings, navigation, and what stands beside every page."""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from memviz import ui
from memviz.errors import sentence
from memviz.settings import ROOT
from memviz.ui.common.clicks import hearing
from memviz.ui.common.doors import DOORS
from memviz.ui.common.sign_in import guard_sign_in

FIGURES = ROOT / "memviz" / "figures"

st.set_page_config(page_title="memviz", page_icon=FIGURES / "icon.png", layout="wide")
st.logo(FIGURES / "logo.svg", size="large")
ui.set_style()
ui.guard_settings()
guard_sign_in()
sections: dict[str, list[StreamlitPage]] = {}
for door in DOORS:
    path, is_first = ui.PAGES / f"{door.name}.py", door is DOORS[0]
    found = st.Page(path, title=door.title, icon=f":material/{door.icon}:", url_path=door.name, default=is_first)
    sections.setdefault(door.section, []).append(found)
page = st.navigation(sections, expanded=True)
ui.attend()
ui.show_state()
try:
    with hearing(page.url_path):
        page.run()
except Exception as error:
    said = sentence(error)
    if said is None:
        raise
    st.error(ui.told(said))
finally:  # a page that stops early is a first page too
    ui.warm_up()
