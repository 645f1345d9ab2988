"""Forks of a continuation: what was written behind another token, and its entropy beside that of the run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from memviz.figures.frame import layout, with_room
from memviz.figures.palette import THEMED, Palette


def fork_html(words: Sequence[str], written: np.ndarray, truth: np.ndarray | None, at: int, back: int | None) -> str:
    """A fork's (m,) tokens in wrapping lines: up to `at` faint, the other token framed, true ones underlined; HTML.

    A mark stands where the text is taken up again.
    """
    spans = []
    for t, word in enumerate(words):
        style = "padding:1px 2px"
        if t < at:
            style += ";opacity:.55"
        elif t == at:
            style += ";border:2px solid currentcolor;border-radius:3px"
        elif truth is not None and t < len(truth) and written[t] == truth[t]:
            style += ";border-bottom:2px solid currentcolor"
        mark = "⤷ " if t == back else ""
        spans.append(f'<span style="{style}">{mark}{escape(word)}</span>')
    return f'<div style="font-family:monospace;line-height:1.9;overflow-wrap:anywhere">{" ".join(spans)}</div>'


def forks_figure(
    entropy: np.ndarray,
    forks: Sequence[tuple[int, np.ndarray]],
    labels: Sequence[str],
    n_context: int,
    colours: Palette = THEMED,
) -> go.Figure:
    """Entropy in nats of the run (m,) and of each fork, whose (first position, (q,) entropies) are given."""
    run = go.Scatter(
        x=n_context + np.arange(len(entropy)),
        y=entropy,
        mode="lines",
        name="as it was",
        line={"color": colours.muted, "width": 2},
        hovertemplate="index %{x}<br>%{y:.2f} nats<extra>as it was</extra>",
    )
    lines = [run]
    for i, ((start, values), label) in enumerate(zip(forks, labels, strict=True)):
        lines.append(
            go.Scatter(
                x=n_context + start + np.arange(len(values)),
                y=values,
                mode="lines+markers",
                name=escape(label),
                line={"color": colours.categorical[i % len(colours.categorical)], "width": 2},
                hovertemplate=f"index %{{x}}<br>%{{y:.2f}} nats<extra>{escape(label)}</extra>",
            )
        )
    return with_room(lines, layout(colours, {"title": "index"}, {"title": "entropy, nats"}, 260, showlegend=True))
