"""Figures of predictors of memorization: tables of `memviz.predictor` drawn with Plotly, on axes that do not move.

Shares and probabilities are drawn from 0 to 1. Intervals are those of the tables: 95 %, over row groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.frame import SYMBOLS, layout, name_ends, with_room
from memviz.figures.palette import THEMED, Palette
from memviz.figures.predicted import METHOD_WORDS
from memviz.measures.score import LEVELS

METRIC_WORDS = {
    "token_accuracy": "token accuracy",
    "full_accuracy": "full accuracy",
    "intact_accuracy": "accuracy given an intact prefix",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "brier": "Brier score (lower is better)",
    "calibration_error": "calibration error (lower is better)",
    "divergence_error": "error of the first divergence, tokens (lower is better)",
    "divergence_loss": "loss of the first divergence, nats a row (lower is better)",
}
"""Metric of the tables -> its name on axes."""
UNBOUNDED = ("divergence_error", "divergence_loss")
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")


def forecast_figure(probability: np.ndarray, n_context: int, colours: Palette = THEMED) -> go.Figure:
    """P(memorized) of each token to come, a bar an index; the darker the likelier."""
    x = n_context + np.arange(len(probability))
    shades = [colours.sequential[min(9, 2 + int(7 * p))] for p in probability.tolist()]
    bars = go.Bar(x=x, y=probability, marker={"color": shades}, hovertemplate="index %{x}<br>P %{y:.2f}<extra></extra>")
    shape = layout(
        colours,
        {"title": "token index"},
        {"title": "P", "range": [0, 1], "autorange": False, "dtick": 0.5},
        190,
        bargap=0.15,
    )
    return with_room(bars, shape)


def loss_figure(epochs: Sequence[Mapping[str, Any]], colours: Palette = THEMED) -> go.Figure:
    """Training and validation loss by epoch, the best epoch marked."""
    x = [each["epoch"] for each in epochs]
    traces = [
        line_of(x, [each[column] for each in epochs], name, colours.categorical[i], i, "epoch %{x}<br>%{y:.4f} nats")
        for i, (column, name) in enumerate(
            (("train_loss", "training, with dropout"), ("validation_loss", "validation"))
        )
    ]
    best = [each for each in epochs if each["best"]][-1:]
    ring = {"size": 15, "symbol": "circle-open", "color": colours.text, "line": {"width": 2}}
    traces += [
        go.Scatter(
            x=[each["epoch"]], y=[each["validation_loss"]], mode="markers", name="kept", marker=ring, hoverinfo="skip"
        )
        for each in best
    ]
    shape = layout(
        colours,
        {"title": "epoch", "dtick": max(1, len(x) // 8)},
        {"title": "loss, nats a token", "rangemode": "normal"},
    )
    return with_room(traces, shape)


def line_of(
    x: Sequence[Any], y: Sequence[Any], name: str, colour: str, place: int, hover: str, dash: str = "solid"
) -> go.Scatter:
    """A line with markers."""
    return go.Scatter(
        x=list(x),
        y=list(y),
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 7, "symbol": SYMBOLS[place % len(SYMBOLS)]},
        hovertemplate=f"{name}<br>{hover}<extra></extra>",
    )


def methods_figure(lines: pd.DataFrame, metric: str, colours: Palette = THEMED) -> go.Figure:
    """One metric of every method with its interval, a row a method: the predictor first, the oracle last and hollow."""
    values: dict[Any, Any] = lines[lines["metric"] == metric].set_index("method").to_dict("index")
    order = [name for name in METHOD_WORDS if name in values and np.isfinite(values[name]["value"])]
    traces = []
    for name in order:
        line = values[name]
        colour = colours.categorical[0] if name == "predictor" else colours.muted
        symbol = {"predictor": "diamond", "oracle_rank": "circle-open"}.get(name, "circle")
        low, high = (line["value"] if np.isnan(line[end]) else line[end] for end in ("low", "high"))
        traces.append(
            go.Scatter(
                x=[line["value"]],
                y=[METHOD_WORDS[name]],
                mode="markers+text",
                text=[f"{line['value']:.3f}"],
                textposition="top center",
                cliponaxis=False,
                textfont={"size": 13, "color": colours.text},
                error_x={"array": [high - line["value"]], "arrayminus": [line["value"] - low], "color": colour},
                marker={"color": colour, "size": 11 if name == "predictor" else 8, "symbol": symbol},
                customdata=[[low, high, line["n"], line["n_units"]]],
                hovertemplate="%{y}<br>%{x:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<br>"
                "n = %{customdata[2]:,} rows (%{customdata[3]:,} groups)<extra></extra>",
                showlegend=False,
            )
        )
    x: dict[str, Any] = {"title": METRIC_WORDS[metric], "showgrid": True}
    if metric in UNBOUNDED:
        x["rangemode"] = "tozero"
    elif metric not in ("brier", "calibration_error"):
        x["range"] = [-0.02, 1.02]
    names = [METHOD_WORDS[name] for name in order]
    y = {"categoryorder": "array", "categoryarray": names[::-1], "showgrid": True, "ticks": "", "type": "category"}
    return with_room(traces, layout(colours, x, y, 430))


def sizes_figure(
    lines: pd.DataFrame, metric: str, models: Sequence[str], baseline: str | None, colours: Palette = THEMED
) -> go.Figure:
    """A metric against continuation size, one line a model from light to dark; a baseline of each dashed beside it."""
    traces = []
    for place, (model, colour) in enumerate(zip(models, colours.ladder(len(models)), strict=True)):
        for method in ("predictor", *([baseline] if baseline else [])):
            found = lines[(lines["model"] == model) & (lines["method"] == method) & (lines["metric"] == metric)]
            found = found.sort_values("m")
            if not len(found):
                continue
            is_own = method == "predictor"
            trace = line_of(
                found["m"].tolist(),
                found["value"].tolist(),
                model if is_own else f"{model}, {METHOD_WORDS[method]}",
                colour,
                place,
                "m = %{x}<br>%{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<br>n = %{customdata[2]:,} rows",
                "solid" if is_own else "dot",
            )
            trace.customdata = found[["low", "high", "n"]].to_numpy(float)
            trace.showlegend = is_own
            if is_own:
                ends = (found["high"] - found["value"]).tolist(), (found["value"] - found["low"]).tolist()
                trace.error_y = {"array": ends[0], "arrayminus": ends[1], "thickness": 1.3, "width": 4, "color": colour}
            else:
                trace.marker.size = 5
            traces.append(trace)
    lengths = sorted(lines["m"].unique().tolist())
    shape = layout(
        colours,
        {"title": "continuation tokens m", "tickvals": lengths},
        {"title": METRIC_WORDS[metric], "range": [0, 1.02]} if metric not in UNBOUNDED else {},
        380,
    )
    name_ends(shape, [trace for trace in traces if trace.line.dash == "solid"], None if metric in UNBOUNDED else 1.02)
    return with_room(traces, shape)


def levels_figure(lines: pd.DataFrame, metric: str, methods: Sequence[str], colours: Palette = THEMED) -> go.Figure:
    """Accuracy on the test rows of each score level, methods beside each other."""
    own = lines[lines["metric"] == metric].sort_values("level")
    of_rows = own.assign(of=[LEVELS[level] for level in own["level"]])
    return _beside(of_rows, list(LEVELS), "score level of the row", metric, methods, colours)


def exposures_figure(lines: pd.DataFrame, methods: Sequence[str], colours: Palette = THEMED) -> go.Figure:
    """Token accuracy on the test rows of each number of exposures, methods beside each other; lines in that order."""
    order = list(dict.fromkeys(lines["exposures"]))
    title = "planned exposures in training"
    return _beside(lines.rename(columns={"exposures": "of"}), order, title, "token_accuracy", methods, colours)


def _beside(
    lines: pd.DataFrame, order: Sequence[str], title: str, metric: str, methods: Sequence[str], colours: Palette
) -> go.Figure:
    """Values of methods beside each other, by what rows are `of`."""
    traces = []
    for place, method in enumerate(methods):
        found = lines[lines["method"] == method]
        value = found["value"].to_numpy(float)
        colour = colours.categorical[place % len(colours.categorical)]
        traces.append(
            go.Scatter(
                x=found["of"].tolist(),
                y=value,
                mode="markers",
                cliponaxis=False,
                name=METHOD_WORDS[method],
                error_y={
                    "array": found["high"].to_numpy(float) - value, "arrayminus": value - found["low"].to_numpy(float),
                    "color": colour, "thickness": 1.3, "width": 4,
                },
                marker={"color": colour, "size": 10, "symbol": SYMBOLS[place % len(SYMBOLS)]},
                customdata=found[["low", "high", "n"]].to_numpy(float),
                hovertemplate=f"{METHOD_WORDS[method]}, %{{x}}<br>%{{y:.3f}} [%{{customdata[0]:.3f}}, "
                "%{customdata[1]:.3f}]<br>n = %{customdata[2]:,} rows<extra></extra>",
            )
        )  # fmt: skip
    axis = {"categoryorder": "array", "categoryarray": list(order), "range": [-0.5, len(order) - 0.5]}
    shape = layout(
        colours,
        {"title": title, "type": "category", **axis},
        {"title": METRIC_WORDS[metric], "range": [-0.02, 1.02]},
        scattermode="group",
    )
    return with_room(traces, shape)


def divergence_figure(rows: pd.DataFrame, methods: Sequence[str], m: int, colours: Palette = THEMED) -> go.Figure:
    """Share of test rows whose predicted first divergence is at most so many tokens off."""
    traces, x = [], np.arange(m + 1)
    for place, method in enumerate(methods):
        found = rows[rows["method"] == method]
        gap = np.abs(found["predicted_divergence"].to_numpy() - found["divergence"].to_numpy())
        if not len(gap):
            continue
        shares = (gap[:, None] <= x).mean(axis=0)
        traces.append(
            go.Scatter(
                x=x,
                y=shares,
                mode="lines",
                name=f"{METHOD_WORDS[method]}, mean {gap.mean():.1f}",
                line={
                    "color": colours.categorical[place % len(colours.categorical)],
                    "width": 3 if method == "predictor" else 1.6,
                    "dash": DASHES[place % len(DASHES)],
                    "shape": "hv",
                },
                hovertemplate=f"{METHOD_WORDS[method]}<br>%{{y:.1%}} of rows off by at most %{{x}}<extra></extra>",
            )
        )
    shape = layout(
        colours,
        {"title": "off by at most, tokens", "range": [0, m]},
        {"title": "share of rows", "tickformat": ".0%", "range": [0, 1.02]},
    )
    return with_room(traces, shape)
