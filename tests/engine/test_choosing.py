"""Sampling against its definition, and the statistics of distributions against scipy and full sorts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, entropy
from support.tiny_models import VOCAB, tiny

from memviz.engine.choosing import Chooser
from memviz.engine.statistics import distributions, score, top_tokens
from memviz.engine.tracing import trace
from memviz.records import Decoding, Prompts

CPU = torch.device("cpu")


def draw(logits: np.ndarray, n_draws: int, **options: object) -> np.ndarray:
    """n_draws tokens, each with its own uniform number, from one distribution (V,)."""
    chooser = Chooser(Decoding(**{"temperature": 1.0, "seed": 3, **options}), n_draws, [], CPU)  # type: ignore[arg-type]
    block = torch.from_numpy(logits).float().expand(n_draws, -1)
    return chooser.choose(block, torch.arange(n_draws)).numpy()


def test_draws_follow_the_tempered_distribution() -> None:
    logits = np.array([1.0, 0.0, 2.0, -1.0, 0.5])
    drawn = np.bincount(draw(logits, 20_000, temperature=0.7), minlength=5)
    expected = np.exp(logits / 0.7) / np.exp(logits / 0.7).sum()
    assert chisquare(drawn, 20_000 * expected).pvalue > 1e-3


def test_top_k_and_top_p_keep_what_they_say() -> None:
    probabilities = np.array([0.05, 0.4, 0.3, 0.15, 0.1])
    logits = np.log(probabilities)
    assert set(draw(logits, 4000, top_k=2)) == {1, 2}
    assert set(draw(logits, 4000, top_p=0.7)) == {1, 2}
    assert set(draw(logits, 4000, top_p=0.71)) == {1, 2, 3}
    assert set(draw(logits, 4000, top_k=1)) == {1}
    kept = np.bincount(draw(logits, 20_000, top_p=0.8), minlength=5)
    assert chisquare(kept[[1, 2, 3]], 20_000 * probabilities[[1, 2, 3]] / 0.85).pvalue > 1e-3


def test_ties_go_to_the_lowest_id() -> None:
    logits = torch.zeros(1, 1, 200)
    logits[..., [150, 20, 77]] = 5.0
    stats = distributions(logits)
    assert stats.top_ids[0, 0, :3].tolist() == [20, 77, 150]
    assert stats.top_ids[0, 0, 3:].tolist() == [i for i in range(200) if i not in (20, 77, 150)][:61]
    for token, rank in ((20, 1), (77, 2), (150, 3), (0, 4), (199, 200)):
        assert score(logits, torch.tensor([[token]]))[1].item() == rank


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 150), st.sampled_from([0, 1, 3]))
def test_top_tokens_equal_a_stable_sort(seed: int, size: int, decimals: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(2, 3, size)).round(decimals).astype(np.float32)
    values, ids = top_tokens(torch.from_numpy(logits), 64)
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :64]
    assert (ids.numpy() == order).all()
    assert (values.numpy() == np.take_along_axis(logits, order, -1)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 40))
def test_entropy_and_second_moment_equal_scipy(seed: int, scale: float) -> None:
    logits = np.random.default_rng(seed).normal(size=(1, 4, 300)) * scale
    stats = distributions(torch.from_numpy(logits))
    shifted = logits.astype(np.float32).astype(np.float64)
    p = np.exp(shifted - shifted.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(stats.entropy.numpy(), entropy(p, axis=-1), atol=1e-4, rtol=1e-5)
    with np.errstate(divide="ignore", invalid="ignore"):
        second = np.nan_to_num(p * np.log(p) ** 2, nan=0.0).sum(-1)
    np.testing.assert_allclose(stats.second_moment.numpy(), second, atol=1e-4, rtol=1e-4)


def test_minus_infinity_is_a_probability_of_zero() -> None:
    stats = distributions(torch.tensor([[[0.0, -torch.inf, 0.0]]]))
    assert stats.entropy.item() == pytest.approx(np.log(2), abs=1e-6)
    assert stats.second_moment.item() == pytest.approx(np.log(2) ** 2, abs=1e-6)


def test_sampling_is_reproducible_and_independent_of_length_mates_and_truth() -> None:
    loaded = tiny("llama")
    context = np.random.default_rng(0).integers(0, VOCAB, (3, 9))
    decoding = Decoding(temperature=1.2, top_k=40, seed=11)
    long = trace(loaded, Prompts(context), 40, decoding, 0.0).generated_ids
    assert (trace(loaded, Prompts(context[:1]), 25, decoding, 0.0).generated_ids == long[:1, :25]).all()
    truth = long.copy()
    truth[:, 20:] = 7
    assert (trace(loaded, Prompts(context, truth), 40, decoding, 0.0).generated_ids == long).all()
    assert (
        trace(loaded, Prompts(context), 40, Decoding(temperature=1.2, top_k=40, seed=12), 0.0).generated_ids != long
    ).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0, expected a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 1.0, "top_k": 0}, "top_k is 0, expected at least 1"),
        ({"temperature": 1.0, "top_p": 1.5}, r"top_p is 1.5, expected a number in \(0, 1\]"),
        ({"temperature": 1.0, "seed": -1}, "seed is -1"),
        ({"top_k": 5}, "need sampling"),
    ],
)
def test_decodings_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Decoding(**options)  # type: ignore[arg-type]
