"""Forks of a continuation: what was written behind another token, and its entropy beside that of the run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from memviz.figures.frame import layout, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.figures.tracks import ENTROPY_DOMAINS, Track


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


def fork_track(
    words: Sequence[str],
    written: np.ndarray,
    entropy: np.ndarray,
    at: int,
    truth: np.ndarray | None,
    back: int | None,
    n_context: int,
) -> Track:
    """A fork as cells under the tokens, filled by its own entropy; their border is whether it wrote the true token.

    words, written: (m,) what it wrote, the other token at position `at`; entropy: nats of each position behind it;
    truth: (m,) ids; back: position from which on it is back in the text.
    """
    blank = [None] * n_context
    values: list[float | None] = [None] * len(words)
    values[at + 1 :] = entropy[: len(words) - at - 1].tolist()
    texts: list[str | None] = [None] * at
    for t in range(at, len(words)):
        said = (
            "the fork"
            if t == at
            else f"{values[t]:.2f} nats" + (", back in the text from here on" if t == back else "")
        )
        texts.append(f"fork at {n_context + at}: “{words[t]}”, {said}")
    ends = "" if back is None else f", back in the text from {n_context + back} on"
    track: Track = {
        "id": f"fork-{at}-{written[at]}",
        "label": f"entropy of the fork “{words[at]}” at {n_context + at}{ends}",
        "unit": "nats",
        "kind": "cells",
        "scale": "linear",
        "domain": (0.0, ENTROPY_DOMAINS[0]),
        "series": [{"label": "entropy", "values": [*blank, *values], "style": "main"}],
        "texts": [*blank, *texts],
    }
    if truth is not None:
        match = (written[: len(truth)] == truth[: len(written)]).astype(float)
        border = [float(match[t]) if t > at and t < len(match) else None for t in range(len(words))]
        track["series"] = [*track["series"], {"label": "truth", "values": [*blank, *border], "style": "border"}]
    return track


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
