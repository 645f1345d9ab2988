"""The encoder: features of each token in, one logit of "memorized" a continuation token out."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, pad

from memviz.predictor.features import Scaling, Tokens
from memviz.predictor.presets import Preset, Setting

AT_ONCE = 128
"""Rows predicted together."""
HAZARD_SHARE = 0.3
"""Weight of the likelihood of the first divergence beside that of the labels; 1 was as good on validation rows."""
_LEAST = 1e-12
Answers = tuple[torch.Tensor, torch.Tensor | None]
"""Logits (..., n, n_positions) of a match, and with a hazard of staying intact where all before matched."""
Outputs = tuple[np.ndarray, np.ndarray | None]
"""The same as (n, n_positions) float32."""


class Network(nn.Module):
    """What says of each position how likely it is memorized."""

    setting: Setting

    def answers(self, hidden: torch.Tensor | None, statistics: torch.Tensor, n_positions: int) -> Answers:
        """Of tokens (n, p, d) and (n, p, s), p as `tokens_of` gives it for these positions; of members first."""
        raise NotImplementedError

    def loss(
        self, hidden: torch.Tensor | None, statistics: torch.Tensor, n_positions: int, match: torch.Tensor
    ) -> torch.Tensor:
        """Mean -log p of (n, n_positions) labels, 0 or 1; with a hazard also that of the first divergence, in part."""
        logits, intact = self.answers(hidden, statistics, n_positions)
        target = match.expand_as(logits)
        found = binary_cross_entropy_with_logits(logits, target)
        if intact is None:
            return found
        before = pad(match.cumprod(dim=1)[:, :-1], (1, 0), value=1.0)
        each = binary_cross_entropy_with_logits(intact, target, reduction="none") * before
        return found + HAZARD_SHARE * each.mean()

    @torch.inference_mode()
    def outputs(self, tokens: Tokens, n_positions: int, tick: Callable[[], None] = lambda: None) -> Outputs:
        """Of rows in batches, without dropout, the mean of all members; `tick` is called after each batch."""
        device, was_training = next(self.parameters()).device, self.training
        self.eval()
        parts = [[np.zeros((0, n_positions), np.float32)] for _ in range(2)]
        for start in range(0, len(tokens), AT_ONCE):
            batch = tensors(tokens, slice(start, start + AT_ONCE), device)
            for kept, found in zip(parts, self.answers(*batch, n_positions), strict=True):
                if found is not None:
                    kept.append(found.reshape(-1, *found.shape[-2:]).mean(dim=0).float().cpu().numpy())
            tick()
        self.train(was_training)
        match, intact = (np.concatenate(each) for each in parts)
        return match, intact if len(intact) == len(match) else None

    def logits(self, tokens: Tokens, n_positions: int, tick: Callable[[], None] = lambda: None) -> np.ndarray:
        """(n, n_positions) float32 of a match, as `outputs`."""
        return self.outputs(tokens, n_positions, tick)[0]


class Encoder(Network):
    """A Transformer encoder over the tokens of one setting; standardises the features itself, by kept buffers."""

    hidden_mean: torch.Tensor
    hidden_std: torch.Tensor
    statistics_mean: torch.Tensor
    statistics_std: torch.Tensor

    def __init__(self, preset: Preset, setting: Setting, k: int, m: int, scaling: Scaling) -> None:
        super().__init__()
        self.setting, self.k, self.m, self.course = setting, k, m, preset.course
        for name, values in vars(scaling).items():
            self.register_buffer(name, torch.from_numpy(np.array(values, np.float32)))
        width, d = preset.width, len(scaling.hidden_mean)
        self.dropped = nn.Dropout(preset.hidden_dropout)
        self.compress = nn.Linear(d, preset.compressed) if d and preset.compressed else None
        self.of_hidden = nn.Linear(preset.compressed or d, width) if d else None
        n_statistics = len(scaling.statistics_mean) * (N_COURSE[setting] if preset.course else 1)
        self.of_statistics = nn.Linear(n_statistics, width)
        self.positions = nn.Parameter(0.02 * torch.randn(k + m, width))
        self.query = nn.Parameter(0.02 * torch.randn(width)) if setting == "context" else None
        layer = nn.TransformerEncoderLayer(
            width, preset.n_heads, preset.feed_forward, preset.dropout, "gelu", batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0  # dropping attention weights takes as long as all the rest of a step
        self.layers = nn.TransformerEncoder(layer, preset.n_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 2 if preset.hazard else 1)

    def answers(self, hidden: torch.Tensor | None, statistics: torch.Tensor, n_positions: int) -> Answers:
        return self.of_read(*self.read(hidden, statistics), n_positions)

    def read(self, hidden: torch.Tensor | None, statistics: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """What is given, standardised; numbers of states dropped, statistics with their course."""
        statistics = (statistics - self.statistics_mean) / self.statistics_std
        course = with_course(statistics, self.setting, self.k) if self.course else statistics
        if hidden is None or self.of_hidden is None:
            return None, course
        return self.dropped((hidden.float() - self.hidden_mean) / self.hidden_std), course

    def of_read(self, hidden: torch.Tensor | None, statistics: torch.Tensor, n_positions: int) -> Answers:
        """Of what `read` makes of the tokens."""
        states = self.of_statistics(statistics)
        if self.of_hidden is not None:
            assert hidden is not None
            states = states + self.of_hidden(hidden if self.compress is None else self.compress(hidden))
        first = self.k if self.setting == "published" else 1
        states = states + self.positions[first : first + states.shape[1]]
        if self.query is not None:
            queries = self.positions[self.k : self.k + n_positions] + self.query
            states = torch.cat([states, queries.expand(len(states), -1, -1)], dim=1)
        mask = blocked(self.setting, states.shape[1], self.k)
        states = self.layers(states, mask=None if mask is None else mask.to(states.device))
        said = self.head(states[:, -n_positions:])
        return (said[..., 0], None) if said.shape[-1] == 1 else (chained(said), said[..., 0])


class Ensemble(Network):
    """Encoders of other first weights, fitted on the same numbers; what they say is the mean of their logits."""

    def __init__(self, preset: Preset, setting: Setting, k: int, m: int, scaling: Scaling) -> None:
        super().__init__()
        self.setting = setting
        self.members = nn.ModuleList(Encoder(preset, setting, k, m, scaling) for _ in range(preset.members))

    def answers(self, hidden: torch.Tensor | None, statistics: torch.Tensor, n_positions: int) -> Answers:
        members = [cast(Encoder, each) for each in self.members]
        read = members[0].read(hidden, statistics)  # scaled alike, so that one reads for all
        said = [each.of_read(*read, n_positions) for each in members]
        intact = [each for _, each in said if each is not None]
        return torch.stack([each for each, _ in said]), torch.stack(intact) if intact else None


def network_of(preset: Preset, setting: Setting, k: int, m: int, scaling: Scaling) -> Network:
    """What a preset describes, with random weights."""
    return (Encoder if preset.members == 1 else Ensemble)(preset, setting, k, m, scaling)


def chained(said: torch.Tensor) -> torch.Tensor:
    """Logits (n, m) of a match at each position from (n, m, 2): of staying intact, of a hit after the divergence.

    With S the probability that all positions up to one match: P(match) = S + (1 - S of the one before) P(hit).
    """
    stays, hits = said.unbind(dim=-1)
    before = pad(logsigmoid(stays).cumsum(dim=1)[:, :-1], (1, 0))
    gone = torch.log((-torch.expm1(before)).clamp(min=_LEAST))
    yes = torch.logaddexp(before + logsigmoid(stays), gone + logsigmoid(hits))
    return yes - torch.logaddexp(before + logsigmoid(-stays), gone + logsigmoid(-hits))


N_COURSE: dict[Setting, int] = {"published": 7, "causal": 7, "context": 4}
"""Numbers that stand for a statistic with its course."""


def with_course(statistics: torch.Tensor, setting: Setting, k: int) -> torch.Tensor:
    """As `features.with_course`."""
    found = [statistics, *_so_far(statistics)]
    if setting == "causal":
        found += [pad(each, (0, 0, k - 1, 0)) for each in _so_far(statistics[:, k - 1 :])]
    if setting == "published":
        found += [each.flip(1) for each in _so_far(statistics.flip(1))]
    return torch.cat(found, dim=-1)


def _so_far(values: torch.Tensor) -> list[torch.Tensor]:
    n = torch.arange(1, values.shape[1] + 1, device=values.device)[:, None]
    return [values.cummax(dim=1).values, values.cummin(dim=1).values, values.cumsum(dim=1) / n]


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
