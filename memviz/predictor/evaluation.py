"""Every method on the test rows, at every continuation size: numbers with intervals over row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memviz.measures.score import level_of
from memviz.population.intervals import N_RESAMPLES, drawn_sums, percentiles
from memviz.predictor import metrics
from memviz.predictor.baselines import LENGTHS, ORACLE, UNSCALED
from memviz.predictor.data import PredictorData
from memviz.predictor.tables import TABLES, Tables

METRICS = {
    "token_accuracy": "share of positions labelled rightly",
    "full_accuracy": "share of rows with every position labelled rightly",
    "intact_accuracy": "share of positions labelled rightly, of those before which every position is memorized",
    "auroc": "area under the ROC curve over positions; interval from 200 bins of score, moved as they move the value",
    "average_precision": "area under precision against recall; a constant has the prevalence",
    "brier": "mean squared error of the probability",
    "calibration_error": "mean gap between probability and share of hits over tenths of probability (ECE)",
    "divergence_error": "tokens, mean absolute error of the first position that is not memorized",
    "divergence_loss": "nats a row, -log of the probability of the first position that is not memorized, or of none",
}
"""Metric -> what it is."""
RIVALS = ("boosting", "logistic", "context_nll", "frequency", "position", "domain", "entropy", "majority", "all_miss")
"""Baselines from which the predictor's differences are told."""
COMPARED = ("token_accuracy", "full_accuracy", "intact_accuracy", "auroc", "brier", "divergence_loss")
LESS_IS_BETTER = ("brier", "calibration_error", "divergence_error", "divergence_loss")
CERTAIN = ("majority", "all_miss")
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
CURVE_DIGITS = 4
"""To be drawn: more would fill the files."""
SEED = 0
Guess = Callable[[int], np.ndarray]
Probabilities = Mapping[str, Guess]
"""Method -> m -> (n, m) probabilities of the test rows."""
_LEAST = 1e-6
"""A probability is never taken for less where its logarithm counts."""


def evaluate(
    test: PredictorData, methods: Probabilities, about: Mapping[str, Any], intact: Guess | None = None
) -> Tables:
    """The tables of one predictor; `about` gives their first columns (predictor, fitted_on, model, setting, k).

    intact: m -> (n, m) what the predictor's hazard gives a position to match where all before it do. Its accuracy given
    an intact prefix and its first divergence are by these; those of a method without are by its probabilities.
    """
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    outcomes = []
    for m in lengths_of(test):
        match, drawn = test.match[:, :m], {}
        for method, guess in methods.items():
            found = np.clip(np.asarray(guess(m), np.float64), 0, 1)
            head = {**about, "m": m, "method": method}
            stays = np.asarray(intact(m), np.float64) if intact and method == "predictor" else None
            drawn[method] = _drawn(found, match, test.units, stays)
            parts = _lines(found, match, test.units, method, drawn[method])
            for name, made in parts:
                lines[name].append(head | made)
            if method != UNSCALED:
                outcomes.append(_outcomes(found, match, test, head, stays))
        lines["differences"] += [{**about, "m": m} | line for line in _differences(drawn)]
    tables = {name: pd.DataFrame(made, columns=list(TABLES[name])) for name, made in lines.items()}
    tables["outcomes"] = pd.concat(outcomes, ignore_index=True)[list(TABLES["outcomes"])]
    return Tables(**tables)


def lengths_of(test: PredictorData) -> list[int]:
    """The continuation sizes at which rows are judged, ascending."""
    return sorted({m for m in (*LENGTHS, test.m) if m <= test.m})


Drawn = dict[str, tuple[float, np.ndarray]]
"""Metric -> value, and (N_RESAMPLES,) values of resamples, which are the same for every method."""


