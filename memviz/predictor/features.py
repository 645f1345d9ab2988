"""What a predictor reads: per-token arrays, and which of them each setting may see. Free-running only, never the truth.

Statistics at index j are of the distribution that predicts token j; the hidden state at j is that after reading token
j; the state that emitted token j is the one at j - 1.

| setting   | tokens of the encoder  | hidden state | statistics | attends to                            |
|-----------|------------------------|--------------|------------|---------------------------------------|
| published | indices k to k + m - 1 | at j         | at j       | every one of them                     |
| causal    | indices 1 to k + m - 1 | at j - 1     | at j       | itself and those before               |
| context   | indices 1 to k, and    | at j - 1     | at j       | tokens: all of these;                 |
|           | m queries              | none         | none       | queries: the tokens and itself        |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from memviz.predictor.presets import Setting

STATISTICS = ("entropy", "margin", "logprob")
NGRAMS = ("ngram_1", "ngram_2")
_LARGEST = 2.0**15


@dataclass(frozen=True)
class Inputs:
    """n rows of p indices as a model read and wrote them: p = k + m, for the context setting k + 1 is enough."""

    k: int
    hidden: np.ndarray | None
    """(n, at least k, d) float16 or float32 reading states of the last layer after the final norm; None: not used."""
    statistics: np.ndarray
    """(n, p, s) float32: entropy (nats), margin (logit units), logprob (nats) of the read or generated token, and where
    asked for log(1 + count) of the 1-gram and the 2-gram that end there; NaN at index 0 where nothing predicts it."""

    def rows(self, which: np.ndarray) -> Inputs:
        hidden = None if self.hidden is None else self.hidden[which]
        return replace(self, hidden=hidden, statistics=self.statistics[which])


@dataclass(frozen=True)
class Tokens:
    """What the encoder is given of n rows under one setting, and nothing else."""

    setting: Setting
    hidden: np.ndarray | None
    """(n, p, d)"""
    statistics: np.ndarray
    """(n, p, s) float32"""

    def __len__(self) -> int:
        return len(self.statistics)

    def rows(self, which: np.ndarray) -> Tokens:
        return replace(
            self, hidden=None if self.hidden is None else self.hidden[which], statistics=self.statistics[which]
        )


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each feature over the training part's tokens; features without spread get 1."""

    hidden_mean: np.ndarray
    """(d,) float32; empty without hidden states."""
    hidden_std: np.ndarray
    statistics_mean: np.ndarray
    """(s,) float32"""
    statistics_std: np.ndarray


def tokens_of(inputs: Inputs, setting: Setting, m: int | None = None) -> Tokens:
    """The part of the inputs that a setting may see, for m positions where given. Views where possible.

    In the context setting the n-grams at index k are 0: they would end with a generated token.
    """
    k, hidden, statistics = inputs.k, inputs.hidden, inputs.statistics
    if setting == "published":
        stop = statistics.shape[1] if m is None else k + m
        return Tokens(setting, None if hidden is None else hidden[:, k:stop], statistics[:, k:stop])
    if setting == "causal":
        stop = statistics.shape[1] if m is None else k + m
        return Tokens(setting, None if hidden is None else hidden[:, : stop - 1], statistics[:, 1:stop])
    seen = statistics[:, 1 : k + 1]
    if seen.shape[2] > len(STATISTICS):
        seen = seen.copy()
        seen[:, -1, len(STATISTICS) :] = 0
    return Tokens(setting, None if hidden is None else hidden[:, :k], seen)


def with_course(statistics: np.ndarray, setting: Setting, k: int) -> np.ndarray:
    """(n, p, s) -> (n, p, 7 s), context 4 s: beside each statistic its largest, smallest and mean value so far.

    So far is since the first token; in the causal setting also since index k, 0 before it; in the published setting,
    which sees them, also from the last one back.
    """
    found = [statistics, *_so_far(statistics)]
    if setting == "causal":
        found += [np.pad(each, ((0, 0), (k - 1, 0), (0, 0))) for each in _so_far(statistics[:, k - 1 :])]
    if setting == "published":
        found += [each[:, ::-1] for each in _so_far(statistics[:, ::-1])]
    return np.concatenate(found, axis=-1)


def _so_far(values: np.ndarray) -> list[np.ndarray]:
    n = np.arange(1, values.shape[1] + 1, dtype=np.float32)[:, None]
    return [np.maximum.accumulate(values, 1), np.minimum.accumulate(values, 1), values.cumsum(axis=1) / n]


def scaling_of(tokens: Tokens) -> Scaling:
    """Over all tokens of the training part. Sums row by row in float64, so that memory holds no copy."""
    hidden = tokens.hidden if tokens.hidden is not None else np.zeros((len(tokens), 1, 0), np.float32)
    return Scaling(*_moments(hidden), *_moments(tokens.statistics))


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, total, squares = 0, np.zeros(values.shape[2]), np.zeros(values.shape[2])
    for start in range(0, len(values), 256):
        part = np.concatenate(list(values[start : start + 256].astype(np.float64)))
        n, total, squares = n + len(part), total + part.sum(axis=0), squares + (part**2).sum(axis=0)
    mean = total / max(n, 1)
    std = np.sqrt(np.maximum(squares / max(n, 1) - mean**2, 0))
    return mean.astype(np.float32), np.where(std < 1e-6 * (1 + np.abs(mean)), 1, std).astype(np.float32)


def compact(hidden: np.ndarray) -> np.ndarray:
    """The same states in float16, as sweeps keep them, where they fit; else in float32."""
    fits = not hidden.size or float(np.abs(hidden).max()) < _LARGEST
    return hidden.astype(np.float16 if fits else np.float32)
