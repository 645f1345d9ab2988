"""The tables against scikit-learn, brute force and a bootstrap drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix, roc_auc_score
from support.predictor import K, M, random_inputs

from memviz.errors import InputError
from memviz.measures.score import level_of
from memviz.population.intervals import STRATUM
from memviz.predictor import METRICS, TABLES
from memviz.predictor.baselines import ORACLE, UNSCALED
from memviz.predictor.data import PredictorData
from memviz.predictor.evaluation import COMPARED, RIVALS, by_exposures, compared, evaluate
from memviz.predictor.tables import SLIM_POINTS, Tables, joined, read_tables, slim, write_tables

N = 60


@pytest.fixture(scope="module")
def test_rows() -> tuple[PredictorData, np.ndarray]:
    generator = np.random.default_rng(0)
    ease = generator.random((N, 1))
    match = generator.random((N, M)) < ease
    match[:5], match[5:10] = True, False
    probability = np.clip(0.7 * ease + 0.3 * generator.random((N, M)), 0.001, 0.999)
    rows = np.arange(N)
    data = PredictorData(
        model="tiny", m=M, rows=rows, units=rows // 2, part=np.full(N, 2, np.int8), domain=np.full(N, ""),
        inputs=random_inputs(N), match=match, rank=None,
    )  # fmt: skip
    return data, probability


@pytest.fixture(scope="module")
def tables(test_rows: tuple[PredictorData, np.ndarray]) -> Tables:
    data, probability = test_rows
    methods = {
        "predictor": lambda m: probability[:, :m],
        UNSCALED: lambda m: probability[:, :m] ** 2,
        ORACLE: lambda m: data.match[:, :m].astype(float),
        "all_miss": lambda m: np.zeros((N, m)),
        "boosting": lambda m: np.clip(probability[:, :m] + 0.2 * np.cos(np.arange(m)), 0, 1),
    }
    head = {"predictor": "p", "fitted_on": "tiny", "model": "tiny", "setting": "causal", "k": K}
    return evaluate(data, methods, head)


def line(table: pd.DataFrame, **wanted: object) -> pd.Series:
    found = table
    for name, value in wanted.items():
        found = found[found[name] == value]
    assert len(found) == 1, found
    return found.iloc[0]


def test_numbers_are_scikit_learns(test_rows, tables: Tables) -> None:
    data, probability = test_rows
    y, p = data.match.ravel(), probability.ravel()
    expected = {
        "token_accuracy": ((p >= 0.5) == y).mean(),
        "full_accuracy": np.mean(
            [((row >= 0.5) == own).all() for row, own in zip(probability, data.match, strict=True)]
        ),
        "auroc": roc_auc_score(y, p),
        "average_precision": average_precision_score(y, p),
        "brier": brier_score_loss(y, p),
    }
    for metric, value in expected.items():
        found = line(tables.metrics, method="predictor", metric=metric, m=M)
        assert found["value"] == pytest.approx(value), metric
        assert found["low"] <= found["value"] <= found["high"]
        assert (found["n"], found["n_units"], found["prevalence"]) == (N, N // 2, pytest.approx(y.mean()))
    assert set(tables.metrics["metric"]) == set(METRICS)


def test_accuracy_given_an_intact_prefix_counts_up_to_the_first_divergence(test_rows, tables: Tables) -> None:
    data, probability = test_rows
    right = [
        (p[t] >= 0.5) == y[t] for p, y in zip(probability, data.match, strict=True) for t in range(M) if all(y[:t])
    ]
    found = line(tables.metrics, method="predictor", metric="intact_accuracy", m=M)
    assert found["value"] == pytest.approx(np.mean(right))


def test_differences_are_paired(test_rows, tables: Tables) -> None:
    """Against resamples of groups drawn by hand, the same for both; told as ahead, behind or even."""
    data, probability = test_rows
    rival = np.clip(probability + 0.2 * np.cos(np.arange(M)), 0, 1)
    own, other = (((p >= 0.5) == data.match).mean(axis=1) for p in (probability, rival))
    each = own - other
    of_units = each.reshape(N // 2, 2).mean(axis=1)
    drawn = np.random.default_rng(7).choice(of_units, (4000, N // 2)).mean(axis=1)
    found = line(tables.differences, method="boosting", metric="token_accuracy", m=M)
    assert found["value"] == pytest.approx(each.mean())
    np.testing.assert_allclose([found["low"], found["high"]], np.quantile(drawn, [0.025, 0.975]), atol=0.01)
    brier = ((probability - data.match) ** 2).mean() - ((rival - data.match) ** 2).mean()
    assert line(tables.differences, method="boosting", metric="brier", m=M)["value"] == pytest.approx(brier)
    assert set(tables.differences["method"]) == set(RIVALS) & set(tables.metrics["method"]) and set(
        tables.differences["metric"]
    ) == set(COMPARED)
    told = pd.DataFrame(
        {"metric": ["auroc", "auroc", "auroc", "brier"], "low": [0.1, -0.2, -0.1, -0.2], "high": [0.2, -0.1, 0.1, -0.1]}
    )
    assert compared(told) == ["ahead", "behind", "even", "ahead"]
    assert compared(told.assign(low=np.nan)) == ["unknown"] * 4


def test_exposures_are_those_of_the_rows(test_rows, tables: Tables) -> None:
    data, probability = test_rows
    words = np.where(np.arange(N) % 3 == 0, "held out", "16")
    outcomes = tables.outcomes[tables.outcomes["m"] == M]
    found = by_exposures(outcomes, words, ["held out", "16"])
    assert found["exposures"].drop_duplicates().tolist() == ["held out", "16"]
    right = ((probability >= 0.5) == data.match).mean(axis=1)
    for name in ("held out", "16"):
        one = line(found, method="predictor", exposures=name)
        assert one["value"] == pytest.approx(right[words == name].mean()) and one["n"] == (words == name).sum()
        assert one["low"] <= one["value"] <= one["high"]


def test_first_divergence_by_brute_force(test_rows, tables: Tables) -> None:
    data, probability = test_rows

    def first(row: np.ndarray) -> int:
        return next((t for t, right in enumerate(row) if not right), M)

    gaps = [abs(first(p >= 0.5) - first(y)) for p, y in zip(probability, data.match, strict=True)]
    found = line(tables.metrics, method="predictor", metric="divergence_error", m=M)
    assert found["value"] == pytest.approx(np.mean(gaps))


def test_the_likelihood_of_the_first_divergence_by_brute_force(test_rows, tables: Tables) -> None:
    """Of a hazard by what it says of intact positions, of others by their probabilities as if they were that."""
    data, probability = test_rows
    stays = 0.2 + 0.7 * probability

    def expected(given: np.ndarray) -> float:
        losses = []
        for p, y in zip(given, data.match, strict=True):
            end = next((t for t, hit in enumerate(y) if not hit), M)
            likelihood = np.prod(p[:end]) * (1 - p[end] if end < M else 1)
            losses.append(-np.log(likelihood))
        return float(np.mean(losses))

    asked = {"metric": "divergence_loss", "m": M}
    assert line(tables.metrics, method="predictor", **asked)["value"] == pytest.approx(expected(probability))
    methods = {"predictor": lambda m: probability[:, :m], "boosting": lambda m: probability[:, :m]}
    head = {"predictor": "p", "fitted_on": "tiny", "model": "tiny", "setting": "causal", "k": K}
    found = evaluate(data, methods, head, lambda m: stays[:, :m])
    assert line(found.metrics, method="predictor", **asked)["value"] == pytest.approx(expected(stays))
    assert line(found.metrics, method="boosting", **asked)["value"] == pytest.approx(expected(probability))
    right = [(s[t] >= 0.5) == y[t] for s, y in zip(stays, data.match, strict=True) for t in range(M) if all(y[:t])]
    assert line(found.metrics, method="predictor", metric="intact_accuracy", m=M)["value"] == pytest.approx(
        np.mean(right)
    )
    own = found.outcomes[(found.outcomes["method"] == "predictor") & (found.outcomes["m"] == M)]
    gone = [next((t for t in range(M) if np.prod(s[: t + 1]) < 0.5), M) for s in stays]
    assert own["predicted_divergence"].tolist() == gone


def test_intervals_draw_groups_not_rows(test_rows, tables: Tables) -> None:
    data, probability = test_rows
    right = ((probability >= 0.5) == data.match).mean(axis=1).reshape(N // 2, 2).mean(axis=1)
    generator = np.random.default_rng(7)
    drawn = generator.choice(right, (4000, N // 2)).mean(axis=1)
    found = line(tables.metrics, method="predictor", metric="token_accuracy", m=M)
    np.testing.assert_allclose([found["low"], found["high"]], np.quantile(drawn, [0.025, 0.975]), atol=0.015)
    areas = []
    for _ in range(400):
        units = generator.integers(0, N // 2, N // 2)
        rows = np.concatenate([2 * units, 2 * units + 1])
        areas.append(roc_auc_score(data.match[rows].ravel(), probability[rows].ravel()))
    found = line(tables.metrics, method="predictor", metric="auroc", m=M)
    np.testing.assert_allclose([found["low"], found["high"]], np.quantile(areas, [0.025, 0.975]), atol=0.02)


def test_what_is_no_probability_is_not_calibrated(tables: Tables) -> None:
    of_oracle = tables.metrics[tables.metrics["method"] == ORACLE]
    assert set(of_oracle["metric"]) == set(METRICS) - {"brier", "calibration_error", "divergence_loss"}
    assert set(tables.metrics.loc[tables.metrics["method"] == UNSCALED, "metric"]) == {"brier", "calibration_error"}
    assert ORACLE not in set(tables.calibration["method"]) and UNSCALED in set(tables.calibration["method"])
    assert UNSCALED not in set(tables.outcomes["method"])


def test_levels_confusion_and_outcomes_add_up(test_rows, tables: Tables) -> None:
    data, probability = test_rows
    level = level_of(data.match.sum(axis=1), M)
    right = (probability >= 0.5) == data.match
    for value in np.unique(level):
        found = line(tables.levels, method="predictor", level=value, metric="token_accuracy", m=M)
        assert found["value"] == pytest.approx(right[level == value].mean()) and found["n"] == (level == value).sum()
    found = line(tables.confusion, method="predictor", threshold=0.3, m=M)
    (tn, fp), (fn, tp) = confusion_matrix(data.match.ravel(), probability.ravel() >= 0.3)
    names = ("true_negative", "false_positive", "false_negative", "true_positive")
    assert [found[name] for name in names] == [tn, fp, fn, tp]
    kept = tables.outcomes[(tables.outcomes["method"] == "predictor") & (tables.outcomes["m"] == M)]
    np.testing.assert_array_equal(kept["n_right"], right.sum(axis=1))
    np.testing.assert_array_equal(kept["group"], data.units)


def test_every_size_up_to_m_is_there_and_columns_are_documented(test_rows, tables: Tables) -> None:
    data, probability = test_rows
    for name, columns in TABLES.items():
        assert list(getattr(tables, name).columns) == list(columns), name
        assert (getattr(tables, name)["m"] == M).all()  # 16 and more do not fit
    longer = replace(data, m=40, match=np.tile(data.match, (1, 5)))
    head = {"predictor": "p", "fitted_on": "tiny", "model": "tiny", "setting": "causal", "k": K}
    found = evaluate(longer, {"predictor": lambda m: np.tile(probability, (1, 5))[:, :m]}, head)
    assert sorted(found.metrics["m"].unique()) == [16, 32, 40]


def test_tables_come_back_from_disk(tables: Tables, tmp_path) -> None:
    write_tables(tables, tmp_path)
    again = read_tables(tmp_path)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tables, name))
    both = joined([tables, tables])
    assert len(both.metrics) == 2 * len(tables.metrics)
    assert len(both.of("p").levels) == 2 * len(tables.levels) and both.of("q").levels.empty
    with pytest.raises(InputError, match="no evaluated predictor"):
        joined([])
    with pytest.raises(InputError, match="holds no evaluation"):
        read_tables(tmp_path / "nowhere")


def test_slim_tables_say_the_same_in_fewer_digits(tables: Tables, tmp_path) -> None:
    small = slim(tables)
    pd.testing.assert_frame_equal(small.metrics, tables.metrics, check_dtype=False, atol=1e-4)
    assert set(small.outcomes["method"]) == {"predictor", "boosting", ORACLE} and len(small.outcomes) == 3 * N
    assert small.confusion["threshold"].nunique() == 9
    assert "all_miss" not in set(small.curves["method"])
    for _, curve in small.curves.groupby(["method", "curve"]):
        assert len(curve) <= SLIM_POINTS + 1
    wide = tables.curves[tables.curves["method"] == "predictor"]
    for name, curve in wide.groupby("curve"):
        kept = small.curves[(small.curves["method"] == "predictor") & (small.curves["curve"] == name)]
        ends = curve[["x", "y"]].iloc[[0, -1]].to_numpy()
        np.testing.assert_allclose(kept[["x", "y"]].iloc[[0, -1]].to_numpy(), ends, atol=1e-3)
    write_tables(small, tmp_path)
    pd.testing.assert_frame_equal(read_tables(tmp_path).levels, small.levels)


def test_what_ships_keeps_groups_with_their_strata(tables: Tables) -> None:
    group = tables.outcomes["group"] + 3 * STRATUM  # more than 32 bits
    outcomes = slim(replace(tables, outcomes=tables.outcomes.assign(group=group))).outcomes
    assert outcomes["group"].equals(group.loc[outcomes.index])
