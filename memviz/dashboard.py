"""The entry script of the dashboard: page settings, navigation, and what stands beside every page."""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from memviz.settings import ROOT
from memviz.ui.common import every_page
from memviz.ui.common.clicks import hearing
from memviz.ui.common.doors import DOORS, PAGES
from memviz.ui.common.share import offer_share
from memviz.ui.common.sign_in import guard_sign_in
from memviz.ui.common.widgets import follow_address, saying
from memviz.ui.gallery.tour import show_bar
from memviz.ui.server.attendance import answering

FIGURES = ROOT / "memviz" / "figures"

st.set_page_config(page_icon=FIGURES / "icon.png", layout="wide")
st.logo(FIGURES / "logo.svg", size="large")
every_page.set_style()
every_page.guard_settings()
guard_sign_in()
sections: dict[str, list[StreamlitPage]] = {}
for door in DOORS:
    path, is_first = PAGES / f"{door.name}.py", door is DOORS[0]
    found = st.Page(path, title=door.title, icon=f":material/{door.icon}:", url_path=door.name, default=is_first)
    sections.setdefault(door.section, []).append(found)
page = st.navigation(sections, expanded=True)
every_page.name_tab(page.title)
every_page.attend()
every_page.show_state()
try:
    with answering(), saying(), hearing(page.url_path):
        follow_address(page.url_path)
        show_bar()
        offer_share(page.url_path or DOORS[0].name)
        page.run()
finally:  # a page that stops early is a first page too
    every_page.warm_up()
