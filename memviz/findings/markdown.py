"""Numbers and tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def number(value: float) -> str:
    """Three digits that matter; a dash where nothing is known."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.0f}" if value and abs(value) >= 1000 else f"{value:.3g}"


def span(value: float, low: float, high: float) -> str:
    """A number with its interval."""
    return number(value) if math.isnan(low) else f"{number(value)} [{number(low)}, {number(high)}]"


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    cells = [["–" if cell is None else str(cell).replace("|", "\\|") for cell in line] for line in lines]
    text = [list(head), ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in text) + "\n"
