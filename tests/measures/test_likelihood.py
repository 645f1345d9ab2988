import zlib

import numpy as np
import pytest
from scipy import special, stats

from memviz.measures import likelihood


@pytest.fixture
def random_logits():
    """Logits (n, m, v) and the ids (n, m) that they are asked about."""
    generator = np.random.default_rng(0)
    return generator.normal(0, 3, (3, 12, 30)), generator.integers(0, 30, (3, 12))


@pytest.fixture
def random_trace(random_logits, make_trace):
    logits, ids = random_logits
    log_p = special.log_softmax(logits, axis=-1)
    scores = {
        "logprob": np.take_along_axis(log_p, ids[..., None], -1)[..., 0],
        "entropy": stats.entropy(np.exp(log_p), axis=-1),
        "second_moment": (np.exp(log_p) * log_p**2).sum(-1),
    }
    return make_trace(np.zeros(ids.shape), ids, teacher_forced=scores)


def test_perplexity_is_the_geometric_mean_of_one_over_p(random_trace):
    p = np.exp(random_trace.teacher_forced.logprob.astype(float))
    assert likelihood.perplexity(random_trace) == pytest.approx(stats.gmean(1 / p, axis=1))


def test_min_k_takes_the_two_least_likely_of_twelve(random_trace):
    lowest = [sorted(row.tolist())[:2] for row in random_trace.teacher_forced.logprob]
    assert likelihood.min_k(random_trace) == pytest.approx(np.mean(lowest, axis=1))


def test_min_k_plus_plus_against_weighted_moments(random_trace, random_logits):
    logits, ids = random_logits
    expected = []
    for row, row_ids in zip(logits, ids, strict=True):
        z = []
        for logit, i in zip(row, row_ids, strict=True):
            log_p = logit - special.logsumexp(logit)
            variable = stats.rv_discrete(values=(np.arange(30), special.softmax(logit)))
            mean = variable.expect(lambda x, log_p=log_p: log_p[np.asarray(x, int)])
            square = variable.expect(lambda x, log_p=log_p: (log_p[np.asarray(x, int)]) ** 2)
            z.append((log_p[i] - mean) / np.sqrt(square - mean**2))
        expected.append(np.mean(sorted(z)[:2]))
    assert likelihood.min_k_plus_plus(random_trace) == pytest.approx(expected, rel=1e-4)


def test_min_k_plus_plus_without_spread_is_zero(make_trace):
    # a certain token, and a flat distribution over eight: log p is its own mean, so nothing is surprising
    flat = np.log(8.0)
    scores = {
        "logprob": np.array([[0.0, -flat]]),
        "entropy": np.array([[0.0, flat]], np.float32),
        "second_moment": np.array([[0.0, flat**2]], np.float32),
    }
    trace = make_trace([[0, 0]], [[0, 0]], teacher_forced=scores)
    assert likelihood.min_k_plus_plus_of(trace, percent=100) == pytest.approx([0], abs=1e-3)


def test_one_position_is_still_one(make_trace):
    trace = make_trace([[0]], [[1]], k=1, teacher_forced={"logprob": [[-2.0]]})
    assert likelihood.min_k(trace) == pytest.approx([-2])
    assert likelihood.perplexity(trace) == pytest.approx([np.exp(2)])
    # (-2 - -1) / sqrt(2 - 1)
    assert likelihood.min_k_plus_plus(trace) == pytest.approx([-1])


def test_whole_percentages_are_not_rounded_down(make_trace):
    # int(0.29 * 100) is 28; 29 % of 100 positions are 29
    trace = make_trace(np.zeros((1, 100)), np.zeros((1, 100)), teacher_forced={"logprob": -np.arange(100.0)[None]})
    assert likelihood.min_k_of(trace, percent=29) == pytest.approx([-np.mean(range(71, 100))])


def test_zlib_ratio_is_nats_per_token_over_compressed_bits(make_trace):
    trace = make_trace([[0] * 4] * 2, [[1] * 4] * 2, teacher_forced={"logprob": [[-1, -2, -3, -4], [0, 0, 0, 0]]})
    texts = [b"We the People of the United States", "für ü".encode()]
    assert likelihood.zlib_ratio(trace, texts) == pytest.approx([2.5 / (8 * len(zlib.compress(texts[0]))), 0])


@pytest.mark.parametrize("percent", [0, 101])
def test_a_share_outside_one_and_a_hundred_is_refused(make_trace, percent):
    with pytest.raises(ValueError, match=f"^percent: got {percent}, expected more than 0 and at most 100$"):
        likelihood.min_k_of(make_trace([[1]], [[1]]), percent)
