"""The layers of one prompt: a map of layers by positions, commit layers, and the true token's way up through the model.

Scales are fixed: probabilities from 0 to 1, ranks from 1 to 10,000 and above on a logarithmic scale, depth from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from memviz.figures.frame import MONOSPACE, SYMBOLS, layout, name_ends, with_room
from memviz.figures.glyphs import SPACE
from memviz.figures.palette import THEMED, Palette
from memviz.measures.lens import NEVER, LensScores

Quantity = Literal["probability", "rank"]
QUANTITIES: dict[Quantity, str] = {"probability": "p(true token)", "rank": "rank of the true token"}
LAST_RANK = 10_000
"""Ranks from here on share a shade."""
ROW_HEIGHT, LEAST_HEIGHT, MOST_HEIGHT, MARGINS = 28, 300, 640, 160
"""Pixels."""
MOST_WRITTEN, N_LETTERS = 36, 2
"""Columns up to which cells are wide enough for the start of a word, and how much of it, without a leading space."""


def lens_figure(
    scores: LensScores,
    quantity: Quantity,
    words: Sequence[str],
    n_context: int,
    chosen: tuple[int, int] | None = None,
    colours: Palette = THEMED,
    tops: Sequence[str] | None = None,
) -> go.Figure:
    """Layers (0 at the foot) by positions; words: the m true tokens as text; the line is the commit layer.

    tops: what each cell says is likeliest, (l * m) by layer, written into cells that are wide enough.

    A mark without colour lies on each cell, for a heatmap's own cells do not hear clicks; its customdata is (layer, t).
    """
    (n_layers, m), ranks = scores.rank.shape, quantity == "rank"
    values = np.log10(np.minimum(scores.rank, LAST_RANK)) if ranks else scores.probability
    ticks = {"tickvals": [0, 1, 2, 3, 4], "ticktext": ["1", "10", "100", "1,000", "10,000+"]} if ranks else {}
    shades = colours.sequential[::-1] if ranks else colours.sequential
    heat = go.Heatmap(
        z=values,
        zmin=0,
        zmax=np.log10(LAST_RANK) if ranks else 1,
        colorscale=_scale(shades),
        colorbar={"title": {"text": "rank" if ranks else "p"}, "thickness": 12, "outlinewidth": 0, **ticks},
        hoverinfo="skip",
        xgap=1,
        ygap=1,
    )
    if tops is not None and m <= MOST_WRITTEN:
        heat.text = np.array([escape(_start(top)) for top in tops], object).reshape(n_layers, m)
        heat.texttemplate, heat.textfont = "%{text}", MONOSPACE
    figure = go.Figure([heat, *_commit_lines(scores, colours), _marks(scores, words, n_context)])
    names = ["embedding", *(str(layer) for layer in range(1, n_layers))]
    shown = [*range(0, n_layers, 1 + n_layers // 16)]
    flat = {"showgrid": False, "showline": False, "ticks": ""}
    named = range(0, m, 1 + m // 66)
    positions = [f"{escape(words[t], quote=False)}  {n_context + t}" for t in named]
    figure.layout = layout(
        colours,
        {"title": "true token, and its index", "tickvals": list(named), "ticktext": positions, "tickangle": -90}
        | {"tickfont": MONOSPACE | {"color": colours.text}, "range": [-0.5, m - 0.5]}
        | flat,
        {"title": "layer", "tickvals": shown, "ticktext": [names[layer] for layer in shown], "rangemode": "normal"}
        | {"range": [-0.5, n_layers - 0.5]}
        | flat,
        height=max(LEAST_HEIGHT, min(MOST_HEIGHT, MARGINS + ROW_HEIGHT * n_layers)),
        showlegend=False,
        clickmode="event+select",
        hoverdistance=60,
        shapes=[_frame(*chosen, colours)] if chosen else [],
    )
    return figure


def _start(top: str) -> str:
    """The first letters of a token's word; of one that is all space, its glyphs."""
    return (top.lstrip(SPACE) or top)[:N_LETTERS]


def _scale(shades: Sequence[str]) -> list[tuple[float, str]]:
    return list(zip(np.linspace(0, 1, len(shades)).tolist(), shades, strict=True))


