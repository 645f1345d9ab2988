"""Sizes of a model by whichever name its family gives them; a guess where it has none of the names."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
_WIDTHS = ("hidden_size", "d_model", "n_embd", "embed_dim", "dim_model")
_HEADS = ("num_key_value_heads", "num_attention_heads", "num_heads", "n_head", "n_heads")


def text_config(model: PreTrainedModel) -> PretrainedConfig:
    """The part of a configuration that is about text, the whole one where nothing tells it."""
    try:
        return model.config.get_text_config()
    except Exception:  # transformers raises several kinds where a configuration has several texts
        return model.config


def _number(config: Any, names: tuple[str, ...], otherwise: int) -> int:
    for name in names:
        try:
            value = getattr(config, name)
        except Exception:  # sizes that differ from layer to layer raise an error of their own
            continue
        if type(value) is int and value > 0:
            return value
    return otherwise


def n_layers(model: PreTrainedModel) -> int:
    """The last layer's number; 0 is the embedding."""
    return _number(text_config(model), _LAYERS, 1)


def hidden_size(model: PreTrainedModel) -> int:
    """Width of a hidden state, by the input embedding where the configuration has no name for it."""
    width = _number(text_config(model), _WIDTHS, 0)
    if width:
        return width
    try:
        return int(model.get_input_embeddings().weight.shape[-1])
    except Exception:
        return 1024


def vocab_size(model: PreTrainedModel, otherwise: int) -> int:
    """Numbers that the model gives at each position, as its configuration says."""
    return _number(text_config(model), ("vocab_size",), otherwise)


def bytes_per_index(model: PreTrainedModel, n_bytes: int, n_layers_kept: int) -> int:
    """Of one token of one row while it is read: its keys and values thrice over, its states, those that are kept."""
    config, width, layers = text_config(model), hidden_size(model), n_layers(model)
    heads = _number(config, _HEADS, 1)
    head_dim = _number(config, ("head_dim",), 0) or width // _number(config, _HEADS[1:], 1)
    cache = 2 * layers * heads * head_dim * n_bytes
    return 3 * cache + (layers + 9) * width * n_bytes + n_layers_kept * width * 4
