"""ROC curves of membership statistics."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import layout, with_room
from memviz.figures.palette import THEMED, Palette

_DASHES = ("solid", "dash", "dot", "dashdot")


def roc_figure(curves: pd.DataFrame, names: Mapping[str, str], border: float, colours: Palette = THEMED) -> go.Figure:
    """True against false positive rate, a line a score; `border`: the false positive rate that is judged at."""
    diagonal = go.Scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="by chance", line={"color": colours.muted, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )  # fmt: skip
    lines = [
        go.Scatter(
            x=mine["false"],
            y=mine["true"],
            mode="lines",
            name=names[str(score)],
            line={"color": colours.categorical[i], "width": 2, "dash": _DASHES[i % len(_DASHES)]},
            hovertemplate=f"{names[str(score)]}<br>%{{y:.1%}} of members, %{{x:.1%}} of others<extra></extra>",
        )
        for i, (score, mine) in enumerate(curves.groupby("score", sort=False))
    ]
    at = {"type": "line", "x0": border, "x1": border, "y0": 0, "y1": 1, "line": {"color": colours.text, "width": 1}}
    shape = layout(
        colours,
        {"title": "others called members", "tickformat": ".0%", "range": [-0.01, 1.01]},
        {"title": "members found", "tickformat": ".0%", "range": [-0.01, 1.01]},
        shapes=[at],
    )
    return with_room([diagonal, *lines], shape)
