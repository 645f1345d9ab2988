from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from memviz.errors import InputError
from memviz.population import memorized_only_by, rows_of_cell, transition, transitions

GENERATOR = np.random.default_rng(4)
HITS = {"a": GENERATOR.integers(0, 11, 200), "b": GENERATOR.integers(0, 11, 200)}
HITS["b"][:100] = HITS["a"][:100]


def test_counts_are_those_of_a_loop(points) -> None:
    found = transition(points(HITS), "a", "b")
    a, b = (np.minimum(4, 5 * HITS[name] // 10) for name in "ab")
    expected = np.zeros((5, 5), int)
    for one, two in zip(a, b, strict=True):
        expected[one, two] += 1
    np.testing.assert_array_equal(found.counts, expected)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1)
    assert found.n == 200 == found.kept.n
    assert found.kept.value == pytest.approx(np.mean(a == b))
    wilson = binomtest(int((a == b).sum()), 200).proportion_ci(method="wilson")
    assert (found.kept.low, found.kept.high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))
    assert found.kappa.value == pytest.approx(cohen_kappa_score(a, b))
    assert found.kappa.low < found.kappa.value < found.kappa.high


def test_one_level_alone_has_no_kappa(points) -> None:
    found = transition(points({"a": [10, 10], "b": [10, 10]}), "a", "b")
    assert found.kept.value == 1 and np.isnan(found.kappa.value) and np.isnan(found.kappa.low)
    assert np.isnan(found.shares[0]).all()


def test_rows_of_cells_and_lists(points) -> None:
    table = points({"a": [10, 9, 0, 10], "b": [9, 10, 0, 10]})
    assert rows_of_cell(table, "a", "b", 4, 4).tolist() == [0, 1, 3]
    assert rows_of_cell(table, "a", "b", 0, 0).tolist() == [2] and not len(rows_of_cell(table, "a", "b", 0, 4))
    assert memorized_only_by(table, "a", "b").tolist() == [0] and memorized_only_by(table, "b", "a").tolist() == [1]


def test_only_rows_that_both_have(points) -> None:
    table = points({"a": [10, 9, 0], "b": [1, 10, 10]})
    table = table[~((table["model"] == "b") & (table["row"] == 0))]
    assert transition(table, "a", "b").n == 2 and memorized_only_by(table, "a", "b").tolist() == []


def test_the_ladder_goes_step_by_step(points) -> None:
    table = points({"a": [0, 0], "b": [0, 10], "c": [10, 10]})
    found = transitions(table, ["a", "b", "c"])
    assert [(each.smaller, each.larger, each.kept.value) for each in found] == [("a", "b", 0.5), ("b", "c", 0.5)]
    assert transitions(table, ["a"]) == []


def test_bad_questions_are_named(points) -> None:
    table = points({"a": [0, 0]})
    with pytest.raises(InputError, match="no rows of z"):
        transition(table, "a", "z")
    both = points({"a": [0], "b": [0]})
    with pytest.raises(InputError, match="in several ways"):
        transition(both.assign(model="a"), "a", "a")
