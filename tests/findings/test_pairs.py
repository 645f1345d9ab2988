"""Pairs of rows within a domain or a document, and near scores, against loops over pairs."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from memviz.errors import InputError
from memviz.findings.evidence.pairs import groups_apart, nearness, pairs_of, shuffled_within

RNG = np.random.default_rng(0)
N, KIND = 12, np.array([0] * 6 + [1] * 6)
STATES = RNG.normal(size=(3, N, 5)).astype(np.float32)


def cosine(i: int, j: int) -> float:
    """Mean over steps."""
    return float(np.mean([each[i] @ each[j] / np.linalg.norm(each[i]) / np.linalg.norm(each[j]) for each in STATES]))


def mean(one: list[int], other: list[int] | None = None, kind: np.ndarray = KIND) -> float:
    pairs = combinations(one, 2) if other is None else product(one, other)
    return float(np.mean([cosine(i, j) for i, j in pairs if kind[i] == kind[j]]))


def test_groups_within_a_kind_are_those_of_a_loop() -> None:
    one = np.array([1, 1, 0, 0, 1, 0] * 2, bool)
    found, null = groups_apart(pairs_of(STATES, KIND), one, KIND, np.arange(N))
    first, second = np.flatnonzero(one).tolist(), np.flatnonzero(~one).tolist()
    assert found.value == pytest.approx((mean(first) + mean(second)) / 2 - mean(first, second), abs=1e-5)
    assert found.low < found.value < found.high and found.n == 6
    assert null is not None and null.low < null.expected < null.high


def test_near_scores_are_those_of_a_loop() -> None:
    near, to, alike = np.arange(N) < 4, np.arange(N) >= 8, np.zeros(N, int)
    found, _ = nearness(pairs_of(STATES, alike), near, to, np.arange(N))
    rows = (list(range(4)), list(range(4, 8)), list(range(8, N)))
    expected = mean(rows[0], rows[2], alike) - mean(rows[1], rows[2], alike)
    assert found.value == pytest.approx(expected, abs=1e-5) and found.n == 4


def test_groups_that_lie_apart_by_their_kind_alone_do_not_within_it() -> None:
    """Rows of one kind point one way, and most of one group are of one kind: apart among all pairs, not within."""
    kind = np.repeat([0, 1], 40)
    one = np.concatenate([np.arange(40) < 32, np.arange(40) < 8])
    way = np.eye(6)[kind] * 4 + np.random.default_rng(1).normal(size=(2, 80, 6))
    everything, null = groups_apart(pairs_of(way, np.zeros(80, int)), one, np.zeros(80, int), np.arange(80))
    assert null is not None and everything.low > 0 and everything.value > null.high
    within, null = groups_apart(pairs_of(way, kind), one, kind, np.arange(80))
    assert null is not None and null.low < within.value < null.high


def test_labels_stay_within_their_kind() -> None:
    label, kind = RNG.random(50) < 0.3, RNG.integers(0, 4, 50)
    found = shuffled_within(label, kind)
    for each in range(4):
        assert (found[:, kind == each].sum(axis=1) == label[kind == each].sum()).all()
    assert (found != label).any(axis=1).all()


def test_a_group_without_pairs_is_refused() -> None:
    one = np.arange(N) == 0
    with pytest.raises(InputError, match="the smallest group has 1 rows: pairs need two"):
        groups_apart(pairs_of(STATES, KIND), one, KIND, np.arange(N))
