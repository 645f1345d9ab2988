"""A tour on the real pages: a bar that says what to see, and leads to the next stop; also by the arrow keys."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from memviz.figures.source import TOUR
from memviz.gallery import Example, tour
from memviz.settings import settings
from memviz.tours import Stop, read_tour
from memviz.ui.common.components import Component
from memviz.ui.common.doors import PAGES
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import forget_bound

PARAMETER = "tour"
OWN = "own-"
"""What a number in the address begins with where the tour is the visitors' own."""
KEYS = Component("memviz_tour", TOUR.css, TOUR.js)


def link_of(stop: Example | Stop, number: int, own: bool = False) -> dict[str, str | list[str]]:
    """The address's parameters of a stop within its tour."""
    return {**stop.query, PARAMETER: f"{OWN if own else ''}{number}"}


def where() -> tuple[Sequence[Example | Stop], int, bool] | None:
    """The tour that the address names, the number of its stop from 1, and whether it is the visitors' own."""
    said = re.fullmatch(f"({OWN})?([0-9]{{1,3}})", st.query_params.get(PARAMETER, ""))
    if said is None:
        return None
    stops: Sequence[Example | Stop] = read_tour(settings()) if said[1] else tour()
    number = int(said[2])
    return (stops, number, bool(said[1])) if 1 <= number <= len(stops) else None


def show_bar() -> None:
    """Above a page that is a stop of a tour: where one is, what to see, and the ways on."""
    here = where()
    if here is None:
        st.session_state.pop("tour_at", None)
        return
    stops, number, own = here
    stop = stops[number - 1]
    if st.session_state.get("tour_at") != (number, own):  # what the page was asked before is no part of this stop
        st.session_state["tour_at"] = (number, own)
        forget_bound()
        for name in {name for each in stops for name in each.query}:
            st.session_state.pop(name, None)
    with st.container(key="tour", border=True):
        columns = st.columns([1.1, 7, 1.5], vertical_alignment="center")
        for column, name, to in ((columns[0], "previous", number - 1), (columns[2], "next", number + 1)):
            end = to > len(stops)
            with column.container(key="tour_end" if end else f"tour_{name}"):
                if 1 <= to <= len(stops):
                    further = stops[to - 1]
                    st.page_link(
                        PAGES / f"{further.page}.py",
                        label="\N{LEFTWARDS ARROW} back" if name == "previous" else "next \N{RIGHTWARDS ARROW}",
                        query_params=link_of(further, to, own),
                        help=escaped(further.title),
                    )
                elif end:
                    st.page_link(PAGES / "gallery.py", label="end of the tour")
        columns[1].markdown(f"**{number} of {len(stops)} · {escaped(stop.title)}.** {escaped(stop.note)}")
        KEYS.draw({"look": stop.look, "stop": f"{own} {number}"}, "tour_keys")
