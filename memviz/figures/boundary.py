"""Curves around the start of the continuation, drawn with Plotly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import SYMBOLS, band, layout, name_ends, with_room
from memviz.figures.palette import THEMED, Palette


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
    means: list[go.Scatter] = []
    hues = dict(zip((*groups, "all"), (*(colours.categorical[i] for i in (2, 3, 1)), colours.muted), strict=True))
    for i, (group, hue) in enumerate(hues.items()):
        mine = curves[(curves["group"] == group) & curves["t"].between(*span) & curves["mean"].notna()]
        if not len(mine) or (group == "all" and minus_all):
            continue
        less = mine["all_rows"].to_numpy(float) if minus_all else np.zeros(len(mine))
        line = _Line(mine, group, groups.get(group, ""), hue, SYMBOLS[i], less, scale)
        traces += [] if group == "all" else line.bands(null, colours)
        means.append(line.means())
        if moved is not None and group in moved[1]:
            traces.append(line.quiet(moved[1][group][mine["index"].to_numpy()], "longdashdot", "edge moved"))
    rules = [_rule(-0.5, colours.text, "solid")]
    if moved is not None:
        rules.append(_rule(moved[0] - 0.5, colours.muted, "dash"))
    shape = layout(
        colours,
        {"title": "position t (0: continuation begins)", "range": [span[0] - 0.5, span[1] + 0.5]},
        {"title": f"{title}, less all rows" if minus_all else title, "rangemode": "normal"},
        height=380,
        shapes=rules,
    )
    name_ends(shape, means, None)
    return with_room([*traces, *means], shape)


@dataclass(frozen=True)
class _Line:
    """One group's lines of `boundary_curves`."""

    table: pd.DataFrame
    group: str
    words: str
    hue: str
    symbol: str
    less: np.ndarray
    """(p,) what is taken off every value, before `scale`."""
    scale: float

    def values(self, of: Any) -> np.ndarray:
        return self.scale * (np.asarray(of, float) - self.less)

    @property
    def at(self) -> list[int]:
        return self.table["t"].tolist()

    def ends(self, low: str, high: str) -> tuple[np.ndarray, np.ndarray]:
        return self.values(self.table[low]), self.values(self.table[high])

    def bands(self, null: bool, colours: Palette) -> list[go.Scatter]:
        """The interval and, where it is known, what selection alone gives."""
        drawn = [band(self.at, *self.ends("low", "high"), self.hue, 0.2, self.group)]
        if null and self.table["null"].notna().any():
            drawn.append(band(self.at, *self.ends("null_low", "null_high"), colours.muted, 0.16, self.group))
            drawn.append(self.quiet(self.table["null"], "dot", "selection alone"))
        return drawn

    def means(self) -> go.Scatter:
        every = self.group == "all"
        name = "all rows" if every else self.words
        n = int(self.table["n"].max())
        told = f"{name}, n = {n:,}" if every else f"{self.group}, {name}, n = {n:,}"
        return go.Scatter(
            x=self.at,
            y=self.values(self.table["mean"]),
            mode="lines+markers",
            name=name,
            legendgroup=self.group,
            line={"color": self.hue, "width": 2, "dash": "dash" if every else "solid"},
            marker={"color": self.hue, "size": 6, "symbol": self.symbol},
            customdata=np.stack(self.ends("low", "high"), axis=1),
            hovertemplate=f"{told}, t = %{{x}}<br>%{{y:.3g}} [%{{customdata[0]:.3g}}, %{{customdata[1]:.3g}}]"
            "<extra></extra>",
        )

    def quiet(self, of: Any, dash: str, name: str) -> go.Scatter:
        """A thin line beside the means, without a key of its own."""
        return go.Scatter(
            x=self.at,
            y=self.values(of),
            mode="lines",
            line={"color": self.hue, "width": 1.2, "dash": dash},
            name=name,
            legendgroup=self.group,
            showlegend=False,
            hoverinfo="skip",
        )


def _rule(x: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": dash}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}
