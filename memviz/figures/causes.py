"""Causes of one recitation: changed context tokens, silenced heads, restored states, what each layer wrote.

Scales are fixed: falls of log p from -6 to 6 nats, of its mean from -1.5 to 1.5, shares from 0 to 1, logits from -6
to 6. What lies beyond has the colour of the end; the hover says the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import MONOSPACE, band, layout, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.measures.causes import Contributions, Heads

FALL, MEAN_FALL, LOGITS = 6.0, 1.5, 6.0
FLAT = {"showgrid": False, "showline": False, "ticks": ""}
_FALLS, _RISES = "235,110,40", "60,130,230"
"""Red, green, blue: seen on a light ground and on a dark one."""


def heat_figure(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    hover: str,
    titles: tuple[str, str, str],
    most: float,
    chosen: int | None = None,
    two_sided: bool = True,
    row_height: int = 19,
    further: Sequence[Sequence[str]] | None = None,
    colours: Palette = THEMED,
) -> go.Figure:
    """(r, c) numbers as shades; titles of the horizontal axis, the vertical one and the scale; `hover` a template.

    Rows and columns are words, the first row at the top; a mark without colour lies on each cell to hear clicks, its
    customdata (row, column), and what `further` (r, c) says of it. `chosen` frames a column.
    """
    (n_rows, n_columns), lowest = values.shape, -most if two_sided else 0.0
    heat = go.Heatmap(
        z=values,
        zmin=lowest,
        zmax=most,
        colorscale=_diverging(colours) if two_sided else _rising(colours),
        colorbar={"title": {"text": titles[2]}, "thickness": 12, "outlinewidth": 0},
        customdata=[
            [(escape(row), escape(column), *([further[i][j]] if further else ())) for j, column in enumerate(columns)]
            for i, row in enumerate(rows)
        ],
        hovertemplate=hover + "<extra></extra>",
        hoverongaps=False,
        xgap=1,
        ygap=1,
    )
    shown_x, shown_y = range(0, n_columns, 1 + n_columns // 66), range(0, n_rows, 1 + n_rows // 66)
    frame: list[dict[str, Any]] = []
    if chosen is not None:
        edges = {"x0": chosen - 0.5, "x1": chosen + 0.5, "y0": -0.5, "y1": n_rows - 0.5}
        frame = [{"type": "rect", **edges, "line": {"color": colours.text, "width": 2}}]
    shape = layout(
        colours,
        {"title": titles[0], "tickvals": list(shown_x), "ticktext": [escape(columns[i], quote=False) for i in shown_x]}
        | {"tickangle": -90, "tickfont": MONOSPACE | {"color": colours.text}, "range": [-0.5, n_columns - 0.5]}
        | FLAT,
        {"title": titles[1], "tickvals": list(shown_y), "ticktext": [escape(rows[i], quote=False) for i in shown_y]}
        | {"tickfont": MONOSPACE | {"color": colours.text}, "range": [n_rows - 0.5, -0.5], "rangemode": "normal"}
        | FLAT,
        height=max(240, min(800, 80 + 8 * max(map(len, columns)) + row_height * n_rows)),
        showlegend=False,
        shapes=frame,
    )
    return go.Figure([heat], shape)


def strip_html(values: np.ndarray, words: Sequence[str], unit: str, most: float, kept: np.ndarray | None = None) -> str:
    """Tokens of a text in wrapping lines, filled by (k,) numbers: falls in one colour, rises in another; HTML.

    Fills are half transparent, so the text is read in light and dark. Underlined: `kept`.
    """
    spans = []
    for i, (value, word) in enumerate(zip(values.tolist(), words, strict=True)):
        share = 0.0 if np.isnan(value) else min(1.0, abs(value) / most)
        style = (
            f"background:rgba({_FALLS if value > 0 else _RISES},{0.7 * share:.2f});border-radius:3px;padding:2px 3px"
        )
        if kept is not None and kept[i]:
            style += ";border-bottom:2px solid currentcolor"
        spans.append(f'<span title="{value:.3f} {escape(unit)}" style="{style}">{escape(word)}</span>')
    return f'<div style="font-family:monospace;line-height:2;overflow-wrap:anywhere">{" ".join(spans)}</div>'


def heads_figure(found: Heads, way: str, chosen: int | None, colours: Palette = THEMED) -> go.Figure:
    """Fall of mean log p(true) when each head is silenced, layers (1 at the foot) by heads; `chosen` is framed."""
    n_layers = int(found.layer.max())
    values = np.full((n_layers, int(found.number.max()) + 1), np.nan)
    values[found.layer - 1, found.number] = found.drop(way)
    cost = np.full(values.shape, np.nan)
    cost[found.layer - 1, found.number] = found.prefix_drop(way)
    heat = go.Heatmap(
        z=values,
        x=np.arange(values.shape[1]),
        y=np.arange(1, n_layers + 1),
        zmin=-MEAN_FALL,
        zmax=MEAN_FALL,
        colorscale=_diverging(colours),
        colorbar={"title": {"text": "nats"}, "thickness": 12, "outlinewidth": 0},
        customdata=cost,
        hovertemplate="layer %{y}, head %{x}<br>log p falls by %{z:.3f} nats a token<br>"
        "leading matches fall by %{customdata:.0f}<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    frame: list[dict[str, Any]] = []
    if chosen is not None:
        x, y = int(found.number[chosen]), int(found.layer[chosen])
        edges = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
        frame = [{"type": "rect", **edges, "line": {"color": colours.text, "width": 2.5}}]
    step = {"dtick": 1 + max(values.shape) // 24}
    shape = layout(
        colours,
        {"title": "head", **step, **FLAT},
        {"title": "layer", **step, "range": [0.5, n_layers + 0.5], "rangemode": "normal", **FLAT},
        height=max(280, min(620, 110 + 28 * n_layers)),
        shapes=frame,
    )
    return go.Figure([heat], shape)


def silenced_figure(found: Heads, colours: Palette = THEMED) -> go.Figure:
    """Mean log p(true) by how many heads are silenced: the strongest first, and the range of random orders."""
    x = [0, *found.n_silenced.tolist()]
    whole = float(found.whole_logprob.mean())
    strongest = np.array([whole, *found.strongest_logprob.mean(axis=1)])
    drawn = np.concatenate([np.full((1, found.random_logprob.shape[1]), whole), found.random_logprob.mean(axis=2)])
    lines = [band(x, drawn.min(axis=1), drawn.max(axis=1), colours.categorical[0], 0.2, "random")]
    for name, values, colour in (
        ("random heads", drawn.mean(axis=1), colours.categorical[0]),
        ("strongest first", strongest, colours.categorical[1]),
    ):
        lines.append(
            go.Scatter(
                x=x,
                y=values,
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 2},
                hovertemplate=f"%{{x}} heads, {name}<br>mean log p %{{y:.3f}} nats<extra></extra>",
            )
        )
    axis = {"title": "mean log p(true), nats a token", "rangemode": "normal"}
    return with_room(lines, layout(colours, {"title": "heads silenced together"}, axis, showlegend=True))


def row_heads_figure(table: pd.DataFrame, colours: Palette = THEMED) -> go.Figure:
    """Shares of rows with a head among their strongest, memorized and unmemorized ones beside each other; by head."""
    x = [f"{line.layer}.{line.head}" for line in table.itertuples()]
    bars = [
        go.Bar(
            x=x,
            y=table[f"{name}_among"],
            name=words,
            marker={"color": colour},
            customdata=table[f"{name}_drop"],
            hovertemplate=f"layer.head %{{x}}, {words}<br>%{{y:.0%}} of rows<br>"
            "log p falls by %{customdata:.3f} nats a token<extra></extra>",
        )
        for (name, words), colour in zip(
            {"memorized": "M = 1", "unmemorized": "M = 0"}.items(), colours.categorical, strict=False
        )
    ]
    axis = {"title": "share of rows", "tickformat": ".0%", "range": [0, 1], "rangemode": "normal"}
    return with_room(bars, layout(colours, {"title": "layer.head", "type": "category"}, axis, showlegend=True))


def written_figure(found: Contributions, chosen: int | None, colours: Palette = THEMED) -> go.Figure:
    """Logits a layer added to the lead of the true token: attention and the rest, of one position or the mean."""
    at = slice(None) if chosen is None else slice(chosen, chosen + 1)
    layers = np.arange(1, len(found.layer) + 1)
    split = not np.isnan(found.attention).any()
    parts = {"attention": found.attention, "MLP": found.mlp} if split else {"the layer": found.layer}
    bars = [
        go.Bar(
            x=layers,
            y=values[:, at].mean(axis=1),
            name=name,
            marker={"color": colour},
            hovertemplate=f"layer %{{x}}, {name}<br>%{{y:.3f}} logits<extra></extra>",
        )
        for (name, values), colour in zip(parts.items(), colours.categorical, strict=False)
    ]
    shape = layout(colours, {"title": "layer", "dtick": 1 + len(layers) // 24}, {"title": "logits"}, showlegend=True)
    shape.barmode, shape.yaxis.rangemode = "relative", "normal"
    return with_room(bars, shape)


def _diverging(colours: Palette) -> list[tuple[float, str]]:
    """Rises in the first colour, falls in the second, nothing in that of the ground."""
    return [(0.0, colours.categorical[0]), (0.5, colours.ground), (1.0, colours.categorical[1])]


def _rising(colours: Palette) -> list[tuple[float, str]]:
    shades = colours.sequential[:8]
    return list(zip(np.linspace(0, 1, len(shades)).tolist(), shades, strict=True))
