"""What simpler ways of guessing say, fitted on the training part; and one oracle that reads the truth."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from memviz.predictor.data import PredictorData
from memviz.predictor.features import Inputs, tokens_of, with_course
from memviz.predictor.presets import Setting

Guess = Callable[[PredictorData, int], np.ndarray]
"""Rows and m -> (n, m) probability that a position is memorized."""
ORACLE, UNSCALED = "oracle_rank", "predictor_unscaled"
METHODS = {
    "predictor": "the predictor, its probabilities scaled by the temperature of the validation part",
    UNSCALED: "the same before scaling; in the tables only where that matters",
    "majority": "the commoner label of the training part, everywhere",
    "all_miss": "nothing is memorized",
    "position": "share of hits at the position in the training part",
    "domain": "share of hits in the domain in the training part",
    "entropy": "logistic regression on the entropy at the position (context: at index k)",
    "context_nll": "logistic regression on the mean negative log-probability of the context",
    "frequency": "logistic regression on how often the context's n-grams are in the training data, of 1 to 3 tokens",
    "logistic": "logistic regression on the features of the position alone: hidden state, statistics, position",
    "boosting": "gradient boosting on statistics: of the position, its neighbours, their course, means of what is seen",
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
    found["boosting"] = _boosted(train, setting, seed, validation)
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


def _boosted(train: PredictorData, setting: Setting, seed: int, validation: PredictorData | None) -> Guess:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from memviz.predictor.network.fit import log_loss, temperature_of

    features = _reading(scalar_features)
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
        p = np.clip([model.predict_proba(values)[:, 1] for model in models], 1e-7, 1 - 1e-7)
        return (np.log(p) - np.log1p(-p)).mean(axis=0)

    firsts = [fitted(way, 0) for way in BOOSTING]
    best = int(np.argmin([log_loss(logits([each], own), validation.match.ravel()) for each in firsts]))
    further = range(1, MEMBERS) if "max_features" in BOOSTING[best] else ()
    members = [firsts[best], *(fitted(BOOSTING[best], number) for number in further)]
    temperature = temperature_of(logits(members, own), validation.match.ravel())

    def guess(rows: PredictorData, m: int) -> np.ndarray:
        values = features(rows, setting, m).reshape(-1, x.shape[1])
        return (1 / (1 + np.exp(-logits(members, values) / temperature))).reshape(-1, m)

    return guess


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


def frequency_features(rows: PredictorData, setting: Setting, m: int) -> np.ndarray:
    """(n, m, 5): the context's frequencies, and the position."""
    assert rows.frequency is not None
    return np.concatenate([np.repeat(rows.frequency[:, None], m, axis=1), _position(len(rows.rows), m)], axis=2)


def entropy_features(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    """(n, m, 1): entropy at the position; in the context setting that at index k."""
    return _own_statistics(inputs, setting, m)[..., :1]


def context_features(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    """(n, m, 1): mean negative log-probability of the context's tokens from index 1 on."""
    return np.repeat(-_context_means(inputs)[:, None, 2:3], m, axis=1)


def own_features(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    """(n, m, f): what the encoder's token at the position holds: hidden state, statistics, position.

    In the context setting, which has none there: the state at k - 1, the statistics at k, the context's means.
    """
    statistics = _own_statistics(inputs, setting, m)
    if setting == "context":
        means = np.repeat(_context_means(inputs)[:, None], m, axis=1)
        statistics = np.concatenate([statistics, means], axis=2)
    parts = [statistics, _position(len(statistics), m)]
    if inputs.hidden is not None:
        k, hidden = inputs.k, inputs.hidden
        first = {"published": k, "causal": k - 1, "context": k - 1}[setting]
        own = hidden[:, first : first + 1].repeat(m, axis=1) if setting == "context" else hidden[:, first : first + m]
        parts.append(own.astype(np.float32))
    return np.concatenate(parts, axis=2)


def scalar_features(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    """(n, m, f): statistics of the position with their course, those before it, the first, means of the context.

    In the published setting, which does not see the context, those of the position after stand for its means; in the
    context setting the course up to index k stands for each position. Courses are those that the predictor reads
    (`features.with_course`), of the same statistics.
    """
    k = inputs.k
    first = np.repeat(inputs.statistics[:, k : k + 1], m, axis=1)
    means = np.repeat(_context_means(inputs)[:, None], m, axis=1)
    course = with_course(tokens_of(Inputs(k, None, inputs.statistics), setting, m).statistics, setting, k)
    if setting == "context":
        own = _own_statistics(inputs, setting, m)
        parts = [np.repeat(course[:, -1:], m, axis=1)]
    else:
        own = inputs.statistics[:, k : k + m]
        parts = [course[:, -m:], first, np.concatenate([own[:, :1], own[:, :-1]], axis=1)]
    parts.append(np.concatenate([own[:, 1:], own[:, -1:]], axis=1) if setting == "published" else means)
    return np.concatenate([*parts, _position(len(own), m)], axis=2).astype(np.float32)


def _own_statistics(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    k = inputs.k
    if setting != "context":
        return inputs.statistics[:, k : k + m]
    at_k = np.array(inputs.statistics[:, k : k + 1])
    at_k[..., 3:] = 0  # n-grams there would end with a generated token
    return np.repeat(at_k, m, axis=1)


def _context_means(inputs: Inputs) -> np.ndarray:
    """(n, s) means over indices 1 to k - 1; 0 where the context has one token."""
    context = inputs.statistics[:, 1 : inputs.k]
    return context.mean(axis=1) if context.shape[1] else np.zeros_like(inputs.statistics[:, 0])


def _position(n: int, m: int) -> np.ndarray:
    t = np.arange(m, dtype=np.float32)
    return np.tile(np.column_stack([t, np.log1p(t)])[None], (n, 1, 1))