def _marks(scores: LensScores, words: Sequence[str], n_context: int) -> go.Scatter:
    cells = [(layer, t) for layer in range(scores.rank.shape[0]) for t in range(scores.rank.shape[1])]
    said = [
        f"layer {layer}, index {n_context + t}, true token “{escape(words[t])}”<br>"
        f"p {scores.probability[layer, t]:.3g} · rank {scores.rank[layer, t]:,} · "
        f"entropy {scores.entropy[layer, t]:.2f} nats"
        for layer, t in cells
    ]
    faint = {"marker": {"opacity": 0.01}}
    return go.Scatter(
        x=[t for _, t in cells],
        y=[layer for layer, _ in cells],
        mode="markers",
        marker={"symbol": "square", "size": 16, "opacity": 0.01},
        selected=faint,
        unselected=faint,
        customdata=cells,
        text=said,
        hovertemplate="%{text}<extra></extra>",
    )


def _commit_lines(scores: LensScores, colours: Palette) -> list[go.Scatter]:
    """A step along the lower edge of the commit layers, on a ground of its own so that it is seen on every shade."""
    commit = scores.commit
    x = [edge for t in range(len(commit)) for edge in (t - 0.5, t + 0.5)]
    y = [None if layer == NEVER else layer - 0.5 for layer in commit.tolist() for _ in range(2)]
    styles = ({"color": colours.ground, "width": 5}, {"color": colours.categorical[1], "width": 2.5})
    return [go.Scatter(x=x, y=y, mode="lines", line=style, hoverinfo="skip", name="commit layer") for style in styles]


def _frame(layer: int, t: int, colours: Palette) -> dict[str, Any]:
    edges = {"x0": t - 0.5, "x1": t + 0.5, "y0": layer - 0.5, "y1": layer + 0.5}
    return {"type": "rect", **edges, "line": {"color": colours.text, "width": 3}}


def commit_figure(
    commits: Mapping[str, tuple[np.ndarray, int]], words: Sequence[str], n_context: int, colours: Palette = THEMED
) -> go.Figure:
    """Commit layer as a share of the depth, models by positions; name -> ((m,) commit layers, last layer).

    Blank: the last layer's argmax is not the true token. Ascending models stand from the foot up.
    """
    shares = [np.where(commit == NEVER, np.nan, commit / max(1, last)) for commit, last in commits.values()]
    said = [
        ["the last layer says another token" if layer == NEVER else f"from layer {layer} of {last}" for layer in commit]
        for commit, last in commits.values()
    ]
    heat = go.Heatmap(
        z=shares,
        y=list(commits),
        x=[n_context + t for t in range(len(words))],
        zmin=0,
        zmax=1,
        colorscale=_scale(colours.sequential[2:][::-1]),
        colorbar={"title": {"text": "depth"}, "thickness": 12, "outlinewidth": 0, "tickvals": [0, 0.5, 1]},
        text=said,
        customdata=[[escape(word) for word in words] for _ in commits],
        hovertemplate="%{y}, index %{x}, “%{customdata}”<br>%{text}<extra></extra>",
        hoverongaps=True,
        xgap=1,
        ygap=2,
    )
    flat = {"showgrid": False, "showline": False, "ticks": ""}
    height = max(LEAST_HEIGHT, 120 + 34 * len(commits))
    shape = layout(colours, {"title": "index of the token", **flat}, {"type": "category", **flat}, height=height)
    return go.Figure([heat] if commits else [], shape)


def depth_figure(readings: Mapping[str, LensScores], colours: Palette = THEMED) -> go.Figure:
    """Mean p(true) over a prompt's positions against relative depth, a line a model, ascending."""
    lines = []
    for i, ((name, scores), colour) in enumerate(zip(readings.items(), colours.ladder(len(readings)), strict=True)):
        line = go.Scatter(
            x=scores.depth,
            y=scores.probability.mean(axis=1, dtype=np.float64),
            mode="lines+markers",
            name=name,
            customdata=np.arange(len(scores.depth)),
            hovertemplate=f"{name}, layer %{{customdata}}<br>mean p(true) %{{y:.3f}}<extra></extra>",
            line={"color": colour, "width": 2},
            marker={"color": colour, "size": 7, "symbol": SYMBOLS[i % len(SYMBOLS)]},
        )
        lines.append(line)
    x = {"title": "layer / last layer (0: embedding)", "range": [-0.03, 1.03]}
    shape = layout(colours, x, {"title": "mean p(true token)", "range": [0, 1.03]})
    name_ends(shape, lines, 1.03)
    return with_room(lines, shape)
