"""A model reading rows of tokens with a key/value cache that can be rolled back."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

_ROLL_BACK = (DynamicLayer, DynamicSlidingWindowLayer)


class Reader:
    """Feeds tokens to a model in blocks and gives logits and hidden states of each block.

    Models without a key/value cache read their whole row again at every block.
    """

    def __init__(self, model: PreTrainedModel, layers: tuple[int, ...]) -> None:
        self._model = model
        self._layers = layers
        self._tokens: torch.Tensor | None = None
        self._cache: DynamicCache | None = None
        if "past_key_values" in inspect.signature(model.forward).parameters:
            self._cache = DynamicCache(config=model.config)
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
        output = self._model(**inputs, output_hidden_states=bool(self._layers), return_dict=True)
        if not self._layers:
            return output.logits[:, -q:], None
        return output.logits[:, -q:], torch.stack(
            [output.hidden_states[layer][:, -q:] for layer in self._layers], dim=2
        )

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens. Also bounds what sliding-window layers keep."""
        assert self._tokens is not None and length <= self.length
        if self._cache is not None and self.can_roll_back:
            self._cache.crop(length - self.length)
        self._tokens = self._tokens[:, :length]

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with these rows (r,) int64 only."""
        assert self._tokens is not None
        self._tokens = self._tokens[rows]
        if self._cache is not None:
            self._cache.batch_select_indices(rows)
