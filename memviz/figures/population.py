"""Figures of populations: tables of `memviz.population` drawn with Plotly, nothing computed but places and words.

Shares are drawn in percent, scores from 0 to 1, on axes that do not move with the data where their range is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import SYMBOLS, layout, name_ends, percent, shorter, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.measures.score import LEVELS

QUANTITIES = {"mean": "mean score M", "full": "share with M = 1"}
SHARES = {"full": QUANTITIES["full"], "moved": "share of rows whose M is another one"}
_AXES: dict[str, dict[str, Any]] = {
    "mean": {"title": QUANTITIES["mean"]},
    "full": {"title": QUANTITIES["full"], "tickformat": ".0%"},
    "moved": {"title": SHARES["moved"], "tickformat": ".0%"},
    "likeness": {"title": "mean over rows"},
    "share": {"title": "share of rows", "tickformat": ".0%"},
    "auroc": {"title": "AUROC (0.5: by chance)", "range": [0.3, 1.03]},
    "tpr": {"title": "true positives at 1 % false ones", "tickformat": ".0%"},
    "hazard": {"title": "hazard of the first miss", "tickformat": ".0%"},
}
_TEXT_SHARE = 0.07
"""A stacked share below this has no number written on it."""


def _categories(labels: list[str]) -> dict[str, Any]:
    """An axis of names in this order; where they were made shorter Plotly no longer thins them itself."""
    ticks = {} if (short := shorter(labels)) == labels else {"tickvals": labels, "ticktext": short}
    return {"type": "category", "categoryarray": labels, **ticks}


def _level_column(level: str) -> str:
    return f"share_{level.replace(' ', '_')}"


def levels_figure(table: pd.DataFrame, by: str, names: Mapping[Any, str], colours: Palette = THEMED) -> go.Figure:
    """Stacked share of sequences at each score level, one bar a value of `by`, in the table's order."""
    labels = [names.get(value, str(value)) for value in table[by]]
    bars = []
    for i, level in enumerate(LEVELS):
        column = _level_column(level)
        shares = table[column].to_numpy(float)
        about = np.stack([table[f"{column}_low"], table[f"{column}_high"], table["n"]], axis=1)
        bars.append(
            go.Bar(
                name=level,
                x=labels,
                y=shares,
                customdata=about,
                text=[percent(share) if share >= _TEXT_SHARE else "" for share in shares],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": colours.ground if i >= 3 else colours.text, "size": 13},
                marker={"color": colours.levels[i], "line": {"color": colours.ground, "width": 1}},
                hovertemplate=f"%{{x}}, {level}<br>%{{y:.1%}} [%{{customdata[0]:.1%}}, %{{customdata[1]:.1%}}]"
                "<br>n = %{customdata[2]:,}<extra></extra>",
            )
        )
    shape = layout(
        colours,
        _categories(labels) | {"ticks": ""},
        {"title": "share of sequences", "tickformat": ".0%", "range": [0, 1]},
        barmode="stack",
        bargap=0.25,
        uniformtext={"minsize": 13, "mode": "hide"},  # Plotly would make it small where it does not fit
    )
    return with_room(bars, shape)


def size_figure(
    table: pd.DataFrame,
    quantity: str,
    n_parameters: Mapping[str, int],
    names: Mapping[str, str],
    fit: tuple[np.ndarray, np.ndarray, str] | None = None,
    floor: pd.DataFrame | None = None,
    colours: Palette = THEMED,
) -> go.Figure:
    """A quantity against parameters on a logarithmic axis; `fit` is (parameters, values, words), floor as `table`."""
    models = table["model"].tolist()
    x = [n_parameters[model] for model in models]
    traces = []
    if fit is not None:
        line = {"color": colours.muted, "width": 1.5, "dash": "dot"}
        traces.append(go.Scatter(x=fit[0], y=fit[1], mode="lines", name=fit[2], line=line, hoverinfo="skip"))
    if floor is not None and len(floor):
        traces.append(
            _points(floor, quantity, [n_parameters[m] for m in floor["model"]], "held out", colours.muted, -1, "dash")
        )
    traces.append(_points(table, quantity, x, "rows chosen", colours.categorical[0], 0))
    ticks = {"tickvals": x, "ticktext": shorter([names.get(model, model) for model in models])}
    shape = layout(colours, {"type": "log", "title": "model (parameters, logarithmic)", **ticks}, _AXES[quantity])
    return with_room(traces, shape)


