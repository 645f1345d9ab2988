"""Means over pairs of rows within and between groups, with intervals from resampled rows, never pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memviz.maps.records import GROUPS, PAIRS, VARIANTS
from memviz.measures.geometry import distances, dot_sums, matrix_sums, pair_weights, permutations, unit_vectors
from memviz.population.intervals import resampled_sums

N_RESAMPLES, N_SHUFFLES = 1000, 1000
SEED = 0
N_STRATA = 2 * (len(GROUPS) + 1)
"""Each group, and the rows of none, by whether their generation loops."""


def strata_of(variant: str, group: str) -> np.ndarray:
    """(g,) bool: the strata that make up a group, or all rows, under a variant."""
    number = np.arange(N_STRATA)
    inside = np.ones(N_STRATA, bool) if group == "all" else number // 2 == GROUPS.index(group)
    looping = number % 2 == 1
    return inside & {"all": np.ones(N_STRATA, bool), "without loops": ~looping, "loops": looping}[variant]


class StepPairs(NamedTuple):
    """One step: the first line of the sample itself, then of resampled rows; and of shuffled labels."""

    every: np.ndarray
    """(1 + b, u, v, q) of `MEASURES`."""
    norm: np.ndarray
    """(1 + b, v, 4)."""
    shuffled: np.ndarray
    """(p, v, 3) cosine within memorized, within unmemorized and between, their labels shuffled."""


class Pairs:
    """What all steps share: strata (n,), weights of the resamples, shuffled labels."""

    def __init__(self, strata: np.ndarray, units: np.ndarray, n_resamples: int = N_RESAMPLES) -> None:
        self.strata, n = strata, len(strata)
        drawn = resampled_sums(np.eye(n), units, n_resamples, SEED)
        self.weights = np.concatenate([np.ones((1, n)), drawn]).astype(np.float32)
        """(1 + b, n) how often each row is drawn; near-duplicates are drawn together."""
        self._pair_weights = pair_weights(strata, N_STRATA, self.weights)
        groups = (*GROUPS, "all")
        self._pairs = np.array([np.outer(strata_of(v, a), strata_of(v, b)).ravel() for v in VARIANTS for a, b in PAIRS])
        self._groups = np.array([strata_of(v, g) for v in VARIANTS for g in groups])
        self.n_rows = (self._groups @ np.bincount(strata, minlength=N_STRATA)).reshape(len(VARIANTS), -1)
        """(v, 4) rows of each group, and of all."""
        self._member = np.eye(N_STRATA, dtype=np.float32)[strata]
        self._shuffled = [self._labels(variant) for variant in VARIANTS]

    def _labels(self, variant: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows (r,) of the memorized and the unmemorized, and (p, r) bool shuffled labels of the memorized."""
        memorized, unmemorized = (strata_of(variant, group)[self.strata] for group in ("memorized", "unmemorized"))
        rows = np.flatnonzero(memorized | unmemorized)
        label = memorized[rows].astype(np.float32)
        return rows, label[permutations(len(rows), N_SHUFFLES)[1:]] if len(rows) else np.zeros((N_SHUFFLES, 0))

    def means(self, sums: np.ndarray) -> np.ndarray:
        """(1 + b, v, q) means over pairs from (1 + b, g, g) sums; NaN where there is no pair."""
        total = self._pair_weights.reshape(len(sums), -1) @ self._pairs.T
        return _divided(sums.reshape(len(sums), -1) @ self._pairs.T, total).reshape(-1, len(VARIANTS), len(PAIRS))

    def lengths(self, norm: np.ndarray) -> np.ndarray:
        """(1 + b, v, 4) mean of (n,) lengths over the rows of each group."""
        total = (self.weights @ self._member) @ self._groups.T
        found = ((self.weights * norm.astype(np.float32)) @ self._member) @ self._groups.T
        return _divided(found, total).reshape(len(found), len(VARIANTS), -1)

    def shuffled(self, unit: np.ndarray) -> np.ndarray:
        """(p, v, 3) as in `StepPairs`, from (n, d) unit vectors."""
        return np.stack([_of_labels(unit[rows], labels) for rows, labels in self._shuffled], axis=1)

    def at(self, states: np.ndarray) -> StepPairs:
        """Of (n, d) float32 states of one step."""
        unit, centred = unit_vectors(states), unit_vectors(states - states.mean(axis=0))
        cosine, cosine_centred = (
            self.means(dot_sums(each, self.strata, N_STRATA, self.weights)) for each in (unit, centred)
        )
        between = distances(states).astype(np.float32)
        distance = self.means(matrix_sums(between, self.strata, N_STRATA, self.weights))
        ratios = [_divided(each, each[:, :1, -1:]) for each in (cosine, distance)]
        every = np.stack([cosine, cosine_centred, distance, *ratios], axis=1)
        return StepPairs(every, self.lengths(np.linalg.norm(states, axis=1)), self.shuffled(unit))


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    b = np.broadcast_to(b, a.shape)
    return np.where(np.abs(b) > 1e-9, a / np.where(np.abs(b) > 1e-9, b, 1), np.nan)


def _of_labels(unit: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(p, 3) mean cosines within the labelled, within the others, and between, from (r, d) and (p, r)."""
    total, own = unit.sum(axis=0), np.square(unit).sum(axis=1)
    inside = labels @ unit
    outside = total - inside
    n_inside = labels.sum(axis=1)
    n_outside = labels.shape[1] - n_inside
    within = _divided(np.square(inside).sum(axis=1) - labels @ own, n_inside * (n_inside - 1))
    others = _divided(np.square(outside).sum(axis=1) - (1 - labels) @ own, n_outside * (n_outside - 1))
    between = _divided((inside * outside).sum(axis=1), n_inside * n_outside)
    return np.stack([within, others, between], axis=1)


def apart(cosines: np.ndarray) -> np.ndarray:
    """(..., 3) cosines within two groups and between -> (...): how much more alike those of one group are."""
    return cosines[..., :2].mean(axis=-1) - cosines[..., 2]


def course(difference: np.ndarray) -> np.ndarray:
    """(s, ...) difference of two curves -> (...): root mean square over steps, less its mean; 0 where parallel."""
    return np.sqrt(np.square(difference - difference.mean(axis=0)).mean(axis=0))
