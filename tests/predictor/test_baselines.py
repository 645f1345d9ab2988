"""Baselines against plain counting and against scikit-learn fitted by hand; none looks where its setting may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler
from support.predictor import K, M, planted, random_inputs

from memviz.predictor import baselines
from memviz.predictor.baseline_features import context_features, entropy_features, own_features, scalar_features
from memviz.predictor.baselines import METHODS, MIX, ORACLE, UNSCALED, fit_baselines
from memviz.predictor.data import PredictorData
from memviz.predictor.presets import SETTINGS


def data_of(n: int, setting: str = "causal", seed: int = 0, match: np.ndarray | None = None) -> PredictorData:
    inputs, rows = random_inputs(n, seed), np.arange(n)
    return PredictorData(
        model="tiny",
        m=M,
        rows=rows,
        units=rows,
        part=np.zeros(n, np.int8),
        domain=np.array(["prose", "verse"])[rows % 2],
        inputs=inputs,
        match=planted(inputs, setting) if match is None else match,
        rank=np.where(planted(inputs, setting), 1, 2 + rows[:, None]).astype(np.int32),
    )


def test_counting_by_hand() -> None:
    generator = np.random.default_rng(0)
    match = generator.random((40, M)) < np.linspace(0.9, 0.1, M)
    train = data_of(40, match=match)
    test = replace(data_of(6, seed=1), domain=np.array(["prose", "verse", "prose", "new", "verse", "prose"]))
    guesses = fit_baselines(train, "causal")
    assert set(guesses) | {"predictor", UNSCALED, MIX, "frequency"} == set(METHODS), "it is not known how often"
    np.testing.assert_allclose(guesses["position"](test, 5), np.tile(match.mean(axis=0)[:5], (6, 1)))
    by_domain = [match[::2].mean(), match[1::2].mean(), match.mean()]
    np.testing.assert_allclose(guesses["domain"](test, 3)[:, 0], [by_domain[i] for i in (0, 1, 0, 2, 1, 0)])
    assert (guesses["majority"](test, M) == float(match.mean() >= 0.5)).all()
    assert not guesses["all_miss"](test, M).any()


def test_entropy_and_context_are_logistic_regressions() -> None:
    train, test = data_of(60), data_of(20, seed=1)
    guesses = fit_baselines(train, "causal")
    entropy = train.inputs.statistics[:, K:, 0]
    scaler = StandardScaler().fit(entropy.reshape(-1, 1))
    model = LogisticRegression(C=0.1, tol=1e-8).fit(scaler.transform(entropy.reshape(-1, 1)), train.match.ravel())
    expected = model.predict_proba(scaler.transform(test.inputs.statistics[:, K:, 0].reshape(-1, 1)))[:, 1]
    np.testing.assert_allclose(guesses["entropy"](test, M).ravel(), expected, atol=2e-3)
    nll = context_features(test.inputs, "causal", 3)
    np.testing.assert_allclose(nll[:, 1, 0], -test.inputs.statistics[:, 1:K, 2].mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_learners_find_the_planted_rule_where_it_is_theirs_to_find(setting: str) -> None:
    train, test = data_of(300, setting), data_of(100, setting, seed=1)
    guesses = fit_baselines(train, setting)
    areas = {
        name: roc_auc_score(test.match.ravel(), guesses[name](test, M).ravel())
        for name in ("logistic", "boosting", ORACLE)
    }
    assert areas[ORACLE] == 1
    if setting == "causal":
        assert areas["logistic"] > 0.97 and areas["boosting"] > 0.7  # half in the state, half in the entropy
    elif setting == "published":
        assert areas["logistic"] > 0.97  # the statistics have nothing of it
    else:
        assert areas["boosting"] > 0.6  # the sign that turns with the position is not linear


@pytest.mark.parametrize("name", ["entropy", "context_nll", "logistic", "boosting"])
@pytest.mark.parametrize(("setting", "t"), [("context", 0), ("causal", 2), ("causal", M - 1)])
def test_no_baseline_looks_ahead(name: str, setting: str, t: int) -> None:
    features = {
        "entropy": entropy_features,
        "context_nll": context_features,
        "logistic": own_features,
        "boosting": scalar_features,
    }[name]
    inputs, other = random_inputs(9), random_inputs(9, seed=5)
    last = K if setting == "context" else K + t  # of the statistics seen; of the states one index less
    assert inputs.hidden is not None and other.hidden is not None
    changed = replace(
        inputs,
        hidden=np.concatenate([inputs.hidden[:, :last], other.hidden[:, last:]], axis=1),
        statistics=np.concatenate([inputs.statistics[:, : last + 1], other.statistics[:, last + 1 :]], axis=1),
    )
    upto = M if setting == "context" else t + 1
    before, after = (features(each, setting, M)[:, :upto] for each in (inputs, changed))
    np.testing.assert_array_equal(before, after)


def test_published_features_at_a_smaller_size_see_no_more_than_it() -> None:
    inputs = random_inputs(5)
    assert inputs.hidden is not None
    cut = replace(inputs, hidden=inputs.hidden[:, : K + 3], statistics=inputs.statistics[:, : K + 3])
    for features in (own_features, scalar_features):
        np.testing.assert_array_equal(features(inputs, "published", 3), features(cut, "published", 3))


def test_one_label_alone_is_repeated() -> None:
    train = data_of(30, match=np.zeros((30, M), bool))
    guesses = fit_baselines(train, "causal")
    assert not guesses["logistic"](train, M).any() and not guesses["boosting"](train, M).any()


def matrices(*parts: PredictorData) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Statistics, and principal components of the states that emitted the tokens, by those of the first part."""
    states = [each.inputs.hidden[:, K - 1 : K - 1 + M].reshape(len(each.rows) * M, -1) for each in parts]
    components = PCA(min(8, states[0].shape[1]), svd_solver="covariance_eigh").fit(states[0].astype(np.float32))
    for each, of in zip(parts, states, strict=True):
        statistics = scalar_features(each.inputs, "causal", M).reshape(len(of), -1)
        yield np.column_stack([statistics, components.transform(of.astype(np.float32))]), each.match.ravel()


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


