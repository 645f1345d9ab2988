from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memviz.measures import extraction


def exact_log10_n(log_p: float, p: float) -> float:
    """The same quantity in 400 digits."""
    with localcontext() as context:
        context.prec = 400
        p_z = Decimal(log_p).exp()
        if p_z == 1:
            return 0.0
        n = (1 - Decimal(p)).ln() / (1 - p_z).ln()
        return float(max(n, Decimal(1)).log10())


@pytest.mark.parametrize("p", [0.5, 0.9])
@pytest.mark.parametrize("log_p", [-1e-12, -1e-3, -0.1, -0.69, -0.7, -2.0, -20.0, -35.9, -36.1, -100.0, -740.0])
def test_samples_against_four_hundred_digits(log_p, p):
    assert extraction.log10_queries(np.array(log_p), p) == pytest.approx(exact_log10_n(log_p, p), rel=1e-12, abs=1e-12)


@given(st.floats(-1e5, 0), st.floats(-1e5, 0), st.sampled_from([0.5, 0.9]))
def test_samples_fall_as_the_truth_gets_likelier(a, b, p):
    low, high = sorted((a, b))
    n_low, n_high = extraction.log10_queries(np.array([low, high]), p)
    assert n_low >= n_high >= 0
    assert np.isfinite(n_low)


def test_samples_at_the_ends():
    # certain: one sample; far below the smallest double: log10(-ln(1-p)) - ln p_z / ln 10; impossible: never
    got = extraction.log10_queries(np.array([0.0, -5000.0, -np.inf]), 0.9)
    assert got[0] == 0
    assert got[2] == np.inf
    assert got[1] == pytest.approx(np.log10(np.log(10)) + 5000 / np.log(10))


def test_a_fair_coin_by_hand():
    # p_z = 1/2: even chance after one sample, 90 % after log2(10)
    log_p = np.log([0.5])
    assert extraction.log10_queries(log_p, 0.5) == pytest.approx([0], abs=1e-12)
    assert extraction.log10_queries(log_p, 0.9) == pytest.approx([np.log10(np.log2(10))])


def test_log_p_z_sums_the_true_tokens(make_trace):
    trace = make_trace([[0, 0], [0, 0]], [[1, 2], [1, 2]], teacher_forced={"logprob": np.log([[0.5, 0.25], [1, 1]])})
    assert extraction.log_p_z(trace) == pytest.approx(np.log([1 / 8, 1]))
    assert extraction.log10_n_p50(trace) == pytest.approx([np.log10(np.log(0.5) / np.log(7 / 8)), 0], abs=1e-7)


def test_top_k_by_hand(make_trace):
    # p = (.4, .3, .2, .1) at each position; true token of rank 2 then 1, in the second row of rank 3
    top = np.log(np.tile([0.4, 0.3, 0.2, 0.1], (2, 2, 1)))
    scores = {
        "logprob": np.log([[0.3, 0.4], [0.2, 0.4]]),
        "rank": np.array([[2, 1], [3, 1]]),
        "top_logprobs": top,
        "top_ids": np.tile(np.arange(4), (2, 2, 1)),
    }
    trace = make_trace([[0, 0]] * 2, [[1, 0], [2, 0]], teacher_forced=scores)
    assert extraction.log_p_z(trace, top_k=2) == pytest.approx([np.log(3 / 7 * 4 / 7), -np.inf])
    assert extraction.log_p_z(trace, top_k=4) == pytest.approx(np.log([0.3 * 0.4, 0.2 * 0.4]), rel=1e-6)
    assert np.isnan(extraction.log_p_z(trace, top_k=5)).all()
    assert np.isnan(extraction.log10_n_p90_top40(trace)).all()


def test_teacher_forced_accuracy(make_trace):
    trace = make_trace([[0] * 4], [[1, 2, 3, 4]], teacher_forced={"logprob": [[-1] * 4], "argmax_ids": [[1, 2, 0, 0]]})
    assert extraction.teacher_forced_accuracy(trace).tolist() == [0.5]


@pytest.mark.parametrize("p", [0, 1, -0.1])
def test_a_chance_outside_zero_and_one_is_refused(p):
    with pytest.raises(ValueError, match=f"^p: got {p}, expected a chance between 0 and 1, both excluded$"):
        extraction.log10_queries(np.array([-1.0]), p)


def test_without_truth(make_trace):
    with pytest.raises(
        ValueError, match=r"^this trace has no teacher-forced scores; trace the prompt with its true cont"
    ):
        extraction.log_p_z(make_trace([[1]]))