def _points(
    table: pd.DataFrame, quantity: str, x: Sequence[Any], name: str, colour: str, symbol: int, dash: str = "solid"
) -> go.Scatter:
    """Markers with intervals, joined by a line."""
    value, low, high = (table[f"{quantity}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    form = ".1%" if quantity in SHARES else ".3f"
    return go.Scatter(
        x=list(x),
        y=value,
        mode="lines+markers",
        name=name,
        error_y={"array": high - value, "arrayminus": value - low, "thickness": 1.3, "width": 4, "color": colour},
        customdata=np.stack([low, high, table["n"], table["n_units"]], axis=1),
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 8, "symbol": SYMBOLS[symbol % len(SYMBOLS)]},
        hovertemplate=f"{name}, %{{x}}<br>%{{y:{form}}} [%{{customdata[0]:{form}}}, %{{customdata[1]:{form}}}]"
        "<br>n = %{customdata[2]:,} (%{customdata[3]:,} groups of near-duplicates)<extra></extra>",
    )


LEAST_ROOM = 0.24
"""Share of an axis between two of its ticks, so that their numbers stand apart on a phone."""


def spaced(values: Sequence[float]) -> list[float]:
    """Ticks of an axis from the values drawn on it: the largest, and of those below each that has room beside it."""
    left = sorted(values, reverse=True)
    kept = left[:1]
    for value in left[1:]:
        if kept[-1] - value >= LEAST_ROOM * (left[0] - left[-1]):
            kept.append(value)
    return kept[::-1]


def lines_figure(
    table: pd.DataFrame,
    x: str,
    title: str,
    quantity: str,
    models: Sequence[str],
    names: Mapping[str, str],
    floor: pd.DataFrame | None = None,
    category: bool = False,
    join: bool = True,
    ordered: bool = True,
    colours: Palette = THEMED,
) -> go.Figure:
    """A quantity against a column of the table, one line a model from light to dark; floor: held-out rows likewise.

    Without `join` the points stand beside each other, unjoined: for values that have no order. Without `ordered` the
    lines are of things that have none, a hue each.
    """
    order = list(dict.fromkeys(table[x]))
    places = [str(value) for value in order] if category else order
    ticks: dict[str, Any] = (
        _categories(places)
        if category
        else {"tickvals": spaced(order), "tickangle": 0, "minor": {"tickvals": order, "ticks": "outside"}}
    )
    place = dict(zip(order, places, strict=True))
    traces = []
    hues = colours.ladder(len(models)) if ordered else colours.categorical[: len(models)]
    for i, (model, colour) in enumerate(zip(models, hues, strict=True)):
        mine = table[table["model"] == model]
        traces.append(_points(mine, quantity, [place[v] for v in mine[x]], names.get(model, model), colour, i))
    if floor is not None and len(floor):
        held = floor[(floor["model"] == models[-1]) & floor[x].isin(order)]
        name = f"held out, {names.get(models[-1], models[-1])}"
        traces.append(_points(held, quantity, [place[v] for v in held[x]], name, colours.muted, -1, "dash"))
    if not join:
        for i, trace in enumerate(traces):
            trace.update(mode="markers", offsetgroup=str(i), alignmentgroup="all")
    shape = layout(
        colours,
        {"title": title, **ticks},
        _AXES[quantity],
        scattermode="overlay" if join else "group",
        showlegend=not join,
    )
    if join:
        name_ends(shape, traces, _AXES[quantity].get("range", (0, None))[1])
    return with_room(traces, shape)
