"""Cosine similarity of pairs of rows, mean over decoding steps: among rows of one kind, and of near scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memviz.errors import InputError
from memviz.findings.claims import Null
from memviz.findings.evidence.material import Found
from memviz.maps.pairs import N_RESAMPLES, SEED
from memviz.measures.geometry import N_PERMUTATIONS, unit_vectors
from memviz.population.intervals import Estimate, percentiles, resampled_sums


@dataclass(frozen=True)
class Pairs:
    """n rows, pair by pair."""

    cosine: np.ndarray
    """(n, n) float32, mean over steps; 0 where a pair is not looked at, and on the diagonal."""
    looked_at: np.ndarray
    """(n, n) float32: 1 or 0."""

    def mean(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """(b,) mean over the pairs of a row of `one` and one of `other`, (b, n) weights. NaN where there is no pair."""
        sums, n = (((one @ each) * other).sum(axis=1, dtype=np.float64) for each in (self.cosine, self.looked_at))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n > 0, sums / n, np.nan)


def pairs_of(states: np.ndarray, kind: np.ndarray) -> Pairs:
    """Of (s, n, d) states, the pairs whose rows are of one (n,) kind."""
    same = (kind[:, None] == kind).astype(np.float32)
    np.fill_diagonal(same, 0)
    cosine = np.zeros_like(same)
    for step in states:
        unit = unit_vectors(step)
        cosine += unit @ unit.T
    return Pairs(cosine * same / len(states), same)


def groups_apart(pairs: Pairs, one: np.ndarray, kind: np.ndarray, units: np.ndarray) -> Found:
    """How much more alike rows of a group are than rows of two, (n,) bool saying which are of the first.

    The null shuffles the two labels within each (n,) kind. Raises InputError where a group has no pair.
    """

    def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        within = (pairs.mean(first, first) + pairs.mean(second, second)) / 2
        return within - pairs.mean(first, second)

    weights = _weights(units)
    drawn = apart(weights * one, weights * ~one)
    labels = shuffled_within(one, kind).astype(np.float32)
    paired = pairs.looked_at.any(axis=1)
    n = min(int((paired & group).sum()) for group in (one, ~one))
    return _found(drawn, apart(labels, 1 - labels), n, units)


def nearness(pairs: Pairs, near: np.ndarray, to: np.ndarray, units: np.ndarray) -> Found:
    """How much more alike the rows `near` are to those of `to` than all others are; (n,) bool.

    The null shuffles which of the others are near. Raises InputError where a group has fewer than two rows.
    """
    far = ~near & ~to

    def apart(first: np.ndarray, second: np.ndarray, others: np.ndarray) -> np.ndarray:
        return pairs.mean(first, others) - pairs.mean(second, others)

    weights = _weights(units)
    drawn = apart(weights * near, weights * far, weights * to)
    free, labels = np.flatnonzero(~to), np.zeros((N_PERMUTATIONS, len(to)), np.float32)
    labels[:, free] = shuffled_within(near[free], np.zeros(len(free)))
    there = np.repeat(to[None], N_PERMUTATIONS, axis=0).astype(np.float32)
    n = min(int(group.sum()) for group in (near, far, to))
    return _found(drawn, apart(labels, (1 - labels) * ~to, there), n, units)


def shuffled_within(label: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """(p, n) bool: the (n,) labels in random order within each kind, seed 0."""
    generator = np.random.default_rng(SEED)
    order = np.argsort(kind, kind="stable")
    codes = np.unique(kind[order], return_inverse=True)[1]
    found = np.zeros((N_PERMUTATIONS, len(label)), bool)
    for line in found:
        shuffled = np.lexsort((generator.random(len(label)), codes))
        line[order] = label[order][shuffled]
    return found


def _weights(units: np.ndarray) -> np.ndarray:
    """(1 + b, n) how often each row is drawn, the sample itself first."""
    drawn = resampled_sums(np.eye(len(units)), units, N_RESAMPLES, SEED)
    return np.concatenate([np.ones((1, len(units))), drawn]).astype(np.float32)


def _found(drawn: np.ndarray, null: np.ndarray, n: int, units: np.ndarray) -> Found:
    if n < 2:
        raise InputError(f"the smallest group has {n} rows: pairs need two")
    (low, high), (null_low, null_high) = percentiles(drawn[1:]), percentiles(null)
    estimate = Estimate(float(drawn[0]), float(low), float(high), n, min(n, len(np.unique(units))))
    return estimate, Null(float(null.mean()), float(null_low), float(null_high))
