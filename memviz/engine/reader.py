"""A model reading rows of tokens with a key/value cache that can be rolled back."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from memviz.engine.layers import final_norm
from memviz.engine.loading import Loaded
from memviz.engine.sizes import n_layers
from memviz.engine.widening import needs_widening, widened
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


MOST_WORK, LEAST_TOKENS = 2**33, 64
"""Multiplications of a pass on a processor, about half a second of one core, so that whoever waits is never far; and
tokens below which a pass takes hardly less."""
LOGIT_WORK = 256
"""Multiplications that take as long as what is worked out of one logit."""
_ROOM = 64  # tokens
_ROLL_BACK = (RoomyLayer, DynamicSlidingWindowLayer)


def tokens_at_once(loaded: Loaded) -> int:
    """How many tokens of all rows a processor reads in a pass."""
    return max(LEAST_TOKENS, MOST_WORK // (loaded.card.n_parameters + LOGIT_WORK * loaded.card.vocab_size))


@dataclass(frozen=True)
class Fed:
    """What a model made of a block of tokens."""

    states: torch.Tensor
    """(n, q, d) of which `Reader.logits` makes logits; (n, q, V), the logits, of models with a way of their own."""
    hidden: torch.Tensor | None
    """(n, q, l, d) reading states of the layers asked for, None where none were."""


class Reader:
    """Feeds tokens to a model in blocks and gives states of each block, and logits of states.

    Models without a key/value cache read their whole row again at every block.
    """

    def __init__(self, loaded: Loaded, layers: tuple[int, ...] = (), with_cache: bool = True) -> None:
        model, self._head = loaded.model, loaded.head
        self._model = model
        self._body = model if self._head is None else model.base_model
        self.layers = layers
        self._last = n_layers(model)
        self._widens = needs_widening(loaded.dtype, loaded.device)
        is_bounded = loaded.device.type == "cpu" and loaded.dtype == "float32"  # below it, numbers depend on the block
        self._most_tokens = tokens_at_once(loaded) if is_bounded else None
        self._tokens: torch.Tensor | None = None
        self.length = 0
        """Tokens read so far."""
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
    def cache_layers(self) -> list[Any]:
        """Keys and values by layer; none without a cache."""
        return [] if self._cache is None else self._cache.layers

    @property
    def can_roll_back(self) -> bool:
        """Whether `crop` leaves no trace: true of plain and sliding-window attention, and of models without cache."""
        return self._cache is None or all(type(layer) in _ROLL_BACK for layer in self._cache.layers)

    @property
    def reads_at_once(self) -> bool:
        """Whether any number of tokens can be read without all their logits in memory."""
        return self._head is not None

    def block(self, n_rows: int, n_positions: int, n_logits: int) -> int:
        """How many of n positions of rows to read together: all, or as many as have logits that fit and are read soon.

        Fewer than all only where the cache allows it; `n_logits` is how many logits are in memory together.
        """
        most = n_positions
        if self.can_roll_back and not self.reads_at_once:
            most = min(most, n_logits // n_rows)
        if self.can_roll_back and self._cache is not None and self._most_tokens is not None:
            most = min(most, self._most_tokens // n_rows)
        return max(1, most)

    def feed(self, token_ids: torch.Tensor) -> Fed:
        """Read (n, q) tokens."""
        q = token_ids.shape[1]
        if self._cache is None:
            self._tokens = token_ids if self._tokens is None else torch.cat([self._tokens, token_ids], dim=1)
            inputs: dict[str, Any] = {"input_ids": self._tokens, "use_cache": False}
        else:
            inputs = {"input_ids": token_ids, "past_key_values": self._cache, "use_cache": True}
        self.length += q
        if self._takes_positions:  # some forwards count from 0 at every block unless told
            first = self.length - inputs["input_ids"].shape[1]
            positions = torch.arange(first, self.length, device=token_ids.device)
            inputs["position_ids"] = positions.expand(len(token_ids), -1)
        whole = self._head is None and bool(self.layers)
        before_norm: list[torch.Tensor] = []
        at_head: list[torch.Tensor] = []
        with (
            widened(self._widens, inputs["input_ids"].numel()),
            _inputs_of(final_norm(self._model) if BEFORE_NORM in self.layers else None, before_norm),
            _inputs_of(self._model.get_output_embeddings() if whole else None, at_head),
        ):
            inner = whole or any(layer not in (BEFORE_NORM, self._last) for layer in self.layers)
            output = self._body(**inputs, output_hidden_states=inner, return_dict=True)
        here = token_ids.device  # of a model split over several, the last states come from another one
        states = (output.logits if self._head is None else output.last_hidden_state).to(here)
        if not self.layers:
            return Fed(states[:, -q:], None)
        given = getattr(output, "hidden_states", None) or ()
        last = at_head if self._head is None else [states]
        found = [before_norm[0] if each == BEFORE_NORM else self._state(given, each, last) for each in self.layers]
        return Fed(states[:, -q:], torch.stack([each[:, -q:].to(here) for each in found], dim=2))

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (..., V), in the model's precision, of states (..., d) as `feed` gives them."""
        if self._head is None:
            return states
        with widened(self._widens, states[..., 0].numel()):
            return self._head(states).to(states.device)

    def read(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Logits (n, q, V) of (n, q) tokens."""
        return self.logits(self.feed(token_ids).states)

    def _state(self, given: tuple[torch.Tensor, ...], layer: int, last: list[torch.Tensor]) -> torch.Tensor:
        """States (n, q, d) of a layer as the model gives them, or of the last as the output layer was given them.

        Raises InputError for another layer whose states the model does not give, one for each token.
        """
        if layer < len(given) and given[layer].ndim == 3:
            return given[layer]
        if layer == self._last and last:
            return last[0]
        raise InputError(f"{type(self._model).__name__} gives no states of layer {layer}: ask for the last layer alone")

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens. Also bounds what sliding-window layers keep."""
        assert length <= self.length
        if self._cache is not None and self.can_roll_back:
            self._cache.crop(length - self.length)
        if self._tokens is not None:
            self._tokens = self._tokens[:, :length]
        self.length = length

    def split(self, rows: torch.Tensor, length: int) -> Reader:
        """A reader of these rows (r,) int64 that has read their first `length` tokens; this one stays as it is."""
        part = copy.copy(self)
        if self._cache is not None:
            part._cache = copy.copy(self._cache)
            part._cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        part.crop(length)
        if part._tokens is not None:
            part._tokens = part._tokens[rows]
        if part._cache is not None:
            for layer in part._cache.layers:
                if layer.is_initialized:
                    layer.batch_select_indices(rows.to(layer.keys.device))
        return part

    def join(self, other: Reader) -> Reader:
        """This reader with the rows of another one behind its own; both have read as many tokens."""
        assert self.length == other.length
        if self._tokens is not None and other._tokens is not None:
            self._tokens = torch.cat([self._tokens, other._tokens])
        if self._cache is not None and other._cache is not None:
            for mine, theirs in zip(self._cache.layers, other._cache.layers, strict=True):
                mine.keys = torch.cat([mine.keys, theirs.keys])
                mine.values = torch.cat([mine.values, theirs.values])
        return self
