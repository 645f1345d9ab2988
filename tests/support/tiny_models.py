"""Tiny random models of several families, and the plain ways of decoding that the engine is held against."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig
from transformers.models.auto.configuration_auto import AutoConfig

from memviz.catalog import Card
from memviz.engine.devices import choose_device, use_exact_float32
from memviz.engine.loading import Loaded
from memviz.engine.noise import measure_logit_noise
from memviz.engine.widening import needs_widening, widened

DEVICE = choose_device(os.environ.get("MEMVIZ_DEVICE", "cpu"))
VOCAB, LIMIT, EOS = 97, 160, 5
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
FAMILIES = {
    "gpt_neox": {**TINY},
    "llama": {**TINY, "num_key_value_heads": 2},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gemma3_text": {**TINY, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 12, "num_hidden_layers": 3},
    "qwen3_next": {
        **TINY,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_experts": 0,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "layer_types": ["linear_attention", "full_attention"],
    },
}
"""One plain-attention family each, one with sliding windows shorter than the prompts, one that cannot roll back."""


@cache
def tiny(family: str, dtype: str = "float32") -> Loaded:
    """A random model of a family, sharpened so that it has preferences and loops, as trained ones do."""
    use_exact_float32()
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family, **FAMILIES[family], vocab_size=VOCAB, max_position_embeddings=LIMIT, eos_token_id=EOS, bos_token_id=1
    )
    model = (
        AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
        .eval()
        .requires_grad_(False)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
        head = model.get_output_embeddings().weight
        for _ in range(5):  # tied embeddings change what they read too
            head.mul_(2.5 / model(torch.arange(40)[None]).logits.std())
    model = model.to(DEVICE, getattr(torch, dtype))
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert n_parameters < 200_000, f"a tiny {family} has {n_parameters} parameters"
    card = Card(family, family, "", "local", f"tiny-{family}", [], n_parameters, VOCAB, LIMIT, [], [EOS])
    return Loaded(model, card, dtype, DEVICE)


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever it gave for a model and the same arguments is given again: most of the tests' time is plain decoding.

    Only for what nobody changes, neither the model nor what is given.
    """
    found: WeakKeyDictionary[torch.nn.Module, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()

    @wraps(function)
    def ask(loaded: Loaded, *rest: Any) -> Any:
        of_model = found.setdefault(loaded.model, {})
        key = tuple((each.numpy().tobytes(), each.shape) if torch.is_tensor(each) else each for each in rest)
        if key not in of_model:
            of_model[key] = function(loaded, *rest)
        return of_model[key]

    return ask


noise_of = kept(measure_logit_noise)


@torch.inference_mode()
def one_pass(loaded: Loaded, ids: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Logits (n, p, V) and every layer's states (n, p, d) of (n, p) ids, read by the model alone."""
    with widened(needs_widening(loaded.dtype, loaded.device), ids.numel()):
        output = loaded.model(ids.to(loaded.device), output_hidden_states=True, use_cache=False)
    return output.logits.cpu(), tuple(states.cpu() for states in output.hidden_states)


@kept
@torch.inference_mode()
def step_by_step(loaded: Loaded, context_ids: torch.Tensor, n_steps: int, barred: tuple[int, ...] = ()):
    """(generated (n, m), logits (n, m, V)): one token after another with a cache, nothing clever."""
    cache, ids, generated, logits = DynamicCache(config=loaded.model.config), context_ids.to(loaded.device), [], []
    for _ in range(n_steps):
        last = loaded.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[:, -1].float()
        logits.append(last)
        allowed = last.clone()
        allowed[:, list(barred)] = -torch.inf
        ids = allowed.argmax(-1, keepdim=True)
        generated.append(ids)
    return torch.cat(generated, dim=1).cpu(), torch.stack(logits, dim=1).cpu()


@kept
def generate(loaded: Loaded, context_ids: torch.Tensor, n_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(generated (n, m), logits (n, m, V)) by transformers' own greedy `generate`; an end of sequence is a token."""
    neutral = GenerationConfig(
        max_new_tokens=n_steps,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        bos_token_id=None,
        output_logits=True,
        return_dict_in_generate=True,
    )
    loaded.model.generation_config = GenerationConfig()
    ids = context_ids.to(loaded.device)
    written = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=neutral)
    return written.sequences[:, context_ids.shape[1] :].cpu(), torch.stack(written.logits, dim=1).cpu()


def plain_generate(loaded: Loaded, context_ids: torch.Tensor, n_steps: int) -> torch.Tensor:
    """The tokens alone."""
    return generate(loaded, context_ids, n_steps)[0]
