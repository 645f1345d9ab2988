"""Write tests/fixtures/causes.json: silenced heads, attention, direct contributions, of tiny models by TransformerLens.

It brings too much for a pin, so it is run in an environment of its own, with memviz's requirements beside it:

    pip install -r requirements.txt transformer-lens==2.16.1
    PYTHONPATH=.:tests python scripts/reference_causes.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.tiny_models import VOCAB, tiny
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights, convert_neox_weights

K, M = 7, 6
OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "causes.json"


def hooked(family: str) -> HookedTransformer:
    """A tiny model of the tests as a model of TransformerLens: its weights, its library's own forward."""
    theirs = tiny(family).model
    config = theirs.config
    shape = {"n_layers": 2, "n_heads": 4, "d_model": 32, "d_head": 8, "d_vocab": VOCAB, "n_ctx": 160}
    if family == "gpt2":
        more = {"d_mlp": 128, "act_fn": "gelu_new", "normalization_type": "LN", "eps": config.layer_norm_epsilon}
        convert = convert_gpt2_weights
    else:
        rotary = {"positional_embedding_type": "rotary", "rotary_adjacent_pairs": False, "parallel_attn_mlp": True}
        more = {
            "d_mlp": 64, "act_fn": "gelu", "normalization_type": "LN", "eps": config.layer_norm_eps,
            "rotary_dim": int(8 * config.rope_parameters["partial_rotary_factor"]), **rotary,
        }  # fmt: skip
        convert = convert_neox_weights
        theirs.embed_out = theirs.lm_head  # as transformers 4 called it
    cfg = HookedTransformerConfig(**shape, **more, device="cpu", seed=0)
    model = HookedTransformer(cfg, move_to_device=False)
    model.load_state_dict(model.fill_missing_keys(convert(theirs, cfg)), strict=False)
    return model.eval()


@torch.inference_mode()
def reference(family: str) -> dict[str, Any]:
    model, ids = hooked(family), torch.from_numpy(np.random.default_rng(5).integers(8, VOCAB, K + M))[None]
    truth, asked = ids[0, K:], slice(K - 1, K + M - 1)

    def logprob(hooks: list[Any]) -> list[float]:
        logits = model.run_with_hooks(ids, fwd_hooks=hooks)[0, asked].float()
        return logits.log_softmax(-1).gather(-1, truth[:, None])[:, 0].tolist()

    def without(head: int) -> Any:
        def hook(z: torch.Tensor, hook: Any) -> torch.Tensor:
            z[:, :, head] = 0
            return z

        return hook

    heads = [(layer, head) for layer in range(2) for head in range(4)]
    logits, cache = model.run_with_cache(ids)
    attention = [cache["pattern", layer][0, head, asked] for layer, head in heads]
    chosen = logits[0, asked]
    other = chosen.scatter(-1, truth[:, None], -torch.inf).argmax(-1)
    direction = (model.W_U[:, truth] - model.W_U[:, other]).T
    written = []
    for name in ("attn_out", "mlp_out"):
        for layer in range(2):
            part = cache[name, layer][0, asked]
            part = (part - part.mean(-1, keepdim=True)) / cache["ln_final.hook_scale"][0, asked]
            written.append(((part * model.ln_final.w) * direction).sum(-1))
    lead = chosen.gather(-1, truth[:, None])[:, 0] - chosen.gather(-1, other[:, None])[:, 0]
    return {
        "ids": ids[0].tolist(),
        "whole": logprob([]),
        "zero": [logprob([(f"blocks.{layer}.attn.hook_z", without(head))]) for layer, head in heads],
        "attention": torch.stack(attention).tolist(),
        "attention_written": torch.stack(written[:2]).tolist(),
        "mlp_written": torch.stack(written[2:]).tolist(),
        "lead": lead.tolist(),
    }


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


if __name__ == "__main__":
    found = {family: rounded(reference(family)) for family in ("gpt2", "gpt_neox")}
    OUT.write_text(json.dumps(found) + "\n", "utf-8")
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")
