"""What simpler ways of guessing say, fitted on the training part; and one oracle that reads the truth."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from memviz.predictor.baseline_features import (
    context_features,
    entropy_features,
    frequency_features,
    own_features,
    own_states,
    scalar_features,
)
from memviz.predictor.data import PredictorData
from memviz.predictor.features import Inputs
from memviz.predictor.presets import Setting

Guess = Callable[[PredictorData, int], np.ndarray]
"""Rows and m -> (n, m) probability that a position is memorized."""
ORACLE, UNSCALED, MIX = "oracle_rank", "predictor_unscaled", "mix"
METHODS = {
    "predictor": "the predictor, its probabilities scaled by the temperature of the validation part",
    UNSCALED: "the same before scaling; in the tables only where that matters",
    MIX: "the logits of the predictor and of boosting, averaged; no rival",
    "majority": "the commoner label of the training part, everywhere",
    "all_miss": "nothing is memorized",
    "position": "share of hits at the position in the training part",
    "domain": "share of hits in the domain in the training part",
    "entropy": "logistic regression on the entropy at the position (context: at index k)",
    "context_nll": "logistic regression on the mean negative log-probability of the context",
    "frequency": "logistic regression on how often the context's n-grams are in the training data, of 1 to 3 tokens",
    "logistic": "logistic regression on the features of the position alone: hidden state, statistics, position",
    "boosting": "gradient boosting on statistics of the position and those before it, their course, and the state",
    ORACLE: "oracle: the teacher-forced rank of the true token, which it must read; no rival",
}
"""Method -> what it is, as the tables name it."""
MOST_NUMBERS = 10**8
"""Of a training matrix; above, positions are drawn at random."""
LENGTHS = (16, 32, 48, 64)
_SOME = {"max_features": 0.3}
BOOSTING: tuple[dict[str, float], ...] = (
    {},
    {"learning_rate": 0.03, "max_leaf_nodes": 15, "min_samples_leaf": 100, "l2_regularization": 10},
    {"learning_rate": 0.05, "max_leaf_nodes": 63, "min_samples_leaf": 200, "l2_regularization": 10, **_SOME},
    {"learning_rate": 0.03, "max_leaf_nodes": 31, "min_samples_leaf": 500, "l2_regularization": 10, **_SOME},
)
"""Ways of boosting; the one with the least log loss on the validation part is taken."""
MOST_TREES, UNTUNED_TREES, MEMBERS = 600, 200, 4
"""With a validation part trees are added until its loss has not fallen for `PATIENCE`; models of a way that draws its
features are fitted `MEMBERS` times and averaged."""
PATIENCE = 20
BASELINES = 1
"""Raised whenever a baseline's numbers change."""
COMPONENTS, MOST_REDUCED = 8, 1000
"""Principal components of the state at the position that boosting reads, and rows that they are found by."""


def fit_baselines(
    train: PredictorData, setting: Setting, seed: int = 0, validation: PredictorData | None = None
) -> dict[str, Guess]:
    """Method -> guess, fitted on the training part. `oracle_rank` only where ranks are known.

    Without a validation part boosting is not tuned; with one its logits are scaled by a temperature as the predictor's.
    """
    overall = float(train.match.mean())
    by_position = train.match.mean(axis=0)
    by_domain = {name: float(train.match[train.domain == name].mean()) for name in np.unique(train.domain).tolist()}
    found: dict[str, Guess] = {
        "majority": lambda rows, m: np.full((len(rows.rows), m), float(overall >= 0.5)),
        "all_miss": lambda rows, m: np.zeros((len(rows.rows), m)),
        "position": lambda rows, m: np.tile(by_position[:m], (len(rows.rows), 1)),
        "domain": lambda rows, m: np.tile(
            np.array([by_domain.get(name, overall) for name in rows.domain.tolist()])[:, None], (1, m)
        ),
    }
    of_inputs = {"entropy": entropy_features, "context_nll": context_features, "logistic": own_features}
    for name, features in of_inputs.items():
        found[name] = _regressed(_reading(features), train, setting, seed)
    if train.frequency is not None:
        known = train.where(np.flatnonzero(~np.isnan(train.frequency[:, 0])))
        found["frequency"] = _regressed(frequency_features, known, setting, seed)
    found["boosting"] = boosted(train, setting, seed, validation)
    if train.rank is not None:
        found[ORACLE] = lambda rows, m: 1.0 / np.asarray(rows.rank, np.float64)[:, :m] ** 2
    return found


Features = Callable[[PredictorData, Setting, int], np.ndarray]
"""Rows, setting and m -> (n, m, f) features of each position, from what the setting may see."""


def _reading(features: Callable[[Inputs, Setting, int], np.ndarray]) -> Features:
    return lambda rows, setting, m: features(rows.inputs, setting, m)


def _guess_of(model: Any, features: Features, setting: Setting) -> Guess:
    def guess(rows: PredictorData, m: int) -> np.ndarray:
        values = features(rows, setting, m)
        return model.predict_proba(values.reshape(-1, values.shape[2]))[:, 1].reshape(-1, m)

    return guess


