"""The matrix of score levels under two models, drawn with Plotly."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from memviz.figures.frame import layout, percent, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.measures.score import LEVELS

LOW_SHARES = (0, 0.125, 0.25, 0.375, 0.4999)
HIGH_SHARES = (0.5, 2 / 3, 5 / 6, 1)
"""Shares of the shades of a matrix; the middle shade is left out, for nothing written on it can be read."""


def transition_figure(
    counts: np.ndarray,
    shares: np.ndarray,
    smaller: str,
    larger: str,
    min_n: int,
    compact: bool = False,
    chosen: tuple[int, int] | None = None,
    colours: Palette = THEMED,
) -> go.Figure:
    """Levels under the smaller model (rows, very high on top) by levels under the larger: row percent and count.

    counts, shares (5, 5). Percentages of rows with fewer than `min_n` sequences are hidden. A square without colour
    lies over each cell, for a heatmap's own cells do not hear clicks; its customdata is (row level, column level).
    """
    known = np.where((counts.sum(axis=1) >= min_n)[:, None], shares, np.nan)
    squares = _squares(counts, known, smaller, larger, compact, colours)
    outline = [_box(i, i, colours.text, 2) for i in range(len(LEVELS))]
    if chosen is not None:
        outline.append(_box(*chosen, colours.categorical[1], 4))
    ticks = {"tickvals": list(range(len(LEVELS))), "ticktext": list(LEVELS), "ticks": "", "showgrid": False}
    flat = {"showline": False, "range": [-0.5, len(LEVELS) - 0.5], "fixedrange": True}
    if compact:
        ticks["ticktext"] = ["vl", "l", "m", "h", "vh"]
    shape = layout(
        colours,
        {"title": f"level under {larger}", **ticks, **flat},
        {"title": f"level under {smaller}", "rangemode": "normal", **ticks, **flat},
        height=270 if compact else 460,
        shapes=outline,
        clickmode="event+select",
    )
    return with_room([_heat(known, colours), squares], shape)


def _heat(known: np.ndarray, colours: Palette) -> go.Heatmap:
    return go.Heatmap(
        z=np.where(np.isnan(known), 0, known),
        zmin=0,
        zmax=1,
        colorscale=[*zip((*LOW_SHARES, *HIGH_SHARES), colours.sequential[:5] + colours.sequential[6:], strict=True)],
        showscale=False,
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )


def _squares(
    counts: np.ndarray, known: np.ndarray, smaller: str, larger: str, compact: bool, colours: Palette
) -> go.Scatter:
    """What is written on the cells, and what hears clicks on them."""
    n = counts.sum(axis=1)
    cells = [(i, j) for i in range(len(LEVELS)) for j in range(len(LEVELS))]
    return go.Scatter(
        x=[j for _, j in cells],
        y=[i for i, _ in cells],
        mode="markers+text",
        text=[_cell_words(counts[cell], known[cell], compact) for cell in cells],
        textposition="middle center",
        textfont={
            "color": [colours.ground if known[c] >= HIGH_SHARES[0] else colours.text for c in cells],
            "size": 13,
        },
        marker={"symbol": "square", "size": 26 if compact else 54, "color": colours.text, "opacity": 0.01},
        customdata=[[*cell, int(counts[cell]), int(n[cell[0]])] for cell in cells],
        unselected={"marker": {"opacity": 0.01}, "textfont": {}},
        selected={"marker": {"opacity": 0.01}},
        hovertemplate=[
            f"{smaller}: {LEVELS[i]}<br>{larger}: {LEVELS[j]}<br>{counts[i, j]:,} of {n[i]:,} sequences<extra></extra>"
            for i, j in cells
        ],
        showlegend=False,
    )


def _cell_words(count: int, share: float, compact: bool) -> str:
    """What stands in a cell: row percent above the count; an empty cell stays empty."""
    if not count:
        return ""
    if np.isnan(share):
        return f"{count:,}"
    return percent(share) if compact else f"<b>{percent(share)}</b><br>{count:,}"


def _box(row: int, column: int, colour: str, width: int) -> dict[str, Any]:
    edges = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", **edges, "line": {"color": colour, "width": width}}
