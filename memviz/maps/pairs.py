"""Means over pairs of rows within and between groups, with intervals from resampled rows, never pairs."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from memviz.maps.records import GROUPS, PAIRS, VARIANTS
from memviz.measures.geometry import distances, dot_sums, matrix_sums, pair_weights, unit_vectors
from memviz.population.intervals import percentiles, resampled_sums

N_RESAMPLES = 1000
SEED = 0
N_STRATA = 2 * (len(GROUPS) + 1)
"""Each group, and the rows of none, by whether their generation loops."""


def strata_of(variant: str, group: str) -> np.ndarray:
    """(g,) bool: the strata that make up a group, or all rows, under a variant."""
    number = np.arange(N_STRATA)
    inside = np.ones(N_STRATA, bool) if group == "all" else number // 2 == GROUPS.index(group)
    looping = number % 2 == 1
    return inside & {"all": np.ones(N_STRATA, bool), "without loops": ~looping, "loops": looping}[variant]


class PairMeans:
    """What all steps share: strata, weights of the resamples, and how strata make up groups.

    A stratum of which only some rows are used stands for all its rows: pairs count as often as the population has them.
    """

    def __init__(self, strata: np.ndarray, used: np.ndarray, units: np.ndarray, n_resamples: int = N_RESAMPLES) -> None:
        self.strata = strata[used]
        self._size = np.bincount(strata, minlength=N_STRATA)
        self._n_used = np.bincount(self.strata, minlength=N_STRATA)
        n = len(used)
        drawn = resampled_sums(np.eye(n), units, n_resamples, SEED)
        self.weights = np.concatenate([np.ones((1, n)), drawn]).astype(np.float32)
        """(1 + n_resamples, n): the sample itself, then how often each row is drawn; units are drawn whole."""

    @cached_property
    def pair_weights(self) -> np.ndarray:
        """(b, g, g)."""
        return pair_weights(self.strata, N_STRATA, self.weights)

    @property
    def n_rows(self) -> np.ndarray:
        """(v, 4) int32."""
        return self._by_group(self._size)

    @property
    def n_used(self) -> np.ndarray:
        """(v, 4) int32."""
        return self._by_group(self._n_used)

    @staticmethod
    def _by_group(count: np.ndarray) -> np.ndarray:
        groups = (*GROUPS, "all")
        return np.array([[count[strata_of(v, g)].sum() for g in groups] for v in VARIANTS], np.int32)

    @cached_property
    def _shares(self) -> np.ndarray:
        """(v * q, g * g): how many pairs of strata the population has in each pair of groups."""
        count = np.outer(self._size, self._size) - np.diag(self._size)
        lines = [(count * np.outer(strata_of(v, a), strata_of(v, b))).ravel() for v in VARIANTS for a, b in PAIRS]
        return np.array(lines, np.float64)

    def pooled(self, sums: np.ndarray) -> np.ndarray:
        """(b, v, q) means over pairs from (b, g, g) sums; strata that a resample leaves without pairs are left out."""
        weights = self.pair_weights
        known = weights > 1e-9
        means = np.where(known, sums / np.where(known, weights, 1), 0).reshape(len(sums), -1)
        total = known.reshape(len(sums), -1) @ self._shares.T
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(total > 0, means @ self._shares.T / total, np.nan)
        return found.reshape(len(sums), len(VARIANTS), len(PAIRS))

    def mean_state(self, states: np.ndarray) -> np.ndarray:
        """(d,) mean of (n, d) states over all rows that the used ones stand for."""
        weight = (self._size / np.maximum(self._n_used, 1))[self.strata]
        return (weight @ states / weight.sum()).astype(np.float32)

    def lengths(self, norm: np.ndarray) -> np.ndarray:
        """(b, v, 4) mean of (n,) lengths over the rows of each group."""
        member = np.eye(N_STRATA)[self.strata]
        total = self.weights @ member
        known = total > 0
        means = np.where(known, (self.weights * norm) @ member / np.where(known, total, 1), 0)
        share = np.array([self._size * strata_of(v, g) for v in VARIANTS for g in (*GROUPS, "all")], np.float64)
        whole = known @ share.T
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(whole > 0, means @ share.T / whole, np.nan)
        return found.reshape(len(means), len(VARIANTS), -1)


def pair_means(states: np.ndarray, means: PairMeans) -> dict[str, np.ndarray]:
    """Of (n, d) states of one step: `value`, `low`, `high` (u, v, q) and `norm`, `norm_low`, `norm_high` (v, 4)."""
    centre = means.mean_state(states)
    unit, centred = unit_vectors(states), unit_vectors(states - centre)
    cosine, cosine_centred = (
        means.pooled(dot_sums(each, means.strata, N_STRATA, means.weights)) for each in (unit, centred)
    )
    between = distances(states).astype(np.float32)
    distance = means.pooled(matrix_sums(between, means.strata, N_STRATA, means.weights))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [each / each[:, :1, -1:] for each in (cosine, distance)]
    every = np.stack([cosine, cosine_centred, distance, *ratios], axis=1)
    norm = means.lengths(np.linalg.norm(states, axis=1))
    low, high = percentiles(every[1:])
    norm_low, norm_high = percentiles(norm[1:])
    return {
        "value": every[0],
        "low": low,
        "high": high,
        "norm": norm[0],
        "norm_low": norm_low,
        "norm_high": norm_high,
    }
