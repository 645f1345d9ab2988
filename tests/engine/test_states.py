"""Hidden states of whole rows against transformers' own, against the trace, and through the model's last steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB, one_pass, tiny

from memviz.engine import states as engine_states
from memviz.engine.layers import check_lens, final_norm, lens_logits
from memviz.engine.loading import Loaded
from memviz.engine.states import read_points, read_states
from memviz.engine.tracing import trace
from memviz.errors import InputError
from memviz.records import BEFORE_NORM, Decoding, Prompts

N, P = 5, 30
HALF = 2e-3
"""Relative; float16 has 11 bits."""


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, VOCAB, (N, P))


def test_every_layer_is_that_of_transformers(family: Loaded, ids: np.ndarray) -> None:
    last = engine_states.n_layers(family.model)
    found = read_states(family, ids, tuple(range(last + 1)))
    logits, states = one_pass(family, torch.from_numpy(ids))
    for layer, expected in enumerate(states):
        np.testing.assert_allclose(found.of_layer(layer), expected.numpy(), rtol=HALF, atol=HALF)
    logprobs = logits[:, :-1].log_softmax(-1)
    own = logprobs.gather(-1, torch.from_numpy(ids[:, 1:, None]))[..., 0]
    np.testing.assert_allclose(found.logprob[:, 1:], own.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.entropy[:, 1:], -(logprobs.exp() * logprobs).sum(-1).numpy(), atol=1e-4)
    top = logits[:, :-1].topk(2).values
    np.testing.assert_allclose(found.margin[:, 1:], (top[..., 0] - top[..., 1]).numpy(), atol=1e-4)
    assert np.isnan(found.entropy[:, 0]).all() and np.isnan(found.logprob[:, 0]).all()


def test_the_final_norm_leads_from_one_kind_of_last_state_to_the_other(family: Loaded, ids: np.ndarray) -> None:
    last = engine_states.n_layers(family.model)
    found = read_states(family, ids, (BEFORE_NORM, last))
    before = torch.from_numpy(found.of_layer(BEFORE_NORM)).to(family.device)
    with torch.inference_mode():
        after = final_norm(family.model)(before).cpu().numpy()
    np.testing.assert_allclose(after, found.of_layer(last), rtol=2 * HALF, atol=2 * HALF)
    assert np.abs(found.of_layer(BEFORE_NORM) - found.of_layer(last)).max() > 0.1


def test_rows_a_model_wrote_give_the_states_it_had_while_it_wrote(family: Loaded) -> None:
    context = np.random.default_rng(1).integers(0, VOCAB, (3, 10))
    traced = trace(family, Prompts(context, None), 12, Decoding(), 1e-4)
    assert traced.hidden is not None
    last = engine_states.n_layers(family.model)
    found = read_states(family, np.concatenate([context, traced.generated_ids], axis=1), (last,)).of_layer(last)
    expected = np.concatenate([traced.hidden.context, traced.hidden.free_running], axis=1)[:, :, 0]
    np.testing.assert_allclose(found, expected, rtol=HALF, atol=HALF)


def test_points_are_the_states_and_the_entropy_at_their_indices(family: Loaded, ids: np.ndarray) -> None:
    last = engine_states.n_layers(family.model)
    index = (0, 1, 9, P - 4)
    found = read_points(family, ids, (BEFORE_NORM, last), index, with_entropy=True)
    logits, states = one_pass(family, torch.from_numpy(ids))
    np.testing.assert_allclose(found.of_layer(last), states[-1][:, list(index)].numpy(), rtol=HALF, atol=HALF)
    logprobs = logits[:, [at - 1 for at in index[1:]]].log_softmax(-1)
    assert found.entropy is not None and np.isnan(found.entropy[:, 0]).all()
    np.testing.assert_allclose(found.entropy[:, 1:], -(logprobs.exp() * logprobs).sum(-1).numpy(), atol=1e-4)
    changed = np.where(np.arange(P) > index[-1], 0, ids)  # what follows the last index is not read
    again = read_points(family, changed, (BEFORE_NORM, last), index)
    np.testing.assert_array_equal(again.hidden, found.hidden)
    assert again.entropy is None


def test_points_are_the_same_in_blocks(ids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, index = tiny("gpt2"), (0, 6, 7, 8, 29)
    whole = read_points(loaded, ids, (2,), index, with_entropy=True)
    monkeypatch.setattr(engine_states, "positions_at_once", lambda vocab_size: 7 * 2)
    monkeypatch.setattr("memviz.engine.tracing.rows_that_fit", lambda *_: 2)
    monkeypatch.setattr(engine_states.Reader, "reads_at_once", False)
    parts = read_points(loaded, ids, (2,), index, with_entropy=True)
    for name in ("hidden", "entropy"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=HALF, atol=HALF, err_msg=name)


@pytest.mark.parametrize("index", [(), (3, 2), (-1,), (5,)])
def test_indices_outside_the_rows_are_named(index: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are none of"):
        read_points(tiny("gpt2"), np.zeros((2, 5), np.int64), (2,), index)


def test_blocks_and_batches_change_nothing(ids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("gemma3_text")
    whole = read_states(loaded, ids, (BEFORE_NORM, 1, 3))
    monkeypatch.setattr(engine_states, "positions_at_once", lambda vocab_size: 7)
    monkeypatch.setattr("memviz.engine.tracing.rows_that_fit", lambda *_: 2)
    seen: list[tuple[int, int]] = []
    parts = read_states(loaded, ids, (BEFORE_NORM, 1, 3), lambda done, total: seen.append((done, total)))
    for name in ("hidden", "entropy", "margin", "logprob"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=HALF, atol=HALF, err_msg=name)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and len(seen) == 3


def test_states_beyond_float16_are_scaled_not_lost(ids: np.ndarray) -> None:
    loaded = tiny("gpt2")
    with torch.no_grad():
        block = loaded.model.transformer.h[0].mlp.c_proj.weight
        block.mul_(1e7)
    try:
        found = read_states(loaded, ids, (1, 2))
        expected = one_pass(loaded, torch.from_numpy(ids))[1][1].numpy()
    finally:
        with torch.no_grad():
            block.div_(1e7)
    assert np.abs(expected).max() > 65504 and (found.scale[:, 0] > 1).all() and (found.scale[:, 1] == 1).all()
    np.testing.assert_allclose(found.of_layer(1), expected, rtol=HALF, atol=HALF * np.abs(expected).max())
    cut = found.rows(np.array([2, 4]), 3)
    np.testing.assert_array_equal(cut.of_layer(1), found.of_layer(1)[[2, 4], 3:])


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [((9,), (2, 5), "layer 9 of gpt2: it has layers 0 to 2"), ((), (2, 5), "layer none"), ((1,), (2, 1), "p of at")],
)
def test_what_cannot_be_read_is_named(layers: tuple[int, ...], shape: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_states(tiny("gpt2"), np.zeros(shape, np.int64), layers)


def test_a_layer_that_was_not_kept_is_named(ids: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"layer 0 was not kept; kept are \[2\]"):
        read_states(tiny("gpt2"), ids, (2,)).of_layer(0)


def test_the_lens_at_the_last_layer_is_the_model(family: Loaded, ids: np.ndarray) -> None:
    last = engine_states.n_layers(family.model)
    states = read_states(family, ids, (last, BEFORE_NORM))
    logits = one_pass(family, torch.from_numpy(ids))[0]
    for layer, is_last in ((last, True), (BEFORE_NORM, False)):
        lens = lens_logits(family.model, torch.from_numpy(states.of_layer(layer)).to(family.device), is_last).cpu()
        assert (lens - logits).abs().max() < 2e-2 * logits.abs().max()
    check_lens(logits, logits, "it")
    with pytest.raises(InputError, match="a way of its own"):
        check_lens(logits * 1.01, logits, "it")
