"""The logit lens of whole rows against a plain transformers computation, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB, one_pass, plain_generate, tiny

from memviz.engine import lens as engine_lens
from memviz.engine.layers import final_norm
from memviz.engine.lens import read_lens
from memviz.engine.loading import Loaded
from memviz.errors import InputError
from memviz.measures.lens import NEVER, LensScores, commit_layers

K, M = 9, 12


@pytest.fixture(scope="module")
def row() -> np.ndarray:
    return np.random.default_rng(3).integers(0, VOCAB, K + M)


@torch.inference_mode()
def plain(loaded: Loaded, row: np.ndarray) -> np.ndarray:
    """(l, M, V) log-probabilities: every hidden state of one forward pass through the norm and the head by hand."""
    last, states = one_pass(loaded, torch.from_numpy(row)[None])
    head, norm = loaded.model.get_output_embeddings(), final_norm(loaded.model)
    logits = [head(norm(each.to(loaded.device))).cpu() for each in states[:-1]] + [last]
    return torch.cat(logits)[:, K - 1 : -1].log_softmax(-1).numpy()


def check(found: LensScores, logprobs: np.ndarray, true_ids: np.ndarray) -> None:
    target = np.take_along_axis(logprobs, true_ids[None, :, None], axis=2)
    np.testing.assert_allclose(found.logprob, target[..., 0], atol=2e-4)
    np.testing.assert_allclose(found.entropy, -(np.exp(logprobs) * logprobs).sum(axis=2), atol=2e-4)
    np.testing.assert_allclose(found.top_logprobs, -np.sort(-logprobs, axis=2)[..., :5], atol=2e-4)
    above = (logprobs > target + 1e-3).sum(axis=2)  # nearly equal ones may stand either way
    near = (np.abs(logprobs - target) <= 1e-3).sum(axis=2)
    assert ((found.rank > above) & (found.rank <= above + near)).all()
    said = np.take_along_axis(logprobs, found.top_ids[..., :1].astype(int), axis=2)[..., 0]
    np.testing.assert_allclose(said, logprobs.max(axis=2), atol=2e-4)


def test_every_layer_is_the_plain_lens(family: Loaded, row: np.ndarray) -> None:
    true_ids = row[K:]
    found = read_lens(family, row[:K], true_ids, true_ids)
    assert found.rank.shape == (family.model.config.num_hidden_layers + 1, M)
    check(found, plain(family, row), true_ids)


def test_the_true_tokens_are_scored_while_the_model_reads_its_own(family: Loaded, row: np.ndarray) -> None:
    context, true_ids = row[:K], row[K:].copy()
    generated = plain_generate(family, torch.from_numpy(context)[None], M)[0].numpy()
    true_ids[:4] = generated[:4]
    found = read_lens(family, context, generated, true_ids)
    check(found, plain(family, np.concatenate([context, generated])), true_ids)
    np.testing.assert_array_equal(found.top_ids[-1, :, 0], generated)
    assert (found.commit[:4] != NEVER).all()


def test_blocks_change_nothing(row: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, seen = tiny("gemma3_text"), []
    whole = read_lens(loaded, row[:K], row[K:], row[K:])
    monkeypatch.setattr(engine_lens, "positions_at_once", lambda vocab_size: 5)
    parts = read_lens(loaded, row[:K], row[K:], row[K:], seen.append)
    for name in LensScores.__dataclass_fields__:
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), atol=1e-4, err_msg=name)
    assert seen == [0, 2, 7, 12]


def test_a_context_of_one_token(row: np.ndarray) -> None:
    loaded = tiny("llama")
    found = read_lens(loaded, row[:1], row[1:4], row[1:4])
    logprobs = one_pass(loaded, torch.from_numpy(row[:4])[None])[0].log_softmax(-1)[0, :3]
    expected = logprobs.gather(-1, torch.from_numpy(row[1:4, None]))[:, 0]
    np.testing.assert_allclose(found.logprob[-1], expected, atol=1e-4)


def test_a_model_with_steps_of_its_own_is_refused(row: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("llama")
    monkeypatch.setattr(engine_lens, "lens_logits", lambda model, states, last: model.lm_head(states) * 2)
    with pytest.raises(InputError, match="a way of its own"):
        read_lens(loaded, row[:K], row[K:], row[K:])


def test_what_does_not_fit_the_model_is_named(row: np.ndarray) -> None:
    with pytest.raises(ValueError, match="outside the vocabulary"):
        read_lens(tiny("gpt2"), row[:K], row[K:], row[K:] + VOCAB)


def test_commit_layers_by_hand() -> None:
    right = np.array([[1, 0, 0, 1, 1], [1, 1, 0, 0, 1], [1, 1, 0, 1, 0]], bool)
    assert commit_layers(right).tolist() == [0, 1, NEVER, 2, NEVER]
    assert commit_layers(np.zeros((3, 0), bool)).tolist() == []
