"""Figures of predictors of memorization: tables of `memviz.prediction` drawn with Plotly, on axes that do not move.

Shares and probabilities are drawn from 0 to 1. Intervals are those of the tables: 95 %, over row groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from memviz.figures.palette import THEMED, Palette
from memviz.figures.population import HIGH_SHARES, LOW_SHARES, SYMBOLS, layout
from memviz.figures.predicted import METHOD_WORDS
from memviz.measures.score import LEVELS

METRIC_WORDS = {
    "token_accuracy": "token accuracy",
    "full_accuracy": "full accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "brier": "Brier score (lower is better)",
    "calibration_error": "calibration error (lower is better)",
    "divergence_error": "error of the first divergence, tokens (lower is better)",
}
"""Metric of the tables -> its name on axes."""
CURVE_WORDS = {
    "roc": ("false positive rate", "true positive rate"),
    "precision_recall": ("recall", "precision"),
}
_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")


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
    return go.Figure(bars, shape)


def loss_figure(epochs: Sequence[Mapping[str, Any]], colours: Palette = THEMED) -> go.Figure:
    """Training and validation loss by epoch, the best epoch marked."""
    x = [each["epoch"] for each in epochs]
    traces = [
        _line(x, [each[column] for each in epochs], name, colours.categorical[i], i, "epoch %{x}<br>%{y:.4f} nats")
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
    return go.Figure(traces, shape)


def _line(
    x: Sequence[Any], y: Sequence[Any], name: str, colour: str, place: int, hover: str, dash: str = "solid"
) -> go.Scatter:
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
    values = lines[lines["metric"] == metric].set_index("method")
    order = [name for name in METHOD_WORDS if name in values.index and np.isfinite(values.loc[name, "value"])]
    traces = []
    for name in order:
        line = values.loc[name]
        colour = colours.categorical[0] if name == "predictor" else colours.muted
        symbol = {"predictor": "diamond", "oracle_rank": "circle-open"}.get(name, "circle")
        low, high = (line["value"] if np.isnan(line[end]) else line[end] for end in ("low", "high"))
        traces.append(
            go.Scatter(
                x=[line["value"]],
                y=[METHOD_WORDS[name]],
                mode="markers",
                error_x={"array": [high - line["value"]], "arrayminus": [line["value"] - low], "color": colour},
                marker={"color": colour, "size": 11 if name == "predictor" else 8, "symbol": symbol},
                customdata=[[low, high, line["n"], line["n_units"]]],
                hovertemplate="%{y}<br>%{x:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<br>"
                "n = %{customdata[2]:,} rows (%{customdata[3]:,} groups)<extra></extra>",
                showlegend=False,
            )
        )
    x: dict[str, Any] = {"title": METRIC_WORDS[metric], "showgrid": True}
    if metric == "divergence_error":
        x["rangemode"] = "tozero"
    elif metric not in ("brier", "calibration_error"):
        x["range"] = [-0.02, 1.02]
    names = [METHOD_WORDS[name] for name in order]
    y = {"categoryorder": "array", "categoryarray": names[::-1], "showgrid": True, "ticks": "", "type": "category"}
    return go.Figure(traces, layout(colours, x, y, 380))


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
            trace = _line(
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
        {"title": METRIC_WORDS[metric], "range": [0, 1.02]} if metric != "divergence_error" else {},
        380,
    )
    return go.Figure(traces, shape)


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
                line={"color": colour, "width": 3 if is_own else 1.6, "dash": _DASHES[place % len(_DASHES)]},
                hovertemplate=f"{METHOD_WORDS[method]}<br>{x_name} %{{x:.2f}}, {y_name} %{{y:.2f}}"
                "<br>from P = %{customdata:.2f}<extra></extra>",
            )
        )
    axis = {"range": [-0.01, 1.01], "showgrid": True}
    return go.Figure(traces, layout(colours, axis | {"title": x_name}, axis | {"title": y_name}, 400))


def reliability_figure(bins: pd.DataFrame, methods: Sequence[str], colours: Palette = THEMED) -> go.Figure:
    """Share of hits against mean probability by tenth, and below how many positions the predictor puts into each."""
    line = {"color": colours.muted, "width": 1, "dash": "dash"}
    traces: list[Any] = [go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="calibrated", line=line, hoverinfo="skip")]
    for place, method in enumerate(methods):
        found = bins[bins["method"] == method].sort_values("bin")
        hover = "P %{x:.2f}, share of hits %{y:.2f}<br>%{customdata:,} positions"
        trace = _line(
            found["probability"].tolist(), found["share"].tolist(), METHOD_WORDS[method],
            colours.categorical[place % len(colours.categorical)], place, hover, _DASHES[place % len(_DASHES)],
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
        yaxis2={
            "title": {"text": "positions"}, "domain": [0, 0.24], "rangemode": "tozero", "nticks": 3, "automargin": True,
            "zeroline": False,
        },
    )  # fmt: skip
    return go.Figure(traces, shape)


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
    return go.Figure(heat, layout(colours, flat, flat | {"autorange": "reversed"}, 260, annotations=notes))


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
        _line(table["threshold"], values, name, colours.categorical[i], i, "from P = %{x:.2f}<br>%{y:.3f}")
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
    return go.Figure(traces, shape)


def levels_figure(lines: pd.DataFrame, metric: str, methods: Sequence[str], colours: Palette = THEMED) -> go.Figure:
    """Accuracy on the test rows of each score level, methods beside each other."""
    traces = []
    for place, method in enumerate(methods):
        found = lines[(lines["method"] == method) & (lines["metric"] == metric)].sort_values("level")
        value = found["value"].to_numpy(float)
        colour = colours.categorical[place % len(colours.categorical)]
        traces.append(
            go.Scatter(
                x=[LEVELS[level] for level in found["level"]],
                y=value,
                mode="markers",
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
    order = {"categoryorder": "array", "categoryarray": list(LEVELS)}
    shape = layout(
        colours,
        {"title": "score level of the row", "type": "category", "range": [-0.5, 4.5], **order},
        {"title": METRIC_WORDS[metric], "range": [-0.02, 1.02]},
        scattermode="group",
    )
    return go.Figure(traces, shape)


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
                    "dash": _DASHES[place % len(_DASHES)],
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
    return go.Figure(traces, shape)
