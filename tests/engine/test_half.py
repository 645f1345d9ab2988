"""Below float32: one pass up to the first divergence, step by step on its cache, against steps alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import FAMILIES, VOCAB, noise_of, one_pass, step_by_step, tiny

from memviz.engine.loading import Loaded
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts

K, M, ROWS = 12, 40, 24
CLOSE = 1e-4


@pytest.fixture(params=["bfloat16", "float16"])
def half(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=list(FAMILIES))
def loaded(request: pytest.FixtureRequest, half: str) -> Loaded:
    return tiny(request.param, half)


def prompts_of(loaded: Loaded, n: int = ROWS, seed: int = 0) -> Prompts:
    """A third of the rows is what the model writes step by step, the others leave it somewhere."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, VOCAB, (n, K))
    truth = step_by_step(loaded, torch.from_numpy(context), M)[0].numpy().copy()
    for row in range(n):
        if row % 3:
            truth[row, rng.integers(0, M)] = rng.integers(0, VOCAB)
    return Prompts(context, truth)


def test_first_differences_from_steps_alone_are_fragile(loaded: Loaded) -> None:
    prompts, noise = prompts_of(loaded), noise_of(loaded)
    found = survey(loaded, prompts, noise)
    expected = step_by_step(loaded, torch.from_numpy(prompts.context_ids), M)[0].numpy()
    differs = found.generated_ids != expected
    rows = np.flatnonzero(differs.any(axis=1))
    assert (found.free_running_margin[rows, differs[rows].argmax(axis=1)] < 2 * noise).all()
    assert len(rows) < ROWS / 2


def test_stepwise_reading_is_plain_decoding(loaded: Loaded) -> None:
    prompts = prompts_of(loaded, 1)  # so few tokens that a product is what it is without memviz
    result = trace(loaded, prompts, M, Decoding(), 0.0, reading="stepwise")
    expected, logits = step_by_step(loaded, torch.from_numpy(prompts.context_ids), M)
    assert (result.generated_ids == expected.numpy()).all()
    top = logits.topk(2).values
    np.testing.assert_allclose(result.free_running.margin, top[..., 0] - top[..., 1], atol=CLOSE)


def test_memorized_is_what_one_pass_says(half: str) -> None:
    """Up to the first divergence the verified tokens are the likeliest of one plain pass, to the last bit."""
    loaded = tiny("llama", half)
    prompts = prompts_of(loaded)
    found = survey(loaded, prompts, 0.0)
    assert prompts.continuation_ids is not None
    row = torch.from_numpy(np.concatenate([prompts.context_ids, prompts.continuation_ids], axis=1))
    likeliest = one_pass(loaded, row)[0][:, K - 1 : -1].float().argmax(-1).numpy()
    prefix = (likeliest == prompts.continuation_ids).cumprod(axis=1).sum(axis=1)
    for own, said, n in zip(found.generated_ids, likeliest, prefix, strict=True):
        assert (own[: n + 1] == said[: n + 1]).all()
    assert {0 < n < M for n in prefix} == {True, False}


def test_numbers_are_kept_in_float32(half: str) -> None:
    loaded = tiny("llama", half)
    result = trace(loaded, prompts_of(loaded, 1), M, Decoding(), noise_of(loaded))
    assert result.logit_noise > 1e-3 and result.free_running.entropy.dtype == np.float32
    assert result.hidden is not None and result.hidden.free_running.dtype == np.float32
