"""Probabilities of memorization and where to cut them: curves, reliability, confusion, drawn with Plotly.

Tables are those of `memviz.predictor`; shares and probabilities are drawn from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import layout, quiet_axis, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.figures.predicted import METHOD_WORDS
from memviz.figures.predictor import DASHES, line_of
from memviz.figures.transitions import HIGH_SHARES, LOW_SHARES

CURVE_WORDS = {
    "roc": ("false positive rate", "true positive rate"),
    "precision_recall": ("recall", "precision"),
}


def curve_figure(
    points: pd.DataFrame, curve: str, methods: Sequence[str], prevalence: float, colours: Palette = THEMED
) -> go.Figure:
    """ROC or precision against recall: the predictor, baselines in the same axes, and what chance would give."""
    x_name, y_name = CURVE_WORDS[curve]
    chance = ([0, 1], [0, 1]) if curve == "roc" else ([0, 1], [prevalence, prevalence])
    words = "chance" if curve == "roc" else f"prevalence {prevalence:.2f}"
    line = {"color": colours.muted, "width": 1, "dash": "dash"}
    traces = [go.Scatter(x=chance[0], y=chance[1], mode="lines", name=words, line=line, hoverinfo="skip")]
    for place, method in enumerate(methods):
        found = points[(points["curve"] == curve) & (points["method"] == method)]
        if not len(found):
            continue
        is_own, is_oracle = method == "predictor", method == "oracle_rank"
        colour = colours.text if is_oracle else colours.categorical[place % len(colours.categorical)]
        traces.append(
            go.Scatter(
                x=found["x"],
                y=found["y"],
                customdata=found["threshold"],
                mode="lines",
                name=METHOD_WORDS[method],
                line={"color": colour, "width": 3 if is_own else 1.6, "dash": DASHES[place % len(DASHES)]},
                hovertemplate=f"{METHOD_WORDS[method]}<br>{x_name} %{{x:.2f}}, {y_name} %{{y:.2f}}"
                "<br>from P = %{customdata:.2f}<extra></extra>",
            )
        )
    axis = {"range": [-0.01, 1.01], "showgrid": True}
    return with_room(traces, layout(colours, axis | {"title": x_name}, axis | {"title": y_name}, 400))


def reliability_figure(bins: pd.DataFrame, methods: Sequence[str], colours: Palette = THEMED) -> go.Figure:
    """Share of hits against mean probability by tenth, and below how many positions the predictor puts into each."""
    line = {"color": colours.muted, "width": 1, "dash": "dash"}
    traces: list[Any] = [go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="calibrated", line=line, hoverinfo="skip")]
    for place, method in enumerate(methods):
        found = bins[bins["method"] == method].sort_values("bin")
        hover = "P %{x:.2f}, share of hits %{y:.2f}<br>%{customdata:,} positions"
        trace = line_of(
            found["probability"].tolist(), found["share"].tolist(), METHOD_WORDS[method],
            colours.categorical[place % len(colours.categorical)], place, hover, DASHES[place % len(DASHES)],
        )  # fmt: skip
        trace.customdata = found["n"].tolist()
        traces.append(trace)
    own = bins[bins["method"] == "predictor"]
    traces.append(
        go.Bar(
            x=own["bin"] / 10 + 0.05,
            y=own["n"],
            yaxis="y2",
            width=0.09,
            marker={"color": colours.sequential[3]},
            showlegend=False,
            hovertemplate="%{y:,} positions of the predictor<extra></extra>",
        )
    )
    shape = layout(
        colours,
        {"title": "predicted probability", "range": [-0.01, 1.01], "anchor": "y2"},
        {"title": "share of hits", "range": [-0.02, 1.02], "domain": [0.34, 1], "showgrid": True},
        420,
        yaxis2=quiet_axis(colours)
        | {"title": {"text": "positions"}, "domain": [0, 0.24], "rangemode": "tozero", "nticks": 3},
    )  # fmt: skip
    return with_room(traces, shape)


def confusion_figure(counts: pd.Series, colours: Palette = THEMED) -> go.Figure:
    """Truth against what is called at one threshold: positions, and the share of each line; the diagonal is right."""
    z = np.array(
        [
            [counts["true_negative"], counts["false_positive"]],
            [counts["false_negative"], counts["true_positive"]],
        ],
        float,
    )
    shares = z / np.maximum(z.sum(axis=1, keepdims=True), 1)
    names = ["miss", "hit"]
    heat = go.Heatmap(
        z=shares,
        x=[f"called {name}" for name in names],
        y=[f"truly a {name}" for name in names],
        zmin=0,
        zmax=1,
        colorscale=[*zip((*LOW_SHARES, *HIGH_SHARES), colours.sequential[:5] + colours.sequential[6:], strict=True)],
        showscale=False,
        xgap=3,
        ygap=3,
        hoverinfo="skip",
    )
    notes = [
        {
            "x": f"called {names[column]}",
            "y": f"truly a {names[row]}",
            "text": f"<b>{shares[row, column]:.1%}</b><br>{int(z[row, column]):,} positions",
            "showarrow": False,
            "font": {"color": colours.ground if shares[row, column] >= HIGH_SHARES[0] else colours.text, "size": 14},
        }
        for row in range(2)
        for column in range(2)
    ]
    flat = {"showgrid": False, "showline": False, "ticks": ""}
    return with_room(heat, layout(colours, flat, flat | {"autorange": "reversed"}, 260, annotations=notes))


def threshold_figure(confusion: pd.DataFrame, threshold: float, colours: Palette = THEMED) -> go.Figure:
    """Accuracy, precision and recall of the predictor against the threshold; a rule stands at the chosen one."""
    table = confusion.sort_values("threshold")
    hit, wrong, missed = (table[name].to_numpy(float) for name in ("true_positive", "false_positive", "false_negative"))
    total = hit + wrong + missed + table["true_negative"].to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        shown = {
            "token accuracy": (total - wrong - missed) / total,
            "precision": hit / (hit + wrong),
            "recall": hit / (hit + missed),
        }
    traces = [
        line_of(table["threshold"].tolist(), values, name, colours.categorical[i], i, "from P = %{x:.2f}<br>%{y:.3f}")
        for i, (name, values) in enumerate(shown.items())
    ]
    rule = {"type": "line", "xref": "x", "yref": "paper", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1}
    shape = layout(
        colours,
        {"title": "called memorized from P =", "range": [0, 1]},
        {"range": [0, 1.02]},
        280,
        shapes=[{**rule, "line": {"color": colours.muted, "dash": "dash"}}],
    )
    return with_room(traces, shape)