def _differences(drawn: Mapping[str, Drawn]) -> Iterator[dict[str, Any]]:
    """The predictor's metrics less those of its rivals, with paired intervals."""
    for rival in RIVALS:
        if rival not in drawn or "predictor" not in drawn:
            continue
        for metric in COMPARED:
            if metric == "divergence_loss" and rival in CERTAIN:
                continue
            (own, samples), (other, others) = drawn["predictor"][metric], drawn[rival][metric]
            low, high = percentiles(samples - others)
            yield {"method": rival, "metric": metric, "value": own - other, "low": float(low), "high": float(high)}


def by_exposures(outcomes: pd.DataFrame, exposures: np.ndarray, order: Sequence[str]) -> pd.DataFrame:
    """Token accuracy of each method on the test rows of each number of exposures, with intervals over row groups.

    outcomes: of one model and m, as `TABLES` has them; exposures: of every row, in words; order: of the words.
    """
    found, m = [], int(outcomes["m"].iloc[0])
    words = exposures[outcomes["row"].to_numpy()]
    for (method, name), lines in outcomes.groupby(["method", words], sort=False):
        columns = np.column_stack([lines["n_right"], np.full(len(lines), m)]).astype(np.float64)
        sums = drawn_sums(columns, lines["group"].to_numpy(), N_RESAMPLES, SEED)
        value, low, high = _span(sums[:, 0] / sums[:, 1])
        found.append({"method": method, "exposures": name, "value": value, "low": low, "high": high, "n": len(lines)})
    table = pd.DataFrame(found)
    return table.sort_values("exposures", key=lambda names: names.map(list(order).index), kind="stable")


def compared(differences: pd.DataFrame) -> list[str]:
    """Of each difference: "ahead", "behind", "even" where its interval holds 0, "unknown" where there is none."""
    sign = np.where(differences["metric"].isin(LESS_IS_BETTER), -1, 1)
    low, high = differences["low"].to_numpy(float), differences["high"].to_numpy(float)
    better = np.where(low > 0, 1, np.where(high < 0, -1, 0)) * sign
    words = {1: "ahead", -1: "behind", 0: "even"}
    return ["unknown" if end != end else words[each] for each, end in zip(better.tolist(), low + high, strict=True)]


def _lines(
    p: np.ndarray, match: np.ndarray, units: np.ndarray, method: str, drawn: Drawn
) -> Iterator[tuple[str, dict[str, Any]]]:
    size = {"n": len(match), "n_units": len(np.unique(units)), "prevalence": float(match.mean())}
    for metric, (value, samples) in drawn.items():
        low, high = (float(end) for end in percentiles(samples))
        scaled = metric in ("brier", "calibration_error")
        if (method == ORACLE and (scaled or metric == "divergence_loss")) or (method == UNSCALED and not scaled):
            continue  # ranks are no probabilities; scaling changes nothing else
        if metric == "divergence_loss" and method in CERTAIN:
            continue  # who is certain and wrong once has no likelihood
        yield "metrics", {"metric": metric, "value": value, "low": low, "high": high} | size
    if method != ORACLE:
        for number, (n, probability, hits) in enumerate(metrics.reliability(p, match)):
            if n:
                yield "calibration", {"bin": number, "probability": probability / n, "share": hits / n, "n": int(n)}
    if method == UNSCALED:
        return
    for curve, points in metrics.curves(p, match).items():
        for x, y, threshold in points.round(CURVE_DIGITS).tolist():
            yield "curves", {"curve": curve, "x": x, "y": y, "threshold": threshold}
    for line in _levels(p, match, units):
        yield "levels", line
    for threshold in THRESHOLDS if method != ORACLE else (metrics.BORDER,):
        called = p >= threshold
        yield (
            "confusion",
            {
                "threshold": threshold,
                "true_positive": int((called & match).sum()),
                "false_positive": int((called & ~match).sum()),
                "false_negative": int((~called & match).sum()),
                "true_negative": int((~called & ~match).sum()),
            },
        )


