"""Cells of CSV files that spreadsheets take for formulas: made words by an apostrophe, which is taken off again."""

from __future__ import annotations

import re

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def safe_csv(table: pd.DataFrame) -> str:
    """A table as CSV in which no word, and no column's name, begins as a formula does; numbers stay as they are."""
    safe = table.rename(columns=_safe)
    for name in range(safe.shape[1]):
        column = safe.iloc[:, name]
        if column.dtype.kind not in "biufM":
            safe.isetitem(name, column.map(_safe).to_numpy())
    return safe.to_csv(index=False)


def as_written(cell: str) -> str:
    """What a cell said before `safe_csv`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
