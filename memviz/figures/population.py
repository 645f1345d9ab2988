"""Figures of populations: tables of `memviz.population` drawn with Plotly, nothing computed but places and words.

Shares are drawn in percent, scores from 0 to 1, on axes that do not move with the data where their range is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import layout, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.measures.score import LEVELS

QUANTITIES = {"mean": "mean score M", "full": "share with M = 1"}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "pentagon", "star")
"""Of the lines of a figure in turn, so that colour is never the only sign."""
_TEXT_SHARE = 0.07
"""A stacked share below this has no number written on it."""


def _axis_of(quantity: str) -> dict[str, Any]:
    if quantity == "full":
        return {"title": QUANTITIES["full"], "tickformat": ".0%"}
    return {"title": QUANTITIES["mean"]}


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
                text=[f"{share:.0%}" if share >= _TEXT_SHARE else "" for share in shares],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": colours.ground if i >= 3 else colours.text, "size": 12},
                marker={"color": colours.sequential[(1, 3, 4, 7, 9)[i]], "line": {"color": colours.ground, "width": 1}},
                hovertemplate=f"%{{x}}, {level}<br>%{{y:.1%}} [%{{customdata[0]:.1%}}, %{{customdata[1]:.1%}}]"
                "<br>n = %{customdata[2]:,}<extra></extra>",
            )
        )
    shape = layout(
        colours,
        {"type": "category", "ticks": ""},
        {"title": "share of sequences", "tickformat": ".0%", "range": [0, 1]},
        barmode="stack",
        bargap=0.25,
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
            _points(floor, quantity, [n_parameters[m] for m in floor["model"]], "held out", colours.muted, 4, "dash")
        )
    traces.append(_points(table, quantity, x, "rows chosen", colours.categorical[0], 0))
    ticks = {"tickvals": x, "ticktext": [names.get(model, model) for model in models]}
    shape = layout(colours, {"type": "log", "title": "model (parameters, logarithmic)", **ticks}, _axis_of(quantity))
    return with_room(traces, shape)


def _points(
    table: pd.DataFrame, quantity: str, x: Sequence[Any], name: str, colour: str, symbol: int, dash: str = "solid"
) -> go.Scatter:
    """Markers with intervals, joined by a line."""
    value, low, high = (table[f"{quantity}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    form = ".1%" if quantity == "full" else ".3f"
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
    colours: Palette = THEMED,
) -> go.Figure:
    """A quantity against a column of the table, one line a model from light to dark; floor: held-out rows likewise.

    Without `join` the points stand beside each other, unjoined: for values that have no order.
    """
    order = list(dict.fromkeys(table[x]))
    ticks: dict[str, Any] = {"type": "category"} if category else {"tickvals": order}
    places = [str(value) for value in order] if category else order
    place = dict(zip(order, places, strict=True))
    traces = []
    for i, (model, colour) in enumerate(zip(models, colours.ladder(len(models)), strict=True)):
        mine = table[table["model"] == model]
        traces.append(_points(mine, quantity, [place[v] for v in mine[x]], names.get(model, model), colour, i))
    if floor is not None and len(floor):
        held = floor[(floor["model"] == models[-1]) & floor[x].isin(order)]
        name = f"held out, {names.get(models[-1], models[-1])}"
        traces.append(_points(held, quantity, [place[v] for v in held[x]], name, colours.muted, 4, "dash"))
    if not join:
        for i, trace in enumerate(traces):
            trace.update(mode="markers", offsetgroup=str(i), alignmentgroup="all")
    shape = layout(
        colours,
        {"title": title, **ticks},
        _axis_of(quantity),
        scattermode="overlay" if join else "group",
        showlegend=not join,
        annotations=_end_labels(traces, colours) if join else [],
    )
    if join:
        shape.margin.r = 16 + 7 * max((len(trace.name) for trace in traces), default=0)
    return with_room(traces, shape)


def _end_labels(traces: Sequence[go.Scatter], colours: Palette) -> list[dict[str, Any]]:
    """Names at the ends of lines, pushed apart where the lines end close together."""
    ended = [trace for trace in traces if len(trace.y)]
    ends = {trace.name: float(trace.y[-1]) for trace in ended}
    top = max((float(np.nanmax(trace.y + trace.error_y.array)) for trace in ended), default=1.0)
    step, below = 0.075 * max(top, 1e-9), -np.inf
    labels = []
    for trace in sorted(ended, key=lambda trace: ends[trace.name]):
        below = max(ends[trace.name], below + step)
        labels.append(
            {
                "x": 1,
                "xref": "paper",
                "xanchor": "left",
                "xshift": 4,
                "y": below,
                "yref": "y",
                "text": trace.name,
                "showarrow": False,
                "font": {"size": 12, "color": trace.line.color if trace.line.dash == "dash" else colours.text},
            }
        )
    return labels


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
    n = counts.sum(axis=1)
    known = np.where((n >= min_n)[:, None], shares, np.nan)
    cells = [(i, j) for i in range(len(LEVELS)) for j in range(len(LEVELS))]
    words = {cell: _cell_words(counts[cell], known[cell], compact) for cell in cells}
    size = 10 if compact else 13
    heat = go.Heatmap(
        z=np.where(np.isnan(known), 0, known),
        zmin=0,
        zmax=1,
        colorscale=[*zip((*LOW_SHARES, *HIGH_SHARES), colours.sequential[:5] + colours.sequential[6:], strict=True)],
        showscale=False,
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )
    squares = go.Scatter(
        x=[j for _, j in cells],
        y=[i for i, _ in cells],
        mode="markers+text",
        text=[words[cell] for cell in cells],
        textposition="middle center",
        textfont={
            "color": [colours.ground if known[c] >= HIGH_SHARES[0] else colours.text for c in cells],
            "size": size,
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
    return with_room([heat, squares], shape)


def _cell_words(count: int, share: float, compact: bool) -> str:
    """What stands in a cell: row percent above the count; an empty cell stays empty."""
    if not count:
        return ""
    if compact:
        return f"{count:,}" if np.isnan(share) else f"{share:.0%}"
    return f"{count:,}" if np.isnan(share) else f"<b>{share:.0%}</b><br>{count:,}"


def _box(row: int, column: int, colour: str, width: int) -> dict[str, Any]:
    edges = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", **edges, "line": {"color": colour, "width": width}}


def boundary_figure(
    curves: pd.DataFrame,
    title: str,
    groups: Mapping[str, str],
    null: bool = True,
    minus_all: bool = False,
    moved: tuple[int, Mapping[str, np.ndarray]] | None = None,
    span: tuple[int, int] = (-16, 16),
    scale: float = 1,
    colours: Palette = THEMED,
) -> go.Figure:
    """Means around the start of the continuation, a line a group with its interval; t = 0 is the first position.

    curves: of `boundary_curves`, times `scale`. null: band of selection alone. minus_all: less the mean of all rows.
    moved: positions by which the edge is moved, and each group's means by index as then chosen.
    """
    traces: list[go.Scatter] = []
    hues = dict(zip((*groups, "all"), (*(colours.categorical[i] for i in (2, 3, 1)), colours.muted), strict=True))
    for i, (group, hue) in enumerate(hues.items()):
        mine = curves[(curves["group"] == group) & curves["t"].between(*span) & curves["mean"].notna()]
        if not len(mine) or (group == "all" and minus_all):
            continue

        def of(values: Any, mine: pd.DataFrame = mine) -> np.ndarray:
            less = mine["all_rows"].to_numpy(float) if minus_all else 0
            return scale * (np.asarray(values, float) - less)

        at, n = mine["t"].tolist(), int(mine["n"].max())
        name = f"all rows, n = {n:,}" if group == "all" else f"{group}, {groups[group]}, n = {n:,}"
        low, high = of(mine["low"]), of(mine["high"])
        if group != "all":
            traces.append(_band(at, low, high, hue, 0.2, group))
            if null and mine["null"].notna().any():
                traces.append(_band(at, of(mine["null_low"]), of(mine["null_high"]), colours.muted, 0.16, group))
                traces.append(_quiet(at, of(mine["null"]), hue, "dot", group, "selection alone"))
        traces.append(
            go.Scatter(
                x=at,
                y=of(mine["mean"]),
                mode="lines+markers",
                name=name,
                legendgroup=group,
                line={"color": hue, "width": 2, "dash": "dash" if group == "all" else "solid"},
                marker={"color": hue, "size": 6, "symbol": SYMBOLS[i]},
                customdata=np.stack([low, high], axis=1),
                hovertemplate=f"{name}, t = %{{x}}<br>%{{y:.3g}} [%{{customdata[0]:.3g}}, %{{customdata[1]:.3g}}]"
                "<extra></extra>",
            )
        )
        if moved is not None and group in moved[1]:
            means = moved[1][group][mine["index"].to_numpy()]
            traces.append(_quiet(at, of(means), hue, "longdashdot", group, "edge moved"))
    rules = [_rule(-0.5, colours.text, "solid")]
    if moved is not None:
        rules.append(_rule(moved[0] - 0.5, colours.muted, "dash"))
    shape = layout(
        colours,
        {"title": "position t (0: first token of the continuation)", "range": [span[0] - 0.5, span[1] + 0.5]},
        {"title": f"{title}, less all rows" if minus_all else title, "rangemode": "normal"},
        height=380,
        shapes=rules,
    )
    return with_room(traces, shape)


def _band(x: Sequence[int], low: np.ndarray, high: np.ndarray, colour: str, opacity: float, group: str) -> go.Scatter:
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


def _quiet(x: Sequence[int], y: np.ndarray, colour: str, dash: str, group: str, name: str) -> go.Scatter:
    line = {"color": colour, "width": 1.2, "dash": dash}
    return go.Scatter(
        x=list(x), y=y, mode="lines", line=line, name=name, legendgroup=group, showlegend=False, hoverinfo="skip"
    )


def _rule(x: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": dash}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}