@pytest.mark.parametrize("way", [{"learning_rate": 0.1}, {"learning_rate": 0.1, "max_features": 0.3}])
def test_the_way_of_boosting_with_the_least_validation_loss_is_taken_and_scaled(
    way: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that draws features four models are averaged."""
    train, validation, test = data_of(120), data_of(60, seed=1), data_of(20, seed=2)
    (x, y), (own, labels), (asked, _) = matrices(train, validation, test)
    ways = ({"learning_rate": 1.0, "max_leaf_nodes": 63}, {"learning_rate": 1e-5}, way)

    def model_of(of: dict[str, float], seed: int) -> HistGradientBoostingClassifier:
        stopped = {"max_iter": 600, "early_stopping": True, "n_iter_no_change": 20}
        return HistGradientBoostingClassifier(**stopped, **of, random_state=seed).fit(x, y, X_val=own, y_val=labels)

    def best_of(model: HistGradientBoostingClassifier, of: np.ndarray) -> np.ndarray:
        """With the trees up to the least loss on the validation rows."""
        every = [log_loss(labels, each[:, 1]) for each in model.staged_predict_proba(own)]
        return [each[:, 1] for each in model.staged_predict_proba(of)][int(np.argmin(every))]

    losses = [log_loss(labels, best_of(model_of(each, 3000), own)) for each in ways]
    assert np.argmin(losses) == 2, losses
    models = [model_of(way, 3000 + number) for number in range(4 if "max_features" in way else 1)]
    said, of_test = (np.mean([logit(best_of(model, each)) for model in models], axis=0) for each in (own, asked))
    scales = np.geomspace(0.05, 20, 2000)
    best = scales[np.argmin([log_loss(labels, 1 / (1 + np.exp(-said / each))) for each in scales])]
    monkeypatch.setattr(baselines, "BOOSTING", ways)
    found = fit_baselines(train, "causal", 3, validation)["boosting"](test, M).ravel()
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-of_test / best)), atol=2e-3)


def test_boosting_without_validation_rows_is_not_tuned() -> None:
    train, test = data_of(60), data_of(10, seed=2)
    (x, y), (asked, _) = matrices(train, test)
    plain = HistGradientBoostingClassifier(max_iter=200, early_stopping=False, random_state=0).fit(x, y)
    np.testing.assert_allclose(
        fit_baselines(train, "causal")["boosting"](test, M).ravel(), plain.predict_proba(asked)[:, 1]
    )


def test_frequency_is_a_logistic_regression_of_the_context_and_position() -> None:
    """Fitted on the windows whose n-grams were counted."""
    frequency = np.random.default_rng(4).gamma(2, size=(80, 3)).astype(np.float32)
    often = np.repeat(frequency[:, :1] > 2, M, axis=1)
    train = replace(data_of(60, match=often[:60]), frequency=frequency[:60])
    test = replace(data_of(20, match=often[60:]), frequency=frequency[60:])
    t = np.arange(M)
    x = np.array([[*of, place, np.log1p(place)] for of in frequency for place in t])
    scaler = StandardScaler().fit(x[: 60 * M])
    model = LogisticRegression(C=0.1, tol=1e-8).fit(scaler.transform(x[: 60 * M]), often[:60].ravel())
    expected = model.predict_proba(scaler.transform(x[60 * M :]))[:, 1]
    unknown = np.full((60, 3), np.nan, np.float32)
    further = replace(
        train, match=np.concatenate([train.match, ~train.match]), frequency=np.concatenate([train.frequency, unknown]),
        rows=np.tile(train.rows, 2), inputs=train.inputs.rows(np.tile(np.arange(60), 2)),
        domain=np.tile(train.domain, 2), rank=None, units=np.tile(train.units, 2), part=np.tile(train.part, 2),
    )  # fmt: skip
    for each in (train, further):
        found = fit_baselines(each, "context")["frequency"](test, M)
        np.testing.assert_allclose(found.ravel(), expected, atol=2e-3)


def test_in_the_published_setting_every_row_is_read_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    train = data_of(10, "published")
    monkeypatch.setattr(baselines, "LENGTHS", (4, M, 64))
    x, y = baselines._training_matrix(
        lambda rows, setting, m: scalar_features(rows.inputs, setting, m), train, "published", 0
    )
    assert len(x) == 10 * (4 + M) and y.sum() == train.match[:, :4].sum() + train.match.sum()
    np.testing.assert_array_equal(x[:4], scalar_features(train.inputs, "published", 4)[0])
