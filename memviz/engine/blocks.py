"""The blocks of a model: where attention heads meet, and which modules add to the state. Found by watching one pass.

No list of names decides but one: attention is the module whose class says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from memviz.engine.sizes import n_layers, text_config
from memviz.errors import InputError

N_WATCHED = 8
"""Tokens of the pass that is watched."""
TOLERANCES = {"float32": 1e-4}
"""Relative to the largest number, by which two ways of the same may differ; below float32, 0.05."""


@dataclass(frozen=True)
class Block:
    """One block of a model."""

    module: nn.Module
    projection: nn.Module | None
    """Turns the heads' outputs, side by side, into attention's; None where the block has no attention."""
    n_heads: int
    parts: tuple[nn.Module, nn.Module] | None
    """What the block adds is the output of the first, attention's side, plus that of the second; None: it is not."""


def near(one: torch.Tensor, other: torch.Tensor, dtype: str) -> bool:
    """Whether two arrays are the same but for rounding."""
    allowed = TOLERANCES.get(dtype, 0.05) * float(other.abs().max().clamp_min(1e-6))
    return one.shape == other.shape and float((one - other).abs().max()) <= allowed


@torch.inference_mode()
def find_blocks(model: PreTrainedModel, dtype: str) -> list[Block]:
    """Every block, first to last. Raises InputError where the model keeps none in a list."""
    n = n_layers(model)
    lists = [each for each in model.base_model.modules() if isinstance(each, nn.ModuleList) and len(each) == n]
    if not lists:
        raise InputError(f"{type(model).__name__} does not keep its {n} blocks in a list, so they cannot be told apart")
    seen: dict[nn.Module, tuple[torch.Tensor | None, torch.Tensor | None]] = {}

    def watch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        seen.setdefault(module, (given if isinstance(given, torch.Tensor) else None, tensor_of(output)))

    with ExitStack() as stack:
        for module in lists[0].modules():
            stack.callback(module.register_forward_hook(watch, with_kwargs=True).remove)
        model(input_ids=torch.arange(N_WATCHED, device=model.device)[None], use_cache=False)
    return [_block(module, seen, model, dtype) for module in lists[0]]


def tensor_of(output: Any) -> torch.Tensor | None:
    """The states among what a module gives."""
    first = output[0] if isinstance(output, tuple) and output else output
    return first if isinstance(first, torch.Tensor) else None


def _block(module: nn.Module, seen: dict[nn.Module, Any], model: PreTrainedModel, dtype: str) -> Block:
    inner = set(module.modules()) - {module}
    order = [each for each in seen if each in inner]
    given, made = seen[module]
    attention = next((each for each in module.modules() if _says_attention(each) and each is not module), None)
    inside = set(attention.modules()) if attention is not None else set()
    linear = [each for each in order if each in inside and getattr(each, "weight", torch.zeros(0)).ndim == 2]
    projection = linear[-1] if linear and seen[linear[-1]][0] is not None else None
    n_heads = _n_heads(attention, seen[projection][0].shape[-1], model) if projection is not None else 0
    if not n_heads:
        projection = None
    parts = None
    if projection is not None and given is not None and made is not None:
        states = [each for each in order if seen[each][1] is not None and seen[each][1].shape == made.shape]
        start = order.index(projection)
        for i, first in enumerate(states):
            for second in states[i + 1 :] if order.index(first) >= start else ():
                if parts is None and near(seen[first][1] + seen[second][1], made - given, dtype):
                    parts = (first, second)
    return Block(module, projection, n_heads, parts)


def _says_attention(module: nn.Module) -> bool:
    name = type(module).__name__.lower()
    return "attention" in name or "attn" in name


def _n_heads(attention: Any, width: int, model: PreTrainedModel) -> int:
    """Heads side by side in so many numbers; 0 where nothing says how many."""
    head_dim = getattr(attention, "head_dim", None)
    if type(head_dim) is int and head_dim > 0 and width % head_dim == 0:
        return width // head_dim
    n = getattr(text_config(model), "num_attention_heads", None)
    return n if type(n) is int and n > 0 and width % n == 0 else 0


