"""The encoder: features of each token in, one logit of "memorized" a continuation token out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from memviz.predictor.features import Scaling, Tokens
from memviz.predictor.presets import Preset, Setting

AT_ONCE = 128
"""Rows predicted together."""


class Encoder(nn.Module):
    """A Transformer encoder over the tokens of one setting; standardises the features itself, by kept buffers."""

    hidden_mean: torch.Tensor
    hidden_std: torch.Tensor
    statistics_mean: torch.Tensor
    statistics_std: torch.Tensor

    def __init__(self, preset: Preset, setting: Setting, k: int, m: int, scaling: Scaling) -> None:
        super().__init__()
        self.setting, self.k, self.m = setting, k, m
        for name, values in vars(scaling).items():
            self.register_buffer(name, torch.from_numpy(np.array(values, np.float32)))
        width, d = preset.width, len(scaling.hidden_mean)
        self.of_hidden = nn.Linear(d, width) if d else None
        self.of_statistics = nn.Linear(len(scaling.statistics_mean), width)
        self.positions = nn.Parameter(0.02 * torch.randn(k + m, width))
        self.query = nn.Parameter(0.02 * torch.randn(width)) if setting == "context" else None
        layer = nn.TransformerEncoderLayer(
            width, preset.n_heads, preset.feed_forward, preset.dropout, "gelu", batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0  # dropping attention weights takes as long as all the rest of a step
        self.layers = nn.TransformerEncoder(layer, preset.n_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)

    def forward(self, hidden: torch.Tensor | None, statistics: torch.Tensor, n_positions: int) -> torch.Tensor:
        """Logits (n, n_positions) of tokens (n, p, d) and (n, p, s), p as `tokens_of` gives it for these positions."""
        states = self.of_statistics((statistics - self.statistics_mean) / self.statistics_std)
        if self.of_hidden is not None:
            assert hidden is not None
            states = states + self.of_hidden((hidden.float() - self.hidden_mean) / self.hidden_std)
        first = self.k if self.setting == "published" else 1
        states = states + self.positions[first : first + states.shape[1]]
        if self.query is not None:
            queries = self.positions[self.k : self.k + n_positions] + self.query
            states = torch.cat([states, queries.expand(len(states), -1, -1)], dim=1)
        mask = blocked(self.setting, states.shape[1], self.k)
        states = self.layers(states, mask=None if mask is None else mask.to(states.device))
        return self.head(states[:, -n_positions:])[..., 0]

    @torch.inference_mode()
    def logits(self, tokens: Tokens, n_positions: int, tick: Callable[[], None] = lambda: None) -> np.ndarray:
        """(n, n_positions) float32, in batches and without dropout; `tick` is called after each."""
        device, was_training = self.head.weight.device, self.training
        self.eval()
        parts = [np.zeros((0, n_positions), np.float32)]
        for start in range(0, len(tokens), AT_ONCE):
            batch = tensors(tokens, slice(start, start + AT_ONCE), device)
            parts.append(self(*batch, n_positions).float().cpu().numpy())
            tick()
        self.train(was_training)
        return np.concatenate(parts)


def tensors(
    tokens: Tokens, which: slice | np.ndarray, device: torch.device
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Some rows of the tokens on a device."""
    hidden = None if tokens.hidden is None else torch.from_numpy(tokens.hidden[which]).to(device)
    return hidden, torch.from_numpy(tokens.statistics[which]).to(device)


def blocked(setting: Setting, n: int, k: int) -> torch.Tensor | None:
    """(n, n) bool: True where a token (line) must not attend to another (column); None where nothing is blocked."""
    if setting == "published":
        return None
    if setting == "causal":
        return torch.ones(n, n, dtype=torch.bool).triu(1)
    mask = torch.zeros(n, n, dtype=torch.bool)
    mask[:, k:] = True  # queries see the context and themselves, so that each is predicted as if asked alone
    return mask & ~torch.eye(n, dtype=torch.bool)
