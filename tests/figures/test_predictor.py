"""Figures of predictors by the data in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.traces import pieces_of, small_trace

from memviz.figures.linked import linked_data
from memviz.figures.palette import palette
from memviz.figures.predicted import BASELINES, METHOD_WORDS, predicted_track
from memviz.figures.predictor import (
    divergence_figure,
    exposures_figure,
    forecast_figure,
    levels_figure,
    loss_figure,
    methods_figure,
    sizes_figure,
)
from memviz.figures.thresholds import confusion_figure, curve_figure, reliability_figure, threshold_figure

NAN = float("nan")


def metric_lines(values: dict[str, float], model: str = "a", m: int = 16, metric: str = "token_accuracy") -> list[Any]:
    return [
        {
            "model": model, "m": m, "method": method, "metric": metric, "value": value, "low": value - 0.1,
            "high": value + 0.05, "n": 40, "n_units": 30,
        }
        for method, value in values.items()
    ]  # fmt: skip


def test_a_track_fills_by_probability_and_borders_by_truth() -> None:
    trace = small_trace()
    track = predicted_track("causal", np.array([0.25, 0.876, NAN]), np.array([True, False, True]), trace.n_context)
    assert track["domain"] == (0.0, 1.0)
    assert track["texts"] == [None, None, "P(memorized) 0.25, causal", "P(memorized) 0.88, causal", None]
    drawn = linked_data(trace, 0, pieces_of(trace, ["<bos>", " a", " b", "c", "\n"]), tracks=[track])["tracks"][1]
    assert [each["values"] for each in drawn["series"]] == [[None, None, 0.25, 0.876, None], [None, None, 1, 0, None]]
    assert [each["style"] for each in drawn["series"]] == ["main", "border"]
    assert len(predicted_track("context", np.ones(3), None, 2)["series"]) == 1, "without truth there is no border"


def test_methods_stand_in_order_and_the_oracle_is_hollow() -> None:
    values = {"oracle_rank": 0.9, "logistic": 0.7, "predictor": 0.8, "majority": 0.5, "domain": NAN}
    figure = methods_figure(pd.DataFrame(metric_lines(values)), "token_accuracy")
    assert [trace.y[0] for trace in figure.data] == [
        "predictor", "majority class", "logistic regression", "oracle: teacher-forced rank"
    ]  # fmt: skip
    assert [trace.x[0] for trace in figure.data] == [0.8, 0.5, 0.7, 0.9]
    assert figure.data[0].error_x.array[0] == pytest.approx(0.05)
    assert figure.data[0].error_x.arrayminus[0] == pytest.approx(0.1)
    assert figure.data[-1].marker.symbol == "circle-open"
    assert tuple(figure.layout.xaxis.range) == (-0.02, 1.02)


def test_sizes_pair_each_model_with_its_own_baseline() -> None:
    lines = [*metric_lines({"predictor": 0.6, "position": 0.5}), *metric_lines({"predictor": 0.7}, m=32)]
    lines += metric_lines({"predictor": 0.9, "position": 0.8}, model="b")
    figure = sizes_figure(pd.DataFrame(lines), "token_accuracy", ["a", "b"], "position")
    assert [trace.name for trace in figure.data] == ["a", "a, position only", "b", "b, position only"]
    assert list(figure.data[0].x) == [16, 32] and list(figure.data[0].y) == [0.6, 0.7]
    assert figure.data[1].line.dash == "dot" and figure.data[1].line.color == figure.data[0].line.color
    assert figure.data[0].line.color != figure.data[2].line.color


def test_curves_show_what_chance_gives() -> None:
    points = pd.DataFrame(
        [
            {"curve": curve, "method": method, "x": x, "y": x, "threshold": 1 - x}
            for curve in ("roc", "precision_recall")
            for method in ("predictor", "logistic", "oracle_rank")
            for x in (0.0, 0.5, 1.0)
        ]
    )
    figure = curve_figure(points, "precision_recall", ["predictor", "oracle_rank", "domain"], 0.3)
    assert [trace.name for trace in figure.data] == ["prevalence 0.30", "predictor", "oracle: teacher-forced rank"]
    assert list(figure.data[0].y) == [0.3, 0.3]
    assert list(curve_figure(points, "roc", ["logistic"], 0.3).data[0].y) == [0, 1]


def test_reliability_counts_positions() -> None:
    bins = pd.DataFrame(
        {"method": ["predictor"] * 2, "bin": [0, 9], "probability": [0.05, 0.95], "share": [0.1, 0.9], "n": [70, 30]}
    )
    figure = reliability_figure(bins, ["predictor"])
    assert list(figure.data[1].x) == [0.05, 0.95] and list(figure.data[1].y) == [0.1, 0.9]
    assert list(figure.data[2].y) == [70, 30] and list(figure.data[2].x) == pytest.approx([0.05, 0.95])


def test_confusion_and_thresholds() -> None:
    counts = pd.DataFrame(
        {
            "threshold": [0.75, 0.5], "true_positive": [10, 30], "false_positive": [0, 20],
            "false_negative": [30, 10], "true_negative": [60, 40],
        }
    )  # fmt: skip
    figure = confusion_figure(counts.iloc[1])
    assert np.array(figure.data[0].z).tolist() == [[40 / 60, 20 / 60], [10 / 40, 30 / 40]]
    assert "<b>75.0%</b><br>30 positions" in [note.text for note in figure.layout.annotations]
    lines = {trace.name: list(trace.y) for trace in threshold_figure(counts, 0.5).data}
    assert lines == {"token accuracy": [0.7, 0.7], "precision": [0.6, 1.0], "recall": [0.75, 0.25]}
    assert threshold_figure(counts, 0.75).layout.shapes[0].x0 == 0.75


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_numbers_in_cells_are_readable(mode: Any) -> None:
    def luminance(rgb: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def rgb(colour: str) -> list[float]:
        return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    colours = palette(mode)
    for hits in range(101):
        names = ("true_positive", "false_positive", "false_negative", "true_negative")
        figure = confusion_figure(pd.Series(dict(zip(names, (hits, 0, 100 - hits, 1), strict=True))), colours)
        stops, shades = zip(*figure.data[0].colorscale, strict=True)
        fill = [float(np.interp(hits / 100, stops, channel)) for channel in zip(*map(rgb, shades), strict=True)]
        both = luminance(fill), luminance(rgb(figure.layout.annotations[3].font.color))
        assert (max(both) + 0.05) / (min(both) + 0.05) >= 4, f"{hits} % in {mode}"


def test_levels_are_all_on_the_axis() -> None:
    lines = pd.DataFrame(metric_lines({"predictor": 0.9, "all_miss": 1.0})).assign(level=0)
    figure = levels_figure(lines, "token_accuracy", ["predictor", "all_miss"])
    assert [trace.x[0] for trace in figure.data] == ["very low", "very low"]
    assert tuple(figure.layout.xaxis.range) == (-0.5, 4.5)


def test_exposures_stand_in_their_order() -> None:
    lines = pd.DataFrame(
        [
            {"method": method, "exposures": of, "value": 0.5, "low": 0.4, "high": 0.6, "n": 3}
            for of in ("held out", "4", "16")
            for method in ("predictor", "position")
        ]
    )
    figure = exposures_figure(lines, ["predictor", "position"])
    assert [list(trace.x) for trace in figure.data] == [["held out", "4", "16"]] * 2
    assert tuple(figure.layout.xaxis.range) == (-0.5, 2.5)


def test_divergence_counts_rows_within_reach() -> None:
    rows = pd.DataFrame({"method": "predictor", "divergence": [0, 4, 8, 2], "predicted_divergence": [0, 2, 8, 7]})
    figure = divergence_figure(rows, ["predictor", "position"], 8)
    (line,) = figure.data
    assert list(line.y) == [0.5, 0.5, 0.75, 0.75, 0.75, 1, 1, 1, 1]
    assert line.name == "predictor, mean 1.8"


def test_losses_mark_what_was_kept() -> None:
    epochs = [
        {"epoch": 1, "train_loss": 0.7, "validation_loss": 0.6, "best": True},
        {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.4, "best": True},
        {"epoch": 3, "train_loss": 0.4, "validation_loss": 0.45, "best": False},
    ]
    figure = loss_figure(epochs)
    assert list(figure.data[1].y) == [0.6, 0.4, 0.45]
    assert (figure.data[2].x[0], figure.data[2].y[0]) == (2, 0.4)


def test_a_forecast_starts_where_the_context_ends() -> None:
    (bars,) = forecast_figure(np.array([0.0, 1.0], np.float32), 32).data
    assert list(bars.x) == [32, 33] and list(bars.y) == [0, 1]
    assert bars.marker.color[0] != bars.marker.color[1]


def test_every_method_of_the_tables_has_a_name() -> None:
    from memviz.predictor import METHODS
    from memviz.predictor.baselines import UNSCALED

    assert set(METHOD_WORDS) == set(METHODS) - {UNSCALED}
    assert set(BASELINES) == set(METHOD_WORDS) - {"predictor", "mix", "oracle_rank"}
