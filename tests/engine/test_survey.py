"""The survey of a batch against the trace of the same, and against decoding of each row alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import DEVICE, VOCAB, step_by_step, tiny

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.statistics import distributions, score
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts

K, M = 12, 40


def prompts_that_diverge_anywhere(loaded: Loaded, n: int, seed: int = 0) -> Prompts:
    """Row i leaves what the model writes at a position of its own; some never do, some at once."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, VOCAB, (n, K))
    truth = step_by_step(loaded, torch.from_numpy(context), M)[0].numpy().copy()
    for row in range(n):
        if row % 5:
            at = int(rng.integers(0, M)) if row % 5 > 1 else 0
            truth[row, at] = (truth[row, at] + 1) % VOCAB
    return Prompts(context, truth)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.wide) for seed in (1, 2))])
def test_a_batch_of_mixed_divergence_equals_plain_decoding(family: Loaded, seed: int) -> None:
    prompts = prompts_that_diverge_anywhere(family, 15, seed)
    found = survey(family, prompts, 1e-4)
    expected = step_by_step(family, torch.from_numpy(prompts.context_ids), M)[0].numpy()
    differs = found.generated_ids != expected
    for row in np.flatnonzero(differs.any(axis=1)):
        assert found.free_running_margin[row, differs[row].argmax()] < 2e-4
    assert differs.any(axis=1).sum() <= 1


def test_its_numbers_are_those_of_the_trace(family: Loaded) -> None:
    prompts = prompts_that_diverge_anywhere(family, 10)
    one, other = survey(family, prompts, 0.5), trace(family, prompts, M, Decoding(), 0.5)
    assert other.teacher_forced is not None and one.logit_noise == 0.5
    assert (one.generated_ids == other.generated_ids).all()
    pairs = {
        "context_entropy": other.context.entropy,
        "context_logprob": other.context.logprob,
        "free_running_entropy": other.free_running.entropy,
        "free_running_margin": other.free_running.margin,
        "teacher_forced_entropy": other.teacher_forced.entropy,
        "teacher_forced_logprob": other.teacher_forced.logprob,
    }
    for name, values in pairs.items():
        np.testing.assert_allclose(getattr(one, name), values, atol=1e-4, err_msg=name)
    assert (one.teacher_forced_rank == other.teacher_forced.rank).mean() > 0.999


def test_only_what_follows_a_divergence_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, n_read = tiny("llama"), 0
    prompts = prompts_that_diverge_anywhere(loaded, 15)
    expected = step_by_step(loaded, torch.from_numpy(prompts.context_ids), M)[0].numpy()
    prefix = (expected == prompts.continuation_ids).cumprod(axis=1).sum(axis=1)
    feed = Reader.feed

    def counting(self: Reader, token_ids: torch.Tensor) -> object:
        nonlocal n_read
        n_read += token_ids.numel()
        return feed(self, token_ids)

    monkeypatch.setattr(Reader, "feed", counting)
    survey(loaded, prompts, 0.0)
    least = 15 * (K + M) + np.where(prefix < M, M - 1 - prefix, 0).sum()
    assert least <= n_read < least + 15 * 8  # rows within 8 tokens enter together
    n_read = 0
    memorized = np.flatnonzero(prefix == M)
    survey(loaded, Prompts(prompts.context_ids[memorized], expected[memorized]), 0.0)
    assert n_read == len(memorized) * (K + M)


def test_essential_statistics_equal_the_full_ones() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 70, 50) * 4
    logits[0, 0, 7:] = -torch.inf  # 0 log 0
    logits[1, 2, 4] = logits[1, 2, 9] = 30.0  # a tie goes to the lowest id
    targets = torch.randint(0, 7, (3, 70))
    targets[1, 2] = 9
    there = logits.to(DEVICE)
    lean, full = distributions(there, 1), distributions(there)
    for name in ("log_normaliser", "entropy", "margin", "second_moment"):
        torch.testing.assert_close(getattr(lean, name), getattr(full, name), atol=1e-5, rtol=1e-5)
    assert (lean.top_ids[..., 0] == full.top_ids[..., 0]).all() and lean.top_ids[1, 2, 0] == 4
    order = np.argsort(-logits.numpy(), axis=-1, kind="stable")
    ranks = 1 + (order == targets[..., None].numpy()).argmax(axis=-1)
    targets = targets.to(DEVICE)
    assert (score(there, targets, lean.top_ids[..., 0])[1].cpu().numpy() == ranks).all() and ranks[1, 2] == 2
    assert (score(there, targets)[1].cpu().numpy() == ranks).all()
