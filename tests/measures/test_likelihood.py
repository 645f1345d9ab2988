import zlib

import numpy as np
import pytest
from scipy import special, stats
from support.published import membership

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


def test_values_are_those_of_the_published_code(random_trace, random_logits):
    logits, ids = random_logits
    texts = [b"one text", b"another, longer text", "für ü ".encode() * 9]
    found = [
        -np.log(likelihood.perplexity(random_trace)),
        -8 * likelihood.zlib_ratio(random_trace, texts),  # theirs is log-probability by bytes
        likelihood.min_k(random_trace),
        likelihood.min_k_plus_plus(random_trace),
    ]
    for row, text in enumerate(texts):
        expected = membership(special.log_softmax(logits[row], axis=-1), ids[row], text)
        assert [each[row] for each in found] == pytest.approx(list(expected.values()), rel=1e-4)


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


def test_min_k_plus_plus_without_spread_is_zero():
    # a certain token, and a flat distribution over eight: log p is its own mean, so nothing is surprising
    flat = np.log(8.0)
    logprob, entropy, square = (np.array([each], np.float32) for each in ((0, -flat), (0, flat), (0, flat**2)))
    z = likelihood.standardised(logprob, entropy, square)
    assert likelihood.mean_of_lowest(z, percent=100) == pytest.approx([0], abs=1e-3)


def test_one_position_is_still_one(make_trace):
    trace = make_trace([[0]], [[1]], k=1, teacher_forced={"logprob": [[-2.0]]})
    assert likelihood.min_k(trace) == pytest.approx([-2])
    assert likelihood.perplexity(trace) == pytest.approx([np.exp(2)])
    # (-2 - -1) / sqrt(2 - 1)
    assert likelihood.min_k_plus_plus(trace) == pytest.approx([-1])


def test_whole_percentages_are_not_rounded_down():
    # int(0.29 * 100) is 28; 29 % of 100 positions are 29
    assert likelihood.mean_of_lowest(-np.arange(100.0)[None], percent=29) == pytest.approx([-np.mean(range(71, 100))])


def test_zlib_ratio_is_nats_per_token_over_compressed_bits(make_trace):
    trace = make_trace([[0] * 4] * 2, [[1] * 4] * 2, teacher_forced={"logprob": [[-1, -2, -3, -4], [0, 0, 0, 0]]})
    texts = [b"We the People of the United States", "für ü".encode()]
    assert likelihood.zlib_ratio(trace, texts) == pytest.approx([2.5 / (8 * len(zlib.compress(texts[0]))), 0])


@pytest.mark.parametrize("percent", [0, 101])
def test_a_share_outside_one_and_a_hundred_is_refused(percent):
    with pytest.raises(ValueError, match=f"^percent: got {percent}, expected more than 0 and at most 100$"):
        likelihood.mean_of_lowest(np.zeros((1, 1)), percent)