@contextmanager
def captured(modules: Sequence[nn.Module], into: dict[nn.Module, torch.Tensor]) -> Iterator[None]:
    """Keep what modules give during passes."""

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        states = tensor_of(output)
        assert states is not None
        into[module] = states

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(keep).remove)
        yield


@contextmanager
def gathered(blocks: Sequence[Block], into: dict[nn.Module, torch.Tensor]) -> Iterator[None]:
    """Keep what the projections of blocks are given during passes: the heads' outputs, side by side."""
    with ExitStack() as stack:
        for block in blocks:
            if block.projection is not None:
                keep = block.projection.register_forward_pre_hook(lambda module, args: into.update({module: args[0]}))
                stack.callback(keep.remove)
        yield


def adds_up(block: Block, given: torch.Tensor, dtype: str) -> bool:
    """Whether the layer's output is the sum over its heads; given: (p, d), the heads' outputs of a row."""
    assert block.projection is not None
    heads = given.unflatten(-1, (block.n_heads, -1))  # (p, heads, width)
    alone = torch.eye(block.n_heads, dtype=heads.dtype, device=heads.device)[:, None, :, None] * heads
    nothing = block.projection(torch.zeros_like(given))
    total = (block.projection(alone.flatten(2)) - nothing).sum(dim=0) + nothing
    return near(total, block.projection(given), dtype)


@contextmanager
def silenced(blocks: Sequence[Block], chosen: torch.Tensor, values: Sequence[torch.Tensor] | None) -> Iterator[None]:
    """Passes in which heads give nothing, or the given values; with none chosen all go the same way, unchanged.

    chosen: (n, h) bool of n rows, over all heads of the blocks that have some; values: (heads, width) a such block.
    """
    none = not bool(chosen.any())
    with ExitStack() as stack:
        start = 0
        for i, block in enumerate(each for each in blocks if each.projection is not None):
            mask = chosen[:, start : start + block.n_heads]
            start += block.n_heads
            if none or bool(mask.any()):
                assert block.projection is not None
                hook = _silence(mask, None if values is None else values[i])
                stack.callback(block.projection.register_forward_pre_hook(hook).remove)
        yield


def _silence(mask: torch.Tensor, values: torch.Tensor | None) -> Any:
    def hook(module: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        heads = given[0].unflatten(-1, (mask.shape[1], -1))
        instead = torch.zeros((), dtype=heads.dtype, device=heads.device) if values is None else values
        return (torch.where(mask[:, None, :, None], instead, heads).flatten(-2), *given[1:])

    return hook


@contextmanager
def restored(modules: Sequence[nn.Module | None], clean: Sequence[Any], which: torch.Tensor, at: torch.Tensor) -> Any:
    """Passes in which row i has module which[i]'s clean state (p, d) at index at[i]; which, at: (n,) int64."""
    with ExitStack() as stack:
        for number in which.unique().tolist():
            module, rows = modules[number], (which == number).nonzero()[:, 0]
            assert module is not None
            stack.callback(module.register_forward_hook(_restore(rows, at[rows], clean[number])).remove)
        yield


def _restore(rows: torch.Tensor, at: torch.Tensor, clean: torch.Tensor) -> Any:
    def hook(module: nn.Module, given: Any, output: Any) -> Any:
        states = tensor_of(output)
        assert states is not None
        states = states.clone()
        states[rows, at] = clean[at]
        return (states, *output[1:]) if isinstance(output, tuple) else states

    return hook


@contextmanager
def noise_on(model: PreTrainedModel, noise: torch.Tensor, start: int) -> Iterator[None]:
    """Passes whose embeddings at indices from `start` on have noise (n, q, d) added."""

    def hook(module: nn.Module, given: Any, output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[:, start : start + noise.shape[1]] += noise
        return changed

    handle = model.get_input_embeddings().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
