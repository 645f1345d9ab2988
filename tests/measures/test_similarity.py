import difflib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.published import bleu, levenshtein

from memviz.measures import similarity

IDS = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@given(IDS, IDS)
def test_edit_similarity_against_the_plain_recurrence(make_trace, x, y):
    expected = 1 - levenshtein(x, y) / 6
    assert similarity.edit_similarity(make_trace([x], [y])) == pytest.approx([expected])


@given(IDS, IDS)
def test_the_longest_common_run_of_every_beginning_against_difflib(x, y):
    found = similarity.common_runs(np.array([x]), np.array([y]))[0]
    for m in range(1, 7):
        assert found[m - 1] == difflib.SequenceMatcher(None, x[:m], y[:m], autojunk=False).find_longest_match().size


def test_one_token_put_in_ends_the_prefix_and_not_the_run(make_trace):
    true = np.arange(32)[None]
    generated = np.concatenate([true[:, :7], [[99]], true[:, 7:31]], axis=1)
    trace = make_trace(generated, true)
    assert similarity.longest_common_run(trace).tolist() == [24]
    assert similarity.edit_distances(generated, true).tolist() == [2]
    assert (generated == true).sum() == 7


def test_a_shift_costs_two_edits(make_trace):
    trace = make_trace([[0, 1, 2, 3, 4, 5, 6, 7]], [[1, 2, 3, 4, 5, 6, 7, 8]])
    assert similarity.edit_similarity(trace).tolist() == [1 - 2 / 8]


def test_bleu_by_hand(make_trace):
    # one token of eight wrong at position 3: 7/8 unigrams, 5/7 bigrams, 3/6 trigrams, 1/5 four-grams match
    trace = make_trace([[1, 2, 3, 0, 5, 6, 7, 8]], [[1, 2, 3, 4, 5, 6, 7, 8]])
    assert similarity.bleu(trace) == pytest.approx([(7 / 8 * 5 / 7 * 3 / 6 * 1 / 5) ** 0.25])
    assert similarity.approximately_memorized(trace).tolist() == [0]


def test_bleu_clips_repetitions(make_trace):
    # "the the the the" trap: four of the same token, of which the reference holds two
    assert similarity.bleu(make_trace([[1, 1, 1, 1, 1]], [[1, 1, 2, 2, 2]])).tolist() == [0]
    # unigrams min(5,4)/5, bigrams min(4,3)/4, trigrams min(3,2)/3, four-grams min(2,1)/2
    found = similarity.bleu(make_trace([[1] * 5], [[1, 1, 1, 1, 2]]))
    assert found == pytest.approx([(4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=12, max_size=12))
def test_bleu_of_every_beginning_against_counted_grams(pairs):
    x, y = (list(ids) for ids in zip(*pairs, strict=True))
    found = similarity.bleus(np.array([x]), np.array([y]), range(4, 13))[0]
    assert found == pytest.approx([bleu(x[:m], y[:m]) for m in range(4, 13)])


def test_approximate_memorization_is_above_075(make_trace):
    # last token of 32 wrong: precisions 31/32, 30/31, 29/30, 28/29, whose product is 28/32
    true = np.arange(32)[None]
    generated = np.where(true == 31, 99, true)
    assert similarity.bleu(make_trace(generated, true)) == pytest.approx([(28 / 32) ** 0.25])
    assert similarity.approximately_memorized(make_trace(generated, true)).tolist() == [1]
    assert similarity.bleu(make_trace(true, true)).tolist() == [1]


def test_bleu_is_undefined_below_four_tokens(make_trace):
    trace = make_trace([[1, 2, 3]], [[1, 2, 3]])
    assert np.isnan(similarity.bleu(trace)).all()
    assert np.isnan(similarity.approximately_memorized(trace)).all()


def test_no_rows(make_trace):
    trace = make_trace(np.zeros((0, 4)), np.zeros((0, 4)))
    assert similarity.edit_similarity(trace).shape == similarity.bleu(trace).shape == (0,)
    assert similarity.longest_common_run(trace).shape == (0,)
