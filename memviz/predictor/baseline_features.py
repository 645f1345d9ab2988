"""What baselines read of each position, from what a setting may see."""

from __future__ import annotations

import numpy as np

from memviz.predictor.data import PredictorData
from memviz.predictor.features import Inputs, tokens_of, with_course
from memviz.predictor.presets import Setting

LAGS = {"published": 4, "causal": 4, "context": 8}
"""So many positions before the one at hand (context: before index k) are read by themselves."""
QUARTERS = 4
"""Parts of the context whose means are read."""


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
        parts.append(own_states(inputs, setting, m))
    return np.concatenate(parts, axis=2)


def own_states(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    """(n, m, d) float32: the state that the encoder's token at the position holds; context: that at k - 1."""
    assert inputs.hidden is not None
    k, hidden = inputs.k, inputs.hidden
    first = {"published": k, "causal": k - 1, "context": k - 1}[setting]
    own = hidden[:, first : first + 1].repeat(m, axis=1) if setting == "context" else hidden[:, first : first + m]
    return own.astype(np.float32)


def scalar_features(inputs: Inputs, setting: Setting, m: int) -> np.ndarray:
    """(n, m, f): statistics of the position with their course, those of `LAGS` positions before it, at k, and means.

    Courses are those that the predictor reads (`features.with_course`), of the same statistics; means are of the
    context and of its quarters. In the published setting, which does not see the context, the position after stands for
    them; in the context setting index k stands for the position.
    """
    k = inputs.k
    course = with_course(tokens_of(Inputs(k, None, inputs.statistics), setting, m).statistics, setting, k)
    own = inputs.statistics[:, k : k + m]
    n = len(own)
    if setting == "context":
        before = inputs.statistics[:, max(1, k - LAGS[setting]) : k]
        parts = [_everywhere(each, m) for each in (course[:, -1], before.reshape(n, -1), _context_means(inputs))]
        parts.append(_everywhere(_quarters(inputs), m))
    else:
        known = own if setting == "published" else inputs.statistics[:, 1 : k + m]
        padded = np.concatenate([np.repeat(known[:, :1], LAGS[setting], axis=1), known], axis=1)
        lagged = [padded[:, padded.shape[1] - m - lag : padded.shape[1] - lag] for lag in range(1, LAGS[setting] + 1)]
        parts = [course[:, -m:], _everywhere(own[:, 0], m), *lagged]
        if setting == "published":
            parts.append(np.concatenate([own[:, 1:], own[:, -1:]], axis=1))
        else:
            parts += [_everywhere(_context_means(inputs), m), _everywhere(_quarters(inputs), m)]
    return np.concatenate([*parts, _position(n, m)], axis=2).astype(np.float32)


def _everywhere(values: np.ndarray, m: int) -> np.ndarray:
    """(n, f) -> (n, m, f), the same at each position."""
    return np.repeat(values[:, None], m, axis=1)


def _quarters(inputs: Inputs) -> np.ndarray:
    """(n, QUARTERS s) means over equal parts of indices 1 to k - 1; 0 where a part is empty."""
    parts = np.array_split(inputs.statistics[:, 1 : inputs.k], QUARTERS, axis=1)
    return np.concatenate([each.sum(axis=1) / max(1, each.shape[1]) for each in parts], axis=1)


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
