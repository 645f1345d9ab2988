"""The visitors' own tour on the Gallery page: in order, presented, taken along."""

from __future__ import annotations

import streamlit as st

from memviz.errors import MemvizError
from memviz.settings import settings
from memviz.tours import Stop, keep_tour, read_tour, tour_page
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import DOORS, PAGES
from memviz.ui.common.texts import escaped, told
from memviz.ui.gallery.tour import link_of


def show_own() -> None:
    """Every stop with the ways to move it, and the tour as a whole."""
    stops = read_tour(settings())
    if not stops:
        st.info("No stop yet. Open a page, say there what is to be seen, under **Share**, and press **Add to tour**.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        first = stops[0]
        query = link_of(first, 1, own=True) | {"present": "1"}
        st.page_link(PAGES / f"{first.page}.py", label="Present", icon=":material/play_circle:", query_params=query)
        st.download_button(
            "One offline HTML",
            lambda: tour_page(stops, f"{(st.context.url or '').rpartition('/')[0]}/", settings()),
            "memviz-tour.html",
            "text/html",
            on_click="ignore",
            icon=":material/download:",
            key="tour_file",
        )
        st.caption(f"{len(stops)} stops, kept on this server for all its visitors.")
    titles = {door.name: door.title for door in DOORS}
    for place, stop in enumerate(stops):
        _show_stop(stops, place, stop, titles.get(stop.page, stop.page))


def _show_stop(stops: list[Stop], place: int, stop: Stop, page: str) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container():
            st.page_link(
                PAGES / f"{stop.page}.py",
                label=f"**{place + 1}. {escaped(stop.title)}**",
                query_params=link_of(stop, place + 1, own=True),
            )
            st.markdown(escaped(stop.note))
            st.caption(page)
        for name, icon, to in (("up", "arrow_upward", place - 1), ("down", "arrow_downward", place + 1)):
            look = {"icon": f":material/{icon}:", "help": f"Move it {name}", "disabled": not 0 <= to < len(stops)}
            if clicked(st, "", f"tour-{name}-{place}", **look):
                moved = stops.copy()
                moved.insert(to, moved.pop(place))
                _keep(moved)
        if clicked(st, "", f"tour-away-{place}", icon=":material/delete:", help="Take it out of the tour"):
            _keep([*stops[:place], *stops[place + 1 :]])


def _keep(stops: list[Stop]) -> None:
    try:
        keep_tour(stops, settings())
    except MemvizError as error:
        st.error(told(error))
        return
    st.rerun()
