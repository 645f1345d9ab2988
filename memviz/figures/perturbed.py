"""What is still reproduced when the context is changed: M and mean log p(true) by how it was changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memviz.figures.frame import quiet_axis
from memviz.figures.palette import THEMED, Palette
from memviz.measures.perturbation import Operation, Perturbed

AXES: dict[Operation, str] = {
    "suffix": "context tokens kept, from the end",
    "drop": "index of the first token dropped",
    "replace": "index of the first token replaced",
    "prepend": "tokens put in front",
}
LOWEST = -8.0
"""nats a token, the low end of the axis of mean log p."""
_MOST_TICKS = 40


def perturbed_figure(
    found: Perturbed, operation: Operation, spelled: Sequence[str], mark: int | None = None, colours: Palette = THEMED
) -> go.Figure:
    """Two panels over `found.at`: M from 0 to 1, and mean log p of the true tokens; dashed: the unchanged context.

    spelled: the context's tokens without leading ones, as text; `mark` is the shortest suffix, where there is one.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.6, 0.4])
    x, score, mean = found.at, found.score, np.maximum(found.mean_logprob, LOWEST)
    words = [_words(operation, int(at), spelled) for at in x]
    panels = (("M", score, found.whole_score), ("mean log p", mean, float(found.whole_logprob.mean())))
    for row, (name, values, whole) in enumerate(panels, 1):
        style = {"mode": "lines+markers", "line": {"color": colours.categorical[row - 1], "width": 2}}
        text = f"%{{text}}<br>{name} %{{y:.2f}}<extra></extra>"
        figure.add_scatter(
            x=x, y=values, text=words, hovertemplate=text, name=name, marker={"size": 6}, **style, row=row, col=1
        )
        figure.add_hline(
            y=max(whole, LOWEST), line={"color": colours.muted, "dash": "dash", "width": 1}, row=row, col=1
        )
    if mark is not None:
        figure.add_vline(x=mark, line={"color": colours.text, "width": 1.5}, row=1, col=1)
        label = f"shortest: {mark}"
        figure.add_annotation(
            x=mark, y=1.12, yref="y domain", text=label, showarrow=False, xanchor="left", row=1, col=1
        )
    axis = quiet_axis(colours)
    figure.update_xaxes(showgrid=False, **axis)
    figure.update_xaxes(title=AXES[operation], row=2, col=1)
    if operation in ("drop", "replace") and len(x) <= _MOST_TICKS:
        figure.update_xaxes(
            tickvals=x, ticktext=[spelled[int(at)] for at in x], tickangle=-90, tickfont={"family": "monospace"}
        )
    figure.update_yaxes(title="M", range=[-0.03, 1.06], row=1, col=1, **axis)
    figure.update_yaxes(title="nats a token", range=[LOWEST - 0.3, 0.4], row=2, col=1, **axis)
    figure.update_layout(
        height=420,
        showlegend=False,
        margin={"l": 8, "r": 12, "t": 28, "b": 8},
        hovermode="closest",
        dragmode=False,
        uirevision="kept",
        font={"color": colours.text},
    )
    return figure


def _words(operation: Operation, at: int, spelled: Sequence[str]) -> str:
    if operation == "suffix":
        kept = "".join(spelled[len(spelled) - at :][:12])
        return f"{at} kept" + (f": “{kept}{'…' if at > 12 else ''}”" if at else "")
    if operation == "prepend":
        return f"{at} in front"
    return f"from index {at}, “{spelled[at]}”"
