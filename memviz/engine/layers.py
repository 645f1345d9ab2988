"""The end of a model, layer by layer: its final norm, and what every layer would say through it (the logit lens)."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from memviz.engine.sizes import text_config
from memviz.errors import InputError

_TOLERANCE = 1e-3
"""Logit units in float32, relative to the largest logit, by which the lens at the last layer may miss the model."""


def final_norm(model: PreTrainedModel) -> nn.Module:
    """The module that turns the last block's output into the last hidden state.

    It is the last of the base model's own children that is a norm. Raises InputError where there is none.
    """
    norms = [child for child in model.base_model.children() if "norm" in type(child).__name__.lower()]
    if not norms:
        raise InputError(f"{type(model).__name__} has no final norm that memviz can find: choose another layer")
    return norms[-1]


@torch.inference_mode()
def lens_logits(model: PreTrainedModel, hidden: torch.Tensor, is_last: bool) -> torch.Tensor:
    """Logits (..., V) float32 of one layer's states (..., d); the last layer's are after the final norm already.

    nostalgebraist 2020, "interpreting GPT: the logit lens". Raises InputError.
    """
    head = model.get_output_embeddings()
    if head is None:
        raise InputError(f"{type(model).__name__} has no output embedding, so no layer of it can be read as tokens")
    weight = head.weight
    states = hidden.to(weight.dtype)
    logits = head(states if is_last else final_norm(model)(states)).float()
    config = text_config(model)
    cap = getattr(config, "final_logit_softcapping", None)
    scale = getattr(config, "logit_scale", None)
    logits = logits if scale is None else logits * scale
    return logits if cap is None else cap * torch.tanh(logits / cap)


def check_lens(lens: torch.Tensor, logits: torch.Tensor, name: str) -> None:
    """Raise InputError where the lens at the last layer (..., V) is not what the model itself says."""
    allowed = _TOLERANCE * float(logits.abs().max().clamp_min(1))
    worst = float((lens - logits.float()).abs().max())
    if worst > allowed:
        raise InputError(
            f"{name} turns its last layer into logits in a way of its own (off by {worst:.2g} logits), "
            "so its other layers cannot be read through a logit lens"
        )
