"""Baselines against plain counting and against scikit-learn fitted by hand; none looks where its setting may not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler
from support.predictor import K, M, planted, random_inputs

from memviz.predictor import baselines
from memviz.predictor.baselines import METHODS, ORACLE, UNSCALED, fit_baselines
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
    assert set(guesses) | {"predictor", UNSCALED} == set(METHODS)
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
    nll = baselines.context_features(test.inputs, "causal", 3)
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
        "entropy": baselines.entropy_features,
        "context_nll": baselines.context_features,
        "logistic": baselines.own_features,
        "boosting": baselines.scalar_features,
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
    for features in (baselines.own_features, baselines.scalar_features):
        np.testing.assert_array_equal(features(inputs, "published", 3), features(cut, "published", 3))


def test_one_label_alone_is_repeated() -> None:
    train = data_of(30, match=np.zeros((30, M), bool))
    guesses = fit_baselines(train, "causal")
    assert not guesses["logistic"](train, M).any() and not guesses["boosting"](train, M).any()


def test_the_way_of_boosting_with_the_least_validation_loss_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation, test = data_of(120), data_of(60, seed=1), data_of(20, seed=2)
    x, y = (
        (baselines.scalar_features(each.inputs, "causal", M).reshape(len(each.rows) * M, -1), each.match.ravel())
        for each in (train, validation)
    )
    ways = ({"max_iter": 200}, {"max_iter": 1}, {"max_iter": 20, "learning_rate": 0.1})
    models = [HistGradientBoostingClassifier(early_stopping=False, random_state=0, **way).fit(*x) for way in ways]
    losses = [log_loss(y[1], model.predict_proba(y[0])[:, 1]) for model in models]
    assert np.argmin(losses) == 2, losses
    monkeypatch.setattr(baselines, "BOOSTING", ways)
    of_test = baselines.scalar_features(test.inputs, "causal", M).reshape(len(test.rows) * M, -1)
    for part, best in ((validation, 2), (None, 0)):
        found = fit_baselines(train, "causal", 0, part)["boosting"](test, M).ravel()
        np.testing.assert_allclose(found, models[best].predict_proba(of_test)[:, 1])
