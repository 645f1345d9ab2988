"""How far sequences lie apart while they are decoded: a panel a model, a line a pair of groups, bands over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memviz.figures.frame import SYMBOLS, band, layout, quiet_axis
from memviz.figures.palette import THEMED, Palette

MEASURES = {
    "cosine": "cosine similarity",
    "cosine_centred": "cosine similarity, less the step's mean state",
    "cosine_ratio": "cosine similarity / all-pairs mean",
    "distance": "Euclidean distance (the model's own units)",
    "distance_ratio": "Euclidean distance / all-pairs mean",
    "norm": "length of a state (the model's own units)",
}
WITHIN = "within {}"
_HUES = {"memorized": 2, "half": 4, "unmemorized": 1, "all": 5}
MOST_COLUMNS = 4


def pair_name(a: str, b: str) -> str:
    """A pair of groups in words."""
    if (a, b) == ("all", "all"):
        return "all rows"
    return WITHIN.format(a) if a == b else f"{a} to {b}"


def dynamics_figure(
    tables: Mapping[str, pd.DataFrame],
    measure: str,
    state: str,
    variant: str,
    pairs: Sequence[tuple[str, str]],
    colours: Palette = THEMED,
) -> go.Figure:
    """One measure by decoding step; tables: name -> `memviz.maps.dynamics_table` of a model, ascending.

    Panels share their vertical axis, so that models can be compared; a pair without two rows has no line. Norms have no
    pairs between groups.
    """
    names = list(tables)
    lines = -(-len(names) // MOST_COLUMNS) or 1
    columns = -(-len(names) // lines) or 1
    figure = make_subplots(
        rows=lines, cols=columns, shared_yaxes="all", shared_xaxes="all", subplot_titles=names,
        horizontal_spacing=0.025, vertical_spacing=0.14,
    )  # fmt: skip
    keyed: set[str] = set()
    for place, name in enumerate(names):
        table = tables[name]
        table = table[(table["measure"] == measure) & (table["state"] == state) & (table["variant"] == variant)]
        for number, (a, b) in enumerate(pairs):
            mine = table[(table["a"] == a) & (table["b"] == b) & table["value"].notna()]
            for trace in _lines(mine, pair_name(a, b), a, b, number, pair_name(a, b) not in keyed, colours):
                figure.add_trace(trace, 1 + place // columns, 1 + place % columns)
                keyed.add(trace.legendgroup)
    shape = layout(colours, {}, {}, height=140 + 300 * lines).to_plotly_json()
    figure.update_layout(**{key: value for key, value in shape.items() if key not in ("xaxis", "yaxis")})
    figure.update_layout(showlegend=True, margin={"l": 86, "r": 12, "t": 56, "b": 98})
    figure.update_annotations(font_size=13)
    axis = quiet_axis(colours)
    figure.update_xaxes(showgrid=False, nticks=4, **axis)
    figure.update_xaxes(title="decoding step t", row=lines, col=(columns + 1) // 2)
    figure.update_yaxes(rangemode="normal", **axis)
    figure.update_yaxes(title=MEASURES[measure], col=1)
    return figure


def _lines(
    table: pd.DataFrame, name: str, a: str, b: str, number: int, legend: bool, colours: Palette
) -> list[go.Scatter]:
    if not len(table):
        return []
    hue = colours.categorical[_HUES[a] if a == b else 0]
    dash = "solid" if a == b else ("dash", "dot", "dashdot")[number % 3]
    low, high = table["low"].to_numpy(float), table["high"].to_numpy(float)
    n_a, n_b = int(table["n_a"].iloc[0]), int(table["n_b"].iloc[0])
    rows = f"n = {n_a:,}" if a == b else f"n = {n_a:,} and {n_b:,}"
    line = go.Scatter(
        x=table["step"].tolist(),
        y=table["value"].to_numpy(float),
        mode="lines+markers",
        name=name,
        legendgroup=name,
        showlegend=legend,
        line={"color": hue, "width": 2, "dash": dash},
        marker={"color": hue, "size": 5, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        customdata=np.stack([low, high], axis=1),
        hovertemplate=f"{name}, t = %{{x}}<br>%{{y:.3g}} [%{{customdata[0]:.3g}}, %{{customdata[1]:.3g}}]<br>{rows}"
        "<extra></extra>",
    )
    return [band(table["step"].tolist(), low, high, hue, 0.18, name), line]
