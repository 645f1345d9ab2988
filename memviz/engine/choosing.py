"""Which token a decoding takes from a distribution."""

from __future__ import annotations

import numpy as np
import torch

from memviz.engine.statistics import Distributions, score
from memviz.records import Decoding


class Chooser:
    """Picks tokens by one decoding; the uniform number of each position is fixed by the seed alone."""

    def __init__(self, decoding: Decoding, n_steps: int, eos_ids: list[int], device: torch.device) -> None:
        self._decoding = decoding
        self._barred = torch.tensor(eos_ids if decoding.bar_eos else [], dtype=torch.long, device=device)
        draws = np.zeros(n_steps) if decoding.greedy else np.random.default_rng(decoding.seed).random(n_steps)
        self._uniform = torch.tensor(
            draws, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device
        )

    def choose(
        self, logits: torch.Tensor, stats: Distributions, first: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids, their logits and ranks, each (n, q), for continuation positions from `first` on; logits (n, q, V)."""
        if self._decoding.greedy and not len(self._barred):
            return stats.top_ids[..., 0], stats.top_logits[..., 0], torch.ones_like(stats.top_ids[..., 0])
        allowed = logits.float().index_fill(-1, self._barred, -torch.inf)
        chosen = allowed.argmax(-1) if self._decoding.greedy else self._draw(allowed, first)
        return chosen, *score(logits, chosen)

    def _draw(self, logits: torch.Tensor, first: int) -> torch.Tensor:
        """Inverse of the cumulative distribution, most likely tokens first; temperature, then top-k, then top-p."""
        decoding = self._decoding
        assert decoding.temperature is not None
        ordered, ids = logits.div(decoding.temperature).sort(dim=-1, descending=True, stable=True)
        if decoding.top_k is not None:
            ordered, ids = ordered[..., : decoding.top_k], ids[..., : decoding.top_k]
        cumulative = ordered.to(self._uniform.dtype).softmax(-1).cumsum(-1)
        total = cumulative[..., -1:]
        if decoding.top_p is not None:
            nucleus = (cumulative < decoding.top_p * total).sum(-1, keepdim=True).clamp_max(cumulative.shape[-1] - 1)
            total = cumulative.gather(-1, nucleus)
        drawn = self._uniform[first : first + logits.shape[1], None] * total
        place = (cumulative <= drawn).sum(-1, keepdim=True).clamp_max(cumulative.shape[-1] - 1)
        return ids.gather(-1, place)[..., 0]
