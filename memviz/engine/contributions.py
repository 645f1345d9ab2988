"""What each block wrote of the true token's lead, through the final norm taken as linear."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from memviz.engine.blocks import captured, find_blocks, near
from memviz.engine.causes import Row
from memviz.engine.layers import final_norm
from memviz.engine.reader import Reader
from memviz.engine.sizes import text_config
from memviz.engine.statistics import most_likely
from memviz.errors import InputError
from memviz.measures.causes import Contributions


@torch.inference_mode()
def read_contributions(row: Row) -> Contributions:
    """Each block's share of the true token's lead over the likeliest other. Raises InputError where it has none."""
    model, dtype, asked = row.loaded.model, row.loaded.dtype, slice(row.p - row.m - 1, row.p - 1)
    blocks, norm, head = find_blocks(model, dtype), final_norm(model), model.get_output_embeddings()
    if head is None:
        raise InputError(
            f"{row.loaded.card.name} has no output layer that memviz can find, so nothing can be shared out"
        )
    given: dict[nn.Module, torch.Tensor] = {}
    made: dict[nn.Module, torch.Tensor] = {}
    inputs = [blocks[0].module, norm]
    handles = [each.register_forward_pre_hook(_keep_input(given), with_kwargs=True) for each in inputs]
    wanted = [norm, *(block.module for block in blocks), *(block.parts[0] for block in blocks if block.parts)]
    try:
        with captured(wanted, made):
            reader = Reader(row.loaded, with_cache=False)
            logits = reader.logits(reader.feed(row.ids).states[:, asked])[0].float()
    finally:
        for handle in handles:
            handle.remove()
    target = row.true_ids[:, None]
    other = most_likely(logits.scatter(-1, target, -torch.inf))[:, None]
    difference = (logits.gather(-1, target) - logits.gather(-1, other))[:, 0]
    scale = getattr(text_config(model), "logit_scale", None) or 1.0
    direction = scale * (head.weight[target[:, 0]] - head.weight[other[:, 0]]).float()
    share, shift = _linear(norm, given[norm][0, asked].float(), made[norm][0, asked].float(), direction, row)
    bias = torch.zeros_like(difference)
    if getattr(head, "bias", None) is not None:
        bias = scale * (head.bias[target[:, 0]] - head.bias[other[:, 0]]).float()
    start = given[blocks[0].module]
    states = [start, *(made[block.module] for block in blocks)]
    steps = [share((after - before)[0, asked].float()) for before, after in pairwise(states)]
    none = torch.full_like(difference, torch.nan)
    attention = [share(made[b.parts[0]][0, asked].float()) if b.parts else none for b in blocks]
    behind = share((given[norm] - states[-1])[0, asked].float())
    values = [
        difference,
        share(start[0, asked].float()),
        torch.stack(steps),
        torch.stack(attention),
        shift + bias + behind,
    ]
    numbers = [each.cpu().numpy() for each in values]
    return Contributions(row.truth, other[:, 0].cpu().numpy(), *numbers)


def _keep_input(into: dict[nn.Module, torch.Tensor]) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        into[module] = args[0] if args else kwargs["hidden_states"]

    return hook


def _linear(
    norm: nn.Module, given: torch.Tensor, made: torch.Tensor, direction: torch.Tensor, row: Row
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    """A norm at the scale it has on states (m, d), as a linear map along directions (m, d): the map, and its constant.

    Tried are the ways in which norms differ: mean taken off or not, gain w or 1 + w. Raises InputError for another.
    """
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    shift = torch.zeros_like(given[0]) if bias is None else bias.float()
    gains = [torch.ones_like(given[0])] if weight is None else [weight.float(), 1 + weight.float()]
    for centred in (True, False):
        for gain in gains:
            moved = gain * (given - given.mean(-1, keepdim=True) if centred else given)
            scale = ((made - shift) * moved).sum(-1, keepdim=True) / moved.square().sum(-1, keepdim=True)
            if near(scale * moved + shift, made, row.loaded.dtype):
                along = direction * gain * scale

                def share(part: torch.Tensor, along: torch.Tensor = along, centred: bool = centred) -> torch.Tensor:
                    return (along * (part - part.mean(-1, keepdim=True) if centred else part)).sum(-1)

                return share, (direction * shift).sum(-1)
    raise InputError(
        f"the final norm of {row.loaded.card.name} is of a kind that memviz cannot take as linear, so what its layers "
        "wrote cannot be shared out"
    )
