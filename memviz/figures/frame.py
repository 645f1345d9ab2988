"""What Plotly figures share: quiet axes, bands, and room for labels from the start."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from memviz.figures.palette import Palette

HEIGHT = 340
MONOSPACE = {"family": "monospace", "size": 13}
MOST_WHOLE = 3
"""Names of models on an axis that takes half of a page."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "pentagon", "star")
"""Of the lines of a figure in turn, so that colour is never the only sign."""
_HALF = 400
"""Pixels between the axes of a figure that takes half of a page; a legend is thought to be as wide."""
_TICKS = {"l": 48, "b": 40}
_PERCENT, _TITLE = 14, {"l": 32, "b": 31}
_LEGEND, _LEGEND_LINE = 30, 20
_LETTER, _KEY = 7.0, 40
_FOREIGN = re.compile(r"<(?!/?(?:br|b|i|sup|sub|extra)\s*/?>)")
"""Pixels, measured in Chromium: tick labels, what a percent sign and a title add, a legend's lines, a letter, a key."""


def without_links(figure: go.Figure) -> go.Figure:
    """The figure with every mark of its words as text but those for breaks, bold, slanted, raised.

    Plotly reads HTML, links among it, in names, axes, titles and words at points, which may come from foreign files.
    """
    content = figure.to_dict()
    plain = _plain(content)
    return figure if plain is content else go.Figure(plain)


def _plain(value: Any) -> Any:
    """The value itself where nothing in it is a foreign mark."""
    if isinstance(value, str):
        return _FOREIGN.sub("&lt;", value) if "<" in value else value
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        found = _plain(value.tolist())
        return value if found == value.tolist() else found
    if isinstance(value, Mapping):
        found = {name: _plain(each) for name, each in value.items()}
        return value if all(found[name] is value[name] for name in value) else found
    if isinstance(value, list | tuple):
        made = [_plain(each) for each in value]
        return value if all(new is old for new, old in zip(made, value, strict=True)) else made
    return value


def percent(share: float) -> str:
    """A share to write on a mark; what is there is never 0 %, what is not all never 100 %."""
    return "<1%" if 0 < share < 0.005 else ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def quiet_axis(colours: Palette) -> dict[str, Any]:
    """What all axes share."""
    return {
        "zeroline": False,
        "automargin": True,
        "linecolor": colours.muted,
        "ticks": "outside",
        "ticklen": 4,
        "ticklabeloverflow": "allow",
        "tickfont": {"size": 13, "color": colours.text},
        "title_font": {"size": 13, "color": colours.text},
    }


def layout(
    colours: Palette, x: Mapping[str, Any], y: Mapping[str, Any], height: int = HEIGHT, **more: Any
) -> go.Layout:
    """What all figures share: quiet grid, room for labels, zoom that survives a rerun."""
    axis = quiet_axis(colours)
    return go.Layout(
        height=height,
        margin={"l": 12, "r": 16, "t": 28, "b": 12},
        font={"size": 13, "color": colours.text},
        xaxis=axis | {"showgrid": False} | dict(x),
        yaxis=axis | {"rangemode": "tozero"} | dict(y),
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "title": None}
        | {"font": {"size": 13, "color": colours.text}},
        hovermode="closest",
        dragmode=False,
        uirevision="kept",
        **more,
    )


def with_room(traces: Any, shape: go.Layout) -> go.Figure:
    """A figure of traces whose margins have room for titles, numbers and legend.

    Plotly makes room where there is none by drawing all a second time. Words on the vertical axis are left to it.
    """
    figure = go.Figure(traces, shape)
    margin, x, y = figure.layout.margin, figure.layout.xaxis, figure.layout.yaxis
    margin.b = _TICKS["b"] + _TITLE["b"] * bool(x.title.text) + _legend(figure)
    if y.type != "category" and not y.ticktext and not any(_has_words(trace) for trace in figure.data):
        margin.l = _TICKS["l"] + _TITLE["l"] * bool(y.title.text) + _PERCENT * ("%" in (y.tickformat or ""))
    return figure


