from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memviz.measures import score

TRUE = [[1, 2, 3, 4, 5, 6, 7, 8]] * 5
GENERATED = [
    [1, 2, 3, 4, 5, 6, 7, 8],  # memorized
    [1, 2, 0, 4, 0, 6, 7, 8],  # diverges at 2, matches at 3 by itself, back for three from 5
    [0, 0, 0, 0, 0, 0, 0, 0],  # unmemorized
    [1, 1, 2, 3, 4, 5, 6, 7],  # reproduced with a shift
    [0, 2, 3, 0, 5, 6, 0, 8],  # never three in a row
]


def test_five_hand_made_rows(make_trace):
    trace = make_trace(GENERATED, TRUE)
    assert score.hits(trace).dtype == bool
    assert score.memorization_score(trace).tolist() == [1, 6 / 8, 0, 1 / 8, 5 / 8]
    assert score.level(trace).tolist() == [4, 3, 0, 0, 3]
    assert score.first_divergence(trace).tolist() == [-1, 2, 0, 1, 0]
    assert score.longest_common_prefix(trace).tolist() == [8, 2, 0, 1, 0]
    assert score.memorized_run(trace).tolist() == [[0, 8], [0, 2], [0, 0], [0, 1], [0, 0]]
    assert score.resynchronisation(trace).tolist() == [-1, 5, -1, -1, -1]
    assert score.resynchronisation(trace, run=1).tolist() == [-1, 3, -1, -1, 1]
    assert score.resynchronisation(trace, run=9).tolist() == [-1] * 5
    assert score.hits_after_divergence(trace).tolist() == [0, 4, 0, 0, 5]
    np.testing.assert_array_equal(score.first_divergence_or_nan(trace), [np.nan, 2, 0, 1, 0])
    np.testing.assert_array_equal(score.resynchronisation_or_nan(trace), [np.nan, 5, np.nan, np.nan, np.nan])


def test_one_position(make_trace):
    trace = make_trace([[1], [0]], [[1], [1]], k=1)
    assert score.memorization_score(trace).tolist() == [1, 0]
    assert score.level(trace).tolist() == [4, 0]
    assert score.longest_common_prefix(trace).tolist() == [1, 0]
    assert score.resynchronisation(trace).tolist() == [-1, -1]


def test_no_rows(make_trace):
    trace = make_trace(np.zeros((0, 4)), np.zeros((0, 4)))
    for function in (score.memorization_score, score.level, score.longest_common_prefix, score.resynchronisation):
        assert function(trace).shape == (0,)


@given(st.integers(1, 200).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))))
def test_levels_are_exact_at_their_borders(counts):
    n_hits, m = counts
    share = Fraction(n_hits, m)
    borders = [Fraction(i, 5) for i in range(1, 5)]
    assert score.level_of(n_hits, m) == sum(share >= border for border in borders)
    assert len(score.LEVELS) == 5


@given(arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 12))), st.integers(1, 4))
def test_resynchronisation_against_a_plain_search(make_trace, hit, run):
    trace = make_trace(np.where(hit, 7, 8), np.full(hit.shape, 7))
    for row, got in zip(hit.tolist(), score.resynchronisation(trace, run), strict=True):
        first = row.index(False) if False in row else len(row)
        starts = [t for t in range(first + 1, len(row)) if row[t : t + run] == [True] * run]
        assert got == (starts[0] if starts else -1)
        assert (
            score.hits(trace).sum() == (score.longest_common_prefix(trace) + score.hits_after_divergence(trace)).sum()
        )


def test_fragile_positions(make_trace):
    trace = make_trace([[1, 2, 3]], free_running={"margin": np.array([[0.5, 0.1, 0.3]])}, logit_noise=0.1)
    assert score.n_fragile(trace).tolist() == [1]


def test_errors(make_trace):
    with pytest.raises(ValueError, match=r"^this trace has no true continuation; trace the prompt with one to compare"):
        score.hits(make_trace([[1, 2]]))
    with pytest.raises(ValueError, match=r"^run: got 0, expected at least 1 match in a row$"):
        score.resynchronisation(make_trace([[1]], [[1]]), run=0)
