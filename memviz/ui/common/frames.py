"""What stands around a figure of a population: its frame, its words, and the table behind it as files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz import __version__
from memviz.figures.frame import without_links
from memviz.figures.source import PICTURE
from memviz.population import SizeFit
from memviz.rows.cells import safe_csv
from memviz.sweeps.task import SweepRequest, sweep_command
from memviz.ui.common.components import Component
from memviz.ui.common.texts import escaped

SAVE = Component("memviz_picture", PICTURE.css, PICTURE.js)
MOST_COLUMNS = 34
"""Columns with a word each, up to which a figure fits a tablet."""


MOST_PANELS = 2
"""Beside each other, up to which a figure fits a phone."""


def frame(name: str, border: bool = True) -> DeltaGenerator:
    """The place of a figure with its title and caption, which `offer_picture` of the same name saves."""
    return st.container(border=border, key=f"frame-{name}")


def offer_picture(name: str) -> None:
    """Buttons for a figure with its title and caption as PNG and as SVG, made by the browser from what stands there."""
    of = ".st-key-" + re.sub("[^a-zA-Z0-9_-]", "-", f"frame-{name}")
    SAVE.draw({"name": f"memviz-{name}", "about": f"memviz {__version__}", "of": of}, f"picture-{name}")


def picture(name: str) -> dict[str, Any]:
    """What the mode bar of a figure offers: the bare figure as PNG, and the zoom."""
    return {
        "displaylogo": False,
        "displayModeBar": "hover",
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
        "toImageButtonOptions": {"format": "png", "filename": f"memviz-{name}", "scale": 2},
    }


def draw(figure: go.Figure, where: Any = st, **options: Any) -> None:
    """Every figure comes to a page through here: foreign words in it stay words.

    One with a word a column, or of many panels, is not squeezed where the window is narrow, but scrolled.
    """
    if figure.layout.xaxis.tickangle == -90:
        size = "wide" if len(figure.layout.xaxis.ticktext or ()) <= MOST_COLUMNS else "wider"
        where = where.container(key=f"{size}-{options['key']}")
    elif sum(1 for _ in figure.select_xaxes()) > MOST_PANELS:
        where = where.container(key=f"wide_panels-{options['key']}")
    where.plotly_chart(without_links(figure), **options)


def show_figure(
    figure: go.Figure | None,
    table: pd.DataFrame | None,
    title: str,
    name: str,
    sweep: SweepRequest | None,
    note: str,
    missing: str = "",
    on_select: Callable[[], None] | None = None,
    key: str | None = None,
) -> None:
    """A figure in its frame with title, note, and the data and the sweep behind it; `missing` where there is none.

    The title is text, which may name what is not ours; the note is Markdown.
    """
    with frame(name):
        files = title_line(f"**{escaped(title)}**")
        if figure is None or table is None:
            st.info(missing or "The sweep does not have this curve.")
            return
        options: dict[str, Any] = {"on_select": on_select, "selection_mode": "points"} if on_select else {}
        draw(figure, config=picture(name), key=key or f"figure-{name}", alt=f"{title}. {note}", **options)
        st.caption(note)
        with files.popover("Save as", icon=":material/download:"):
            offer_picture(name)
            offer_table(table, name)
            if sweep:
                st.caption("The sweep behind it, from the command line:")
                st.code(sweep_command(sweep), language=None, wrap_lines=True, height=160)


def title_line(title: str) -> DeltaGenerator:
    """A title, and the place behind it for what offers the data."""
    line = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    line.markdown(title)
    return line


def offer_table(table: pd.DataFrame, name: str) -> None:
    """Buttons for a table as CSV and as Parquet."""
    for label, suffix, make in (("CSV", "csv", _csv), ("Parquet", "parquet", _parquet)):
        st.download_button(
            label,
            partial(make, table),
            f"memviz-{name}.{suffix}",
            on_click="ignore",
            width="stretch",
            key=f"{name}-{suffix}",
        )


def offer_files(
    where: DeltaGenerator, files: Mapping[str, tuple[Callable[[], Any], str]], lines: str, key: str
) -> None:
    """Buttons for files by label, each made when it is asked for, and the command lines that make the same."""
    for column, (label, (make, name)) in zip(where.columns(len(files)), files.items(), strict=True):
        column.download_button(label, make, name, on_click="ignore", width="stretch", key=f"{key}-{label}")
    where.caption("The same from the command line, with the token ids above:")
    where.code(lines, language=None, wrap_lines=True)


def _csv(table: pd.DataFrame) -> bytes:
    return safe_csv(table).encode()


def _parquet(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out, index=False)
    return out.getvalue()


def slope_words(fit: SizeFit) -> str:
    """A fit's slope with its interval, in the unit one thinks in."""
    if fit.kind == "power":
        return f"power law: exponent {fit.slope:.2f} [{fit.low:.2f}, {fit.high:.2f}]"
    doubling = [0.6931471805599453 * value for value in (fit.slope, fit.low, fit.high)]
    return "line: {:+.3f} [{:+.3f}, {:+.3f}] a doubling".format(*doubling)


def joined(*notes: str) -> str:
    """Notes that say something, as one."""
    return "; ".join(filter(None, notes))


def spans(table: pd.DataFrame, form: str, *names: str) -> list[str]:
    """A value and the ends of its interval, of each line of three columns; empty where it is unknown."""
    lines = table[list(names)].to_numpy()
    return ["" if pd.isna(line[0]) else "{:{f}} [{:{f}}, {:{f}}]".format(*line, f=form) for line in lines]


def n_words(table: pd.DataFrame | None, by: str = "point") -> str:
    """n of a figure: one number where all points agree."""
    if table is None or not len(table):
        return "n = 0"
    low, high = int(table["n"].min()), int(table["n"].max())
    return f"n = {low:,} rows a {by}" if low == high else f"n = {low:,} to {high:,} rows a {by}"


def sentence(text: str) -> str:
    """A phrase with a capital at its start."""
    return text[:1].upper() + text[1:]