def band(x: Sequence[int], low: np.ndarray, high: np.ndarray, colour: str, opacity: float, group: str) -> go.Scatter:
    """A filled band between two curves; gaps where either is undefined are closed over."""
    known = ~(np.isnan(low) | np.isnan(high))
    at = np.asarray(x)[known]
    return go.Scatter(
        x=[*at, *at[::-1]],
        y=[*high[known], *low[known][::-1]],
        fill="toself",
        fillcolor=colour,
        line={"width": 0, "color": colour},
        mode="lines",
        opacity=opacity,
        hoverinfo="skip",
        showlegend=False,
        legendgroup=group,
    )


def _has_words(trace: Any) -> bool:
    values = trace.y if "y" in trace else None
    return values is not None and len(values) > 0 and isinstance(values[0], str)


def _legend(figure: go.Figure) -> int:
    """Pixels of the legend's height: groups fill line after line; single traces stand in columns of one width."""
    traces = [trace for trace in figure.data if trace.showlegend is not False]
    shown = figure.layout.showlegend
    if shown is False or (shown is None and len(traces) < 2):
        return 0
    widths = [_KEY + _LETTER * len(trace.name or "") for trace in traces]
    if any(trace.legendgroup for trace in traces):
        n_lines, filled = 1, 0.0
        for width in widths:
            n_lines, filled = (n_lines, filled + width) if filled + width <= _HALF else (n_lines + 1, width)
        return _LEGEND * n_lines
    n_lines = 1 if sum(widths) <= _HALF else -(-len(traces) // max(1, int(_HALF / max(widths))))
    return _LEGEND + _LEGEND_LINE * (n_lines - 1)


def shorter(names: Sequence[str]) -> list[str]:
    """Names for an axis; of many without what all begin or end with, up to a hyphen: ladder-0.4m is 0.4m then."""
    parts = [name.split("-") for name in names]
    for end in (0, -1):
        while len(parts) > MOST_WHOLE and min(map(len, parts)) > 1 and len({part[end] for part in parts}) == 1:
            for part in parts:
                part.pop(end)
    return ["-".join(part) for part in parts]


def name_ends(shape: go.Layout, traces: Sequence[go.Scatter], most: float | None) -> None:
    """Names at the ends of lines in their colours, pushed apart where lines end close together, and led back there.

    They stand in place of a legend. most: the upper end of the axis, None where it follows the values.
    """
    shape.showlegend, shape.annotations = False, _end_labels(traces, most, shape.yaxis.rangemode == "tozero")
    shape.margin.r = 24 + 7.5 * max((len(trace.name) for trace in traces), default=0)


def _end_labels(traces: Sequence[go.Scatter], most: float | None, from_zero: bool) -> list[dict[str, Any]]:
    ended = sorted((trace for trace in traces if len(trace.y)), key=lambda trace: trace.y[-1])
    ends = [float(trace.y[-1]) for trace in ended]
    top = max((float(np.nanmax(trace.y + _above(trace))) for trace in ended), default=1.0)
    bottom = 0.0 if from_zero else min((float(np.nanmin(trace.y)) for trace in ended), default=0.0)
    step = 0.075 * max(top - bottom, 1e-9)
    labels = []
    for trace, end, place in zip(ended, ends, _apart(ends, step, top if most is None else most), strict=True):
        is_moved = abs(place - end) > step / 4
        labels.append(
            {
                "x": 1,  # of the figure: a place among the values would widen their axis
                "xref": "paper",
                "y": end,
                "text": trace.name,
                "font": {"size": 13, "color": trace.line.color},
                "xanchor": "left",
                "showarrow": True,
                "ax": 16 if is_moved else 6,
                "ayref": "y",
                "ay": place,
                "arrowhead": 0,
                "arrowwidth": 1,
                "arrowcolor": trace.line.color if is_moved else "rgba(0,0,0,0)",
            }
        )
    return labels


def _above(trace: go.Scatter) -> np.ndarray:
    """Lengths of its whiskers upwards."""
    return np.zeros(len(trace.y)) if trace.error_y.array is None else np.asarray(trace.error_y.array, float)


def _apart(ends: Sequence[float], step: float, most: float) -> list[float]:
    """Places for ascending ends, a step apart at least and none above `most`: pushed up, then down where they must."""
    places: list[float] = []
    for end in ends:
        places.append(max(end, places[-1] + step) if places else end)
    return [min(place, most - step * left) for left, place in zip(range(len(places) - 1, -1, -1), places, strict=True)]