def _one_label(y: np.ndarray) -> Guess:
    return lambda rows, m: np.full((len(rows.rows), m), float(y.all()))


def _regressed(features: Features, train: PredictorData, setting: Setting, seed: int) -> Guess:
    # seconds of imports, and the Trace page needs none of them
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = _training_matrix(features, train, setting, seed)
    if y.all() or not y.any():
        return _one_label(y)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300, tol=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    return _guess_of(model, features, setting)


def boosted(train: PredictorData, setting: Setting, seed: int, validation: PredictorData | None) -> Guess:
    """Gradient boosting as `fit_baselines` has it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from memviz.predictor.network.fit import log_loss, temperature_of

    reduced = _reduced(train.inputs, setting, seed)

    def features(rows: PredictorData, setting: Setting, m: int) -> np.ndarray:
        return np.concatenate([scalar_features(rows.inputs, setting, m), reduced(rows.inputs, m)], axis=2)

    x, y = _training_matrix(features, train, setting, seed)
    if y.all() or not y.any():
        return _one_label(y)
    if validation is None:
        plain = HistGradientBoostingClassifier(max_iter=UNTUNED_TREES, early_stopping=False, random_state=seed)
        return _guess_of(plain.set_params(**BOOSTING[0]).fit(x, y), features, setting)
    own = features(validation, setting, validation.m).reshape(-1, x.shape[1])

    def fitted(way: dict[str, float], number: int) -> Any:
        trees = {"max_iter": MOST_TREES, "early_stopping": True, "n_iter_no_change": PATIENCE, **way}
        model = HistGradientBoostingClassifier(random_state=1000 * seed + number, **trees)
        return model.fit(x, y, X_val=own, y_val=validation.match.ravel())

    def logits(models: Sequence[Any], values: np.ndarray) -> np.ndarray:
        """Of the trees up to the least loss on the validation part, the mean of the models."""
        said = []
        for model in models:
            least = int(np.argmax(model.validation_score_[1:]))
            said.append(next(islice(model.staged_decision_function(values), least, None)).ravel())
        return np.clip(said, -16, 16).mean(axis=0)

    firsts = [fitted(way, 0) for way in BOOSTING]
    best = int(np.argmin([log_loss(logits([each], own), validation.match.ravel()) for each in firsts]))
    further = range(1, MEMBERS) if "max_features" in BOOSTING[best] else ()
    members = [firsts[best], *(fitted(BOOSTING[best], number) for number in further)]
    temperature = temperature_of(logits(members, own), validation.match.ravel())

    def guess(rows: PredictorData, m: int) -> np.ndarray:
        values = features(rows, setting, m).reshape(-1, x.shape[1])
        return (1 / (1 + np.exp(-logits(members, values) / temperature))).reshape(-1, m)

    return guess


def _reduced(inputs: Inputs, setting: Setting, seed: int) -> Callable[[Inputs, int], np.ndarray]:
    """Rows and m -> (n, m, at most `COMPONENTS`) of the state at each position, by some of the training part's."""
    from sklearn.decomposition import PCA

    if inputs.hidden is None:
        return lambda rows, m: np.zeros((len(rows.statistics), m, 0), np.float32)
    p = 1 if setting == "context" else inputs.statistics.shape[1] - inputs.k
    some = np.random.default_rng([seed, 4]).permutation(len(inputs.statistics))[:MOST_REDUCED]
    states = own_states(inputs.rows(np.sort(some)), setting, p)
    found = PCA(min(COMPONENTS, states.shape[2]), svd_solver="covariance_eigh").fit(states.reshape(-1, states.shape[2]))

    def reduced(rows: Inputs, m: int) -> np.ndarray:
        states = own_states(rows, setting, 1 if setting == "context" else m)
        low = found.transform(states.reshape(-1, states.shape[2])).reshape(*states.shape[:2], -1).astype(np.float32)
        return low.repeat(m, axis=1) if setting == "context" else low

    return reduced


def _training_matrix(
    features: Features, train: PredictorData, setting: Setting, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, f) features, (tokens,) labels; in the published setting every row at each m at which it is asked."""
    lengths = sorted({m for m in (*LENGTHS, train.m) if m <= train.m}) if setting == "published" else [train.m]
    width = features(train.where(np.arange(1)), setting, train.m).shape[2]
    generator = np.random.default_rng([seed, 3])
    share = min(1.0, MOST_NUMBERS / (len(train.rows) * sum(lengths) * width))
    xs, ys = [], []
    for m in lengths:
        kept = generator.random((len(train.rows), m)) < share
        for start in range(0, len(train.rows), 512):
            some = np.arange(start, min(start + 512, len(train.rows)))
            xs.append(features(train.where(some), setting, m)[kept[some]])
            ys.append(train.match[some, :m][kept[some]])
    return np.concatenate(xs), np.concatenate(ys)