def _drawn(p: np.ndarray, match: np.ndarray, units: np.ndarray, stays: np.ndarray | None) -> Drawn:
    n, m = match.shape
    right = metrics.right(p, match)
    intact = np.cumprod(np.column_stack([np.ones(n, bool), match[:, :-1]]), axis=1).astype(bool)
    gap = np.abs(_divergence(p, stays) - metrics.divergence(match))
    given = p if stays is None else stays
    loss = -np.log(np.where(match, given, 1 - given).clip(_LEAST)) * intact
    columns = [right.sum(axis=1), right.all(axis=1), (metrics.right(given, match) & intact).sum(axis=1)]
    columns += [intact.sum(axis=1), ((p - match) ** 2).sum(axis=1), gap, np.ones(n), loss.sum(axis=1)]
    sums = drawn_sums(np.column_stack(columns).astype(np.float64), units, N_RESAMPLES, SEED)
    rows = sums[:, 6]
    by_row = np.stack([metrics.reliability(a[None], b[None]) for a, b in zip(p, match, strict=True)])
    binned = drawn_sums(by_row.reshape(n, -1), units, N_RESAMPLES, SEED).reshape(-1, metrics.N_BINS, 3)
    samples = {
        "token_accuracy": sums[:, 0] / (m * rows),
        "full_accuracy": sums[:, 1] / rows,
        "intact_accuracy": sums[:, 2] / sums[:, 3],
        "brier": sums[:, 4] / (m * rows),
        "divergence_error": sums[:, 5] / rows,
        "divergence_loss": sums[:, 7] / rows,
        "calibration_error": metrics.calibration_error(binned),
    }
    found = {name: (float(values[0]), values[1:]) for name, values in samples.items()}
    counts = drawn_sums(metrics.histograms(p, match).astype(np.float64), units, N_RESAMPLES, SEED)
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, value, of_bins in (
            ("auroc", metrics.auroc(p, match), metrics.auroc_of_histograms(counts)),
            ("average_precision", metrics.average_precision(p, match), metrics.precision_of_histograms(counts)),
        ):
            found[name] = value, of_bins[1:] + (value - of_bins[0])  # bins blur every sample alike
    return found


def _divergence(p: np.ndarray, stays: np.ndarray | None) -> np.ndarray:
    """(n,) first position called a miss, m where none is; with a hazard the first before which half are gone."""
    return metrics.divergence((p if stays is None else np.cumprod(stays, axis=1)) >= metrics.BORDER)


def _span(samples: np.ndarray) -> tuple[float, float, float]:
    """Value of the sample itself, which comes first, and the ends of its interval."""
    low, high = percentiles(samples[1:])
    return float(samples[0]), float(low), float(high)


def _levels(p: np.ndarray, match: np.ndarray, units: np.ndarray) -> Iterator[dict[str, Any]]:
    n, m = match.shape
    level, right = level_of(match.sum(axis=1), m), metrics.right(p, match)
    for value in np.unique(level).tolist():
        chosen = level == value
        columns = np.column_stack([right.mean(axis=1), right.all(axis=1), np.ones(n)])[chosen]
        sums = drawn_sums(columns, units[chosen], N_RESAMPLES, SEED)
        for place, metric in enumerate(("token_accuracy", "full_accuracy")):
            value_of, low, high = _span(sums[:, place] / sums[:, 2])
            yield {
                "level": value, "metric": metric, "value": value_of, "low": low, "high": high, "n": int(chosen.sum())
            }  # fmt: skip


def _outcomes(
    p: np.ndarray, match: np.ndarray, test: PredictorData, head: Mapping[str, Any], stays: np.ndarray | None
) -> pd.DataFrame:
    found = {
        "row": test.rows,
        "group": test.units,
        "n_hits": match.sum(axis=1).astype(np.int32),
        "n_right": metrics.right(p, match).sum(axis=1).astype(np.int32),
        "divergence": metrics.divergence(match).astype(np.int32),
        "predicted_divergence": _divergence(p, stays).astype(np.int32),
    }
    return pd.DataFrame(found).assign(**head)
