"""A model reading rows of tokens with a key/value cache that can be rolled back."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from memviz.engine.layers import final_norm
from memviz.engine.sizes import n_layers
from memviz.errors import InputError
from memviz.records import BEFORE_NORM


class RoomyLayer(DynamicLayer):
    """Keys and values of plain attention in buffers with room ahead, so that one more token copies no earlier ones.

    `keys` and `values` are views of the buffers; whoever sets them to something else gets new buffers.
    """

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        self._key_buffer, self._value_buffer = self.keys, self.values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states (n, heads, q, d); all that are kept."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self._key_buffer, self.keys = _append(self._key_buffer, self.keys, key_states)
        self._value_buffer, self.values = _append(self._value_buffer, self.values, value_states)
        return self.keys, self.values


def _append(buffer: torch.Tensor, kept: torch.Tensor, fresh: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept states with fresh ones behind them, as a view of a buffer: the given one where it starts with the kept."""
    start, stop = kept.shape[-2], kept.shape[-2] + fresh.shape[-2]
    if len(buffer) != len(kept) or buffer.shape[-2] < stop or buffer.data_ptr() != kept.data_ptr():
        buffer = fresh.new_empty((*fresh.shape[:-2], -(-stop // _ROOM) * _ROOM, fresh.shape[-1]))
        buffer[..., :start, :] = kept
    buffer[..., start:stop, :] = fresh
    return buffer, buffer[..., :stop, :]


@contextmanager
def _inputs_of(module: nn.Module | None, into: list[torch.Tensor]) -> Iterator[None]:
    """Collect what a module is given; nothing where there is none."""
    if module is None:
        yield
        return
    hook = module.register_forward_pre_hook(lambda _, given: into.append(given[0]))
    try:
        yield
    finally:
        hook.remove()


_ROOM = 64  # tokens
_ROLL_BACK = (RoomyLayer, DynamicSlidingWindowLayer)


class Reader:
    """Feeds tokens to a model in blocks and gives logits and hidden states of each block.

    Models without a key/value cache read their whole row again at every block.
    """

    def __init__(self, model: PreTrainedModel, layers: tuple[int, ...], with_cache: bool = True) -> None:
        self._model = model
        self._layers = layers
        self._tokens: torch.Tensor | None = None
        self._cache: DynamicCache | None = None
        taken = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in taken
        if with_cache and "past_key_values" in taken and getattr(model.config, "use_cache", True):
            self._cache = DynamicCache(config=model.config)
            self._cache.layers = [
                RoomyLayer() if type(layer) is DynamicLayer else layer for layer in self._cache.layers
            ]
            self._cache.activate_past_recording()

    @property
    def can_roll_back(self) -> bool:
        """Whether `crop` leaves no trace: true of plain and sliding-window attention, and of models without cache."""
        return self._cache is None or all(type(layer) in _ROLL_BACK for layer in self._cache.layers)

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return 0 if self._tokens is None else self._tokens.shape[1]

    def feed(self, token_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Read (n, q) tokens; logits (n, q, V) and reading states (n, q, l, d), None where no layer was asked for."""
        q = token_ids.shape[1]
        self._tokens = token_ids if self._tokens is None else torch.cat([self._tokens, token_ids], dim=1)
        inputs: dict[str, Any] = (
            {"input_ids": self._tokens, "use_cache": False}
            if self._cache is None
            else {"input_ids": token_ids, "past_key_values": self._cache, "use_cache": True}
        )
        if self._takes_positions:  # some forwards count from 0 at every block unless told
            first = self.length - inputs["input_ids"].shape[1]
            positions = torch.arange(first, self.length, device=token_ids.device)
            inputs["position_ids"] = positions.expand(len(token_ids), -1)
        before_norm: list[torch.Tensor] = []
        at_head: list[torch.Tensor] = []
        with (
            _inputs_of(final_norm(self._model) if BEFORE_NORM in self._layers else None, before_norm),
            _inputs_of(self._model.get_output_embeddings() if self._layers else None, at_head),
        ):
            output = self._model(**inputs, output_hidden_states=bool(self._layers), return_dict=True)
        if not self._layers:
            return output.logits[:, -q:], None
        given = getattr(output, "hidden_states", None) or ()
        states = [before_norm[0] if each == BEFORE_NORM else self._state(given, each, at_head) for each in self._layers]
        return output.logits[:, -q:], torch.stack([each[:, -q:] for each in states], dim=2)

    def _state(self, given: tuple[torch.Tensor, ...], layer: int, at_head: list[torch.Tensor]) -> torch.Tensor:
        """States (n, q, d) of a layer as the model gives them, or of the last as the output layer was given them.

        Raises InputError for another layer whose states the model does not give, one for each token.
        """
        if layer < len(given) and given[layer].ndim == 3:
            return given[layer]
        if layer == n_layers(self._model) and at_head:
            return at_head[0]
        raise InputError(f"{type(self._model).__name__} gives no states of layer {layer}: ask for the last layer alone")

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens. Also bounds what sliding-window layers keep."""
        assert self._tokens is not None and length <= self.length
        if self._cache is not None and self.can_roll_back:
            self._cache.crop(length - self.length)
        self._tokens = self._tokens[:, :length]

    def split(self, rows: torch.Tensor, length: int) -> Reader:
        """A reader of these rows (r,) int64 that has read their first `length` tokens; this one stays as it is."""
        part = copy.copy(self)
        if self._cache is not None:
            part._cache = copy.copy(self._cache)
            part._cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        part.crop(length)
        assert part._tokens is not None
        part._tokens = part._tokens[rows]
        if part._cache is not None:
            part._cache.batch_select_indices(rows)
        return part

    def join(self, other: Reader) -> Reader:
        """This reader with the rows of another one behind its own; both have read as many tokens."""
        assert self._tokens is not None and other._tokens is not None and self.length == other.length
        self._tokens = torch.cat([self._tokens, other._tokens])
        if self._cache is not None and other._cache is not None:
            for mine, theirs in zip(self._cache.layers, other._cache.layers, strict=True):
                mine.keys = torch.cat([mine.keys, theirs.keys])
                mine.values = torch.cat([mine.values, theirs.values])
        return self
