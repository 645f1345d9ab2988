"""The end of a model, layer by layer: its final norm, and what every layer would say through it (the logit lens)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from transformers import PreTrainedModel

from memviz.engine.sizes import text_config
from memviz.errors import InputError

Head = Callable[[torch.Tensor], torch.Tensor]
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
    states = hidden.to(head.weight.dtype)
    return _logits(model, head, states if is_last else final_norm(model)(states)).float()


def _logits(model: PreTrainedModel, head: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Logits (..., V) of states (..., d) after the final norm, in the model's precision, as most families do it."""
    config = text_config(model)
    cap, scale = getattr(config, "final_logit_softcapping", None), getattr(config, "logit_scale", None)
    logits = head(states) if scale is None else head(states) * scale
    return logits if cap is None else cap * torch.tanh(logits / cap)


@torch.inference_mode()
def separate_head(model: PreTrainedModel) -> Head | None:
    """What makes logits of the base model's last states, or None where the model has a way of its own.

    Asked of four tokens, it must be what the model itself says, to the last bit.
    """
    head, body = model.get_output_embeddings(), model.base_model
    taken = [inspect.signature(each.forward).parameters for each in (body, model)]
    alike = all((name in taken[0]) == (name in taken[1]) for name in ("past_key_values", "position_ids"))
    if head is None or body is model or not alike:
        return None
    ids, found = torch.arange(4, device=model.device)[None], partial(_logits, model, head)
    try:
        logits = found(body(input_ids=ids, use_cache=False, return_dict=True).last_hidden_state)
        said = model(input_ids=ids, use_cache=False, return_dict=True).logits
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a forward makes of being asked in a way that it may not know
        return None
    same = logits.shape == said.shape and torch.allclose(logits.float(), said.float(), rtol=0, atol=0, equal_nan=True)
    return found if same else None


def check_lens(lens: torch.Tensor, logits: torch.Tensor, name: str) -> None:
    """Raise InputError where the lens at the last layer (..., V) is not what the model itself says."""
    allowed = _TOLERANCE * float(logits.abs().max().clamp_min(1))
    worst = float((lens - logits.float()).abs().max())
    if worst > allowed:
        raise InputError(
            f"{name} turns its last layer into logits in a way of its own (off by {worst:.2g} logits), "
            "so its other layers cannot be read through a logit lens"
        )
