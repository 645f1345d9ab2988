"""Rows kept under a name, from any page, for another sweep or the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from memviz.errors import MemvizError
from memviz.settings import settings
from memviz.store.sizes import refuse_more
from memviz.sweeps import RowSet, save_row_set
from memviz.sweeps.rowset import SUITE
from memviz.ui.common.clicks import clicked
from memviz.ui.common.texts import told


def rows_among(source: RowSet, numbers: Iterable[int]) -> RowSet:
    """Some rows of where a sweep's rows came from, by their numbers."""
    rows = tuple(int(row) for row in numbers)
    return RowSet(rows=rows) if source.source == SUITE else replace(source, rows=rows, sample=None)


def offer_keeping(rows: RowSet, title: str, name: str) -> None:
    """A name to keep rows under, and the button that does; `name` tells the places of a page apart."""
    about = f"{len(rows.rows):,} rows, to sweep again or to name on the command line."
    wanted = st.text_input("Name of the row set", placeholder="a name", help=about, key=f"keep-{name}")
    if clicked(st, "Save", f"save-{name}", disabled=not wanted) and wanted:
        try:
            refuse_more(settings())
            save_row_set(wanted, rows, settings(), note=title)
            st.success(f"Saved: sweep it from the Sweeps page, or with `--data {wanted!r}`.")
        except MemvizError as error:
            st.error(told(error))
