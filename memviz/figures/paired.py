"""Hidden states of the same rows under two models, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memviz.figures.frame import SYMBOLS, layout, quiet_axis
from memviz.figures.palette import THEMED, Palette

_GROUPS = {"memorized": 2, "unmemorized": 1}
"""And the hue of each."""


def paired_figure(places: Mapping[str, np.ndarray], memorized: np.ndarray, colours: Palette = THEMED) -> go.Figure:
    """A panel a model; places: its name -> (n, 2), of the same n rows, (n,) bool memorized or not."""
    figure = make_subplots(
        rows=1, cols=len(places), subplot_titles=list(places), horizontal_spacing=0.06, shared_yaxes=True
    )
    for column, xy in enumerate(places.values(), 1):
        for i, (group, hue) in reversed(list(enumerate(_GROUPS.items()))):  # memorized rows, the fewer, on top
            of = xy[memorized == (group == "memorized")]
            colour = colours.categorical[hue]
            marker = {"color": colour, "size": 6, "opacity": 0.7, "symbol": SYMBOLS[i]}
            name = f"{group} (n = {len(of):,})"
            trace = go.Scatter(
                x=of[:, 0], y=of[:, 1], mode="markers", name=name, legendgroup=group, showlegend=column == 1,
                marker=marker, hoverinfo="skip",
            )  # fmt: skip
            figure.add_trace(trace, 1, column)
    shape = layout(colours, {}, {}, height=420).to_plotly_json()
    figure.update_layout(**{key: value for key, value in shape.items() if key not in ("xaxis", "yaxis")})
    figure.update_layout(showlegend=True, legend_traceorder="reversed", margin={"l": 60, "r": 12, "t": 40, "b": 90})
    figure.update_annotations(font_size=13)
    figure.update_xaxes(showgrid=False, title="first component", **quiet_axis(colours))
    figure.update_yaxes(title="second", col=1)
    figure.update_yaxes(**quiet_axis(colours))
    return figure
