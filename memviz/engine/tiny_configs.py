"""A tiny configuration of every causal family of transformers, from the names and types of its fields."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

VOCAB = 96
_SIZES: tuple[tuple[str, int], ...] = (
    (r"(.*_)?vocab(_size)?(_per_layer_input)?", VOCAB),
    (r"max_(position_embeddings|seq_len|sequence_length|target_positions|source_positions)|n_positions|n_ctx", 128),
    (r"(.*_)?(num_key_value_heads|kv_n_heads|indexer_kv_heads)|multi_query_group_num", 2),
    (r"(.*_)?(num_attention_heads|num_heads|n_heads?|attention_heads)|(index|linear_num)_.*heads", 4),
    (r"(.*_)?(num_hidden_layers|n_layers?|num_layers|encoder_layers|decoder_layers)", 2),
    (r"(.*_)?head_dim|attention_head_size|d_head|d_kv|head_size|kv_channels|rotary_dim|mamba_d_head", 8),
    (r"(.*_)?(intermediate_size|ffn_hidden_size|ffn_dim)|d_ff|n_inner|dim_ff|dff|mlp_dim|feed_forward_size", 64),
    (r"(.*_)?hidden_size(_.*)?|(d|dim)_model|n_embd|emb(edding|ed)?_(dim|size)|dim|word_embed_proj_dim|lru_width", 32),
    (r"n_routed_experts|(moe_)?num_(local_)?experts|n_experts", 4),
    (r"num_experts_per_(tok|token)|moe_(k|top_?k)|top_k_experts", 2),
    (r"n_group|topk_group|moe_layer_start_index|n_shared_experts", 1),
    (r".*_lora_rank|.*_rank", 8),
    (r"sliding_window|attention_window_size|window_size|attention_chunk_size|local_attention_window_len", 16),
    (r".*state_size|.*d_state", 8),
    (r".*chunk_size", 16),
    (r"bos_token_id", 1),
    (r"eos_token_id|decoder_start_token_id|forced_eos_token_id", 2),
    (r"pad_token_id", 0),
)
"""What a field of whole numbers is set to, by the first name that fits."""
_OPTIONAL = r"head_dim|num_key_value_heads|.*token_id|num_experts_per_tok|n_routed_experts|n_shared_experts"
"""Fields of None that are set too; others mean that a part of the model is left out."""
_LINEAR = {"layer_types": ["linear_attention", "full_attention"]}
_SHARED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_hidden_layers": 4}
_DRAFTER = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "head_dim": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size_per_layer_input": 0,
    "vocab_size_per_layer_input": 0,
    "layer_types": ["sliding_attention", "full_attention"],
}
_GIVEN: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"layer_group_size": 2},
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 8},
    "cohere_compass_text": {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        }
    },
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8}},
    "dots3_note_audio_encoder": {"adapter_input_size": 32, "adapter_out_dim": 32},
    "dots3_note_vision_encoder": {"mlp_layer_types": ["dense", "dense"], "adapter_in_dim": 32, "adapter_out_dim": 32},
    "gemma4_assistant": {"text_config": _DRAFTER | {"model_type": "gemma4_text"}},
    "gemma4_unified_assistant": {"text_config": _DRAFTER | {"model_type": "gemma4_unified_text"}},
    "gemma3n_text": {**_SHARED, "num_kv_shared_layers": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "mamba_n_heads": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": _LINEAR,
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "nemotron_h": {"layers_block_type": ["mamba", "attention", "moe"], "n_groups": 1, "mamba_num_heads": 8},
    "qwen3_next": _LINEAR,
    "qwen3_5_text": _LINEAR,
    "qwen3_5_moe_text": _LINEAR,
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "indexed_attention"],
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 16,
        "indexer_compress_ratio": 4,
    },
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "reformer": {
        "is_decoder": True,
        "attn_layers": ["local", "lsh"],
        "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [8, 24],
        "num_buckets": 4,
        "local_attn_chunk_length": 16,
        "lsh_attn_chunk_length": 16,
    },
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"], "n_mamba_heads": 8, "mamba_headdim": 8},
    "zaya": {"num_experts_per_tok": 1},
}
"""What the names of fields do not tell: patterns of layers, and sizes that must fit each other."""


def tiny_config(family: str) -> PretrainedConfig:
    """A configuration of a model of some ten thousand parameters. Raises whatever transformers makes of it."""
    return CONFIG_MAPPING[family](**_fields_of(CONFIG_MAPPING[family], family))


def _fields_of(kind: type[PretrainedConfig], family: str) -> dict[str, Any]:
    given = _GIVEN.get(family, {})
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        default = None if field.default is dataclasses.MISSING else field.default
        of_numbers = type(default) is int or (default is None and "int" in str(field.type))
        if of_numbers and (default is not None or re.fullmatch(_OPTIONAL, field.name)):
            size = next((size for name, size in _SIZES if re.fullmatch(name, field.name)), None)
            values |= {} if size is None else {field.name: size}
    if "qk_rope_head_dim" in values:  # latent attention has as many keys as queries
        values["num_key_value_heads"] = values["num_attention_heads"]
    for name, part in _parts_of(kind).items():
        values[name] = _fields_of(*part) if name not in given else given[name]
    return values | given


def _parts_of(kind: type[PretrainedConfig]) -> dict[str, tuple[Any, str]]:
    """Classes and families of the configurations inside a configuration."""
    parts: dict[str, tuple[Any, str]] = {}
    for name, part in (getattr(kind, "sub_configs", None) or {}).items():
        spec = (getattr(kind, "sub_configs_defaults", None) or {}).get(name)
        family = str(getattr(spec, "model_type", None) or getattr(part, "model_type", ""))
        if part is AutoConfig:
            part = CONFIG_MAPPING[family] if family in CONFIG_MAPPING else None  # noqa: SIM401 - `get` imports nothing
        if part is not None and dataclasses.is_dataclass(part):
            parts[name] = (part, family)
    return parts
