"""The causal views against plain transformers: edited weights, changed rows, hooks and norms written by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB, tiny
from transformers import GPT2Config, GPT2LMHeadModel

from memviz.catalog import Card
from memviz.engine.blocks import find_blocks
from memviz.engine.causes import Row, read_occlusion, read_recovery
from memviz.engine.contributions import read_contributions
from memviz.engine.heads import cost_of_heads, n_rows_of_heads, read_heads
from memviz.engine.layers import final_norm
from memviz.engine.loading import Loaded
from memviz.errors import InputError
from memviz.measures.causes import prefix

K, M, N_LEADING = 7, 6, 1
PLAIN = ("gpt_neox", "llama", "gpt2", "gemma3_text")


@pytest.fixture(scope="module", params=PLAIN)
def row(request: pytest.FixtureRequest) -> Row:
    ids = np.random.default_rng(5).integers(8, VOCAB, K + M)
    return Row(tiny(request.param), ids[:K].tolist(), ids[K:].tolist())


def ignore(n: int) -> None:
    pass


@torch.inference_mode()
def plain(model: torch.nn.Module, ids: torch.Tensor) -> np.ndarray:
    """(n, M) log p of the last M tokens of (n, p) ids, by one forward."""
    logprobs = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[:, -M - 1 : -1]
    return logprobs.gather(-1, ids[:, -M:, None])[..., 0].cpu().numpy()


def test_occlusion_is_a_forward_for_every_changed_row(row: Row) -> None:
    k, ids = K - N_LEADING, row.ids
    others = np.random.default_rng(1).integers(8, VOCAB, (k, 3))
    found = read_occlusion(row, N_LEADING, others, ignore)
    np.testing.assert_allclose(found.whole_logprob, plain(row.loaded.model, ids)[0], atol=1e-4)
    for j in range(k):
        changed = ids.repeat(3, 1)
        changed[:, N_LEADING + j] = torch.from_numpy(others[j])
        np.testing.assert_allclose(found.replaced_logprob[j], plain(row.loaded.model, changed), atol=1e-4)
        shorter = torch.cat([ids[:, : N_LEADING + j], ids[:, N_LEADING + j + 1 :]], dim=1)
        np.testing.assert_allclose(found.dropped_logprob[j], plain(row.loaded.model, shorter)[0], atol=1e-4)
    mean = found.whole_logprob - found.replaced_logprob.mean(axis=1)
    np.testing.assert_allclose(found.drop("replaced"), mean, atol=1e-5)


def test_the_least_context_keeps_the_prefix_and_no_token_more_can_go() -> None:
    loaded = tiny("gpt_neox")
    context = np.random.default_rng(2).integers(8, VOCAB, 6)
    with torch.inference_mode():  # a truth that the model itself writes is recited whole
        truth = loaded.model.generate(
            torch.from_numpy(context)[None], max_new_tokens=M, do_sample=False, eos_token_id=None, pad_token_id=0
        )[0, 6:].tolist()
    found = read_occlusion(Row(loaded, context.tolist(), truth), 0, np.full((6, 1), 9), ignore)
    assert prefix(found.whole_match) == M and 0 < found.kept.sum() <= 6
    ids = torch.tensor([[*context[found.kept].tolist(), *truth]])
    argmax = loaded.model(input_ids=ids).logits[0, -M - 1 : -1].argmax(-1)
    assert argmax.tolist() == truth


def weights_without(model: torch.nn.Module, head: int, layer: int, fill: torch.Tensor | None) -> torch.nn.Module:
    """A copy whose projection of one head is zero, with what a constant head (width,) would give in the bias."""
    changed = copy.deepcopy(model)
    block = find_blocks(changed, "float32")[layer]
    projection = block.projection
    weight = projection.weight if isinstance(projection, torch.nn.Linear) else projection.weight.T
    width = weight.shape[1] // block.n_heads
    at = slice(head * width, (head + 1) * width)
    constant = None if fill is None else weight[:, at] @ fill
    weight[:, at] = 0
    if constant is not None:
        projection.register_forward_hook(lambda module, given, output: output + constant)
    return changed


@torch.inference_mode()
def test_a_silenced_head_is_one_whose_weights_are_zero(row: Row) -> None:
    found = read_heads(row, 0, ignore)
    model = row.loaded.model
    config = model.config.get_text_config()
    assert len(found.layer) == config.num_hidden_layers * 4
    given: dict[int, torch.Tensor] = {}
    blocks = find_blocks(model, "float32")
    hooks = [
        block.projection.register_forward_pre_hook(lambda module, args, i=i: given.update({i: args[0][0]}))
        for i, block in enumerate(blocks)
    ]
    whole = plain(model, row.ids)[0]
    for hook in hooks:
        hook.remove()
    for at in (0, len(found.layer) - 2):
        layer, head = int(found.layer[at]) - 1, int(found.number[at])
        width = given[layer].shape[1] // 4
        mean = given[layer][:, head * width : (head + 1) * width].mean(dim=0)
        np.testing.assert_allclose(
            found.zero_logprob[at], plain(weights_without(model, head, layer, None), row.ids)[0], atol=1e-4
        )
        np.testing.assert_allclose(
            found.mean_logprob[at], plain(weights_without(model, head, layer, mean), row.ids)[0], atol=1e-4
        )
    np.testing.assert_allclose(found.whole_logprob, whole, atol=1e-4)
    strongest = int(found.drop("zero").argmax())
    np.testing.assert_allclose(found.strongest_logprob[0], found.zero_logprob[strongest], atol=1e-4)
    everything = copy.deepcopy(model)
    for block in find_blocks(everything, "float32"):
        block.projection.register_forward_pre_hook(lambda module, args: (torch.zeros_like(args[0]),))
    np.testing.assert_allclose(found.strongest_logprob[-1], plain(everything, row.ids)[0], atol=1e-4)
    np.testing.assert_allclose(found.random_logprob[-1], found.strongest_logprob[-1:].repeat(5, 0), atol=1e-4)


def test_the_cost_of_heads_over_rows_is_that_of_each_row(row: Row) -> None:
    ids = np.random.default_rng(6).integers(8, VOCAB, K + M)
    other = Row(row.loaded, ids[:K].tolist(), ids[K:].tolist())
    layer, number, whole, drop = cost_of_heads([row, other], ignore)
    for each, alone, cost in zip((row, other), whole, drop, strict=True):
        found = read_heads(each, 0, ignore)
        np.testing.assert_array_equal([layer, number], [found.layer, found.number])
        np.testing.assert_allclose(cost, found.drop("zero"), atol=1e-4)
        np.testing.assert_allclose(alone, found.whole_logprob.mean(), atol=1e-4)


def test_progress_counts_every_row(row: Row) -> None:
    ticks: list[int] = []
    found = read_heads(row, 0, ticks.append)
    assert sum(ticks) == n_rows_of_heads(len(found.layer))


@torch.inference_mode()
def test_attention_is_the_models_own(row: Row) -> None:
    found = read_heads(row, 0, ignore)
    eager = copy.deepcopy(row.loaded.model)
    eager.set_attn_implementation("eager")
    said = torch.cat([each[0] for each in eager(input_ids=row.ids, output_attentions=True).attentions])
    np.testing.assert_allclose(found.attention, said[:, K - 1 : -1], atol=1e-3)
    assert (found.attention[:, 0, K:] == 0).all()  # nothing looks ahead


@torch.inference_mode()
def test_layers_add_up_to_the_lead_of_the_true_token(row: Row) -> None:
    found, model = read_contributions(row), row.loaded.model
    output = model(input_ids=row.ids, output_hidden_states=True)
    logits = output.logits[0, K - 1 : -1].float()
    true_ids = row.ids[0, K:]
    rest = logits.scatter(-1, true_ids[:, None], -torch.inf)
    np.testing.assert_array_equal(found.other_ids, rest.argmax(-1))
    lead = (logits.gather(-1, true_ids[:, None])[:, 0] - rest.amax(-1)).numpy()
    np.testing.assert_allclose(found.difference, lead, atol=1e-4)
    assert np.abs(found.residual).max() < 2e-4 * max(1, np.abs(lead).max())
    assert np.isfinite(found.attention).all()
    # the first block's share by hand: the norm's derivative in its states, its scale held
    before, after = (states[0, K - 1 : -1] for states in output.hidden_states[:2])
    kept: list[torch.Tensor] = []
    hook = final_norm(model).register_forward_pre_hook(lambda module, args: kept.append(args[0][0, K - 1 : -1]))
    model(input_ids=row.ids)
    hook.remove()
    last = kept[0]
    norm, head = final_norm(model), model.get_output_embeddings().weight
    zero = norm(torch.zeros_like(last))  # its bias
    moments = (last.var(-1, unbiased=False) if "Layer" in type(norm).__name__ else last.square().mean(-1)).sqrt()
    added = after - before
    if "Layer" in type(norm).__name__:
        added = added - added.mean(-1, keepdim=True)
    gain = (norm(last) - zero) / (last - last.mean(-1, keepdim=True) if "Layer" in type(norm).__name__ else last)
    by_hand = ((head[true_ids] - head[rest.argmax(-1)]) * added * gain).sum(-1)
    assert moments.min() > 0
    np.testing.assert_allclose(found.layer[0], by_hand, atol=1e-2 * max(1.0, float(by_hand.abs().max())))


@torch.inference_mode()
def test_a_restored_state_is_a_hook_by_hand(row: Row) -> None:
    model, sigma = row.loaded.model, 2.0
    found = read_recovery(row, N_LEADING, sigma, 2, 3, ignore)
    k = K - N_LEADING
    blocks, embedding = find_blocks(model, "float32"), model.get_input_embeddings()
    assert found.restored_logprob.shape == (3, len(blocks), k, M) and np.isfinite(found.restored_logprob).all()
    words = embedding(row.ids)[0, N_LEADING:K]
    draws = np.random.default_rng(3).standard_normal((2, *words.shape)).astype(np.float32)
    noise = torch.from_numpy(draws) * sigma * words.std()
    clean: dict[int, torch.Tensor] = {}
    hook = blocks[1].module.register_forward_hook(
        lambda module, args, out: clean.update({1: out if torch.is_tensor(out) else out[0]})
    )
    model(input_ids=row.ids)
    hook.remove()
    at, noisy, back = N_LEADING + 2, [], []
    for one in noise:
        add = embedding.register_forward_hook(
            lambda module, args, out, one=one: out + torch.nn.functional.pad(one, (0, 0, N_LEADING, M))
        )
        noisy.append(plain(model, row.ids)[0])

        def restore(module, args, out):
            states = (out if torch.is_tensor(out) else out[0]).clone()
            states[0, at] = clean[1][0, at]
            return states if torch.is_tensor(out) else (states, *out[1:])

        put = blocks[1].module.register_forward_hook(restore)
        back.append(plain(model, row.ids)[0])
        put.remove()
        add.remove()
    np.testing.assert_allclose(found.noisy_logprob, noisy, atol=2e-4)
    np.testing.assert_allclose(found.restored_logprob[0, 1, 2], np.mean(back, axis=0), atol=2e-4)


def copying(period: int, n_positions: int, vocab: int) -> Loaded:
    """One layer of two heads, the second of which looks `period - 1` tokens back and writes what stands there."""
    width = 64
    model = GPT2LMHeadModel(
        GPT2Config(
            n_embd=width, n_layer=1, n_head=2, vocab_size=vocab, n_positions=n_positions, tie_word_embeddings=False
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.01)
        words, places = torch.eye(width)[:vocab], torch.eye(width)[vocab : vocab + n_positions]
        model.transformer.wte.weight.copy_(words)
        model.transformer.wpe.weight.copy_(places)
        model.lm_head.weight.copy_(words)
        for norm in (model.transformer.h[0].ln_1, model.transformer.h[0].ln_2, model.transformer.ln_f):
            norm.weight.fill_(1)
        attention = model.transformer.h[0].attn
        head = slice(width // 2, width)  # of the second, in each of query, key and value
        query, key, value = (attention.c_attn.weight[:, part * width :][:, head] for part in range(3))
        for i in range(n_positions):
            query[vocab + i, max(0, i - period + 1)] = 20
            key[vocab + i, i] = 20
        for i in range(vocab):
            value[i, i] = 1
            attention.c_proj.weight[head][i, i] = 50
    card = Card("copying", "gpt2", "", "local", "copying", [], 1, vocab, n_positions, [], [])
    return Loaded(model.requires_grad_(False), card, "float32", torch.device("cpu"))


def test_a_planted_head_that_copies_is_found() -> None:
    context = np.random.default_rng(0).permutation(12).tolist()
    row = Row(copying(12, 32, 16), context, context)
    found = read_heads(row, 0, ignore)
    assert prefix(found.whole_match) == 12
    copier = int(found.drop("zero").argmax())
    assert (found.layer[copier], found.number[copier]) == (1, 1)
    assert prefix(found.zero_match)[copier] < 3 and prefix(found.zero_match)[1 - copier] == 12
    looks = found.attention[copier].argmax(axis=1)
    np.testing.assert_array_equal(looks, np.arange(12))  # the token that is to come, one period back


def test_a_model_without_heads_is_told_so() -> None:
    found = find_blocks(tiny("qwen3_next").model, "float32")
    assert [block.n_heads for block in found] == [0, 4]
    loaded = tiny("qwen3_next")
    blocks = copy.deepcopy(loaded.model)
    blocks.model.layers[1].self_attn.__class__ = type("Mixer", (type(blocks.model.layers[1].self_attn),), {})
    row = Row(Loaded(blocks, loaded.card, "float32", loaded.device), [9, 10, 11], [12, 13])
    with pytest.raises(InputError, match="no attention heads"):
        read_heads(row, 0, ignore)
