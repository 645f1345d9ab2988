"""Which token a decoding takes from a distribution."""

from __future__ import annotations

import numpy as np
import torch

from memviz.engine.statistics import most_likely
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

    @property
    def takes_likeliest(self) -> bool:
        return self._decoding.greedy and not len(self._barred)

    def choose(self, logits: torch.Tensor, at: torch.Tensor | slice) -> torch.Tensor:
        """Ids (q,) from logits (q, V) for continuation positions `at`: (q,), or one of all."""
        if self.takes_likeliest:
            return most_likely(logits)
        allowed = logits.float().index_fill(-1, self._barred, -torch.inf)
        return most_likely(allowed) if self._decoding.greedy else self._draw(allowed, self._uniform[at, None])

    def _draw(self, logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Inverse of the cumulative distribution, most likely tokens first; temperature, then top-k, then top-p."""
        decoding = self._decoding
        assert decoding.temperature is not None
        ordered, ids = logits.div(decoding.temperature).sort(dim=-1, descending=True, stable=True)
        if decoding.top_k is not None:
            ordered, ids = ordered[..., : decoding.top_k], ids[..., : decoding.top_k]
        cumulative = ordered.to(uniform.dtype).softmax(-1).cumsum(-1)
        total = cumulative[..., -1:]
        if decoding.top_p is not None:
            nucleus = (cumulative < decoding.top_p * total).sum(-1, keepdim=True).clamp_max(cumulative.shape[-1] - 1)
            total = cumulative.gather(-1, nucleus)
        place = (cumulative <= uniform * total).sum(-1, keepdim=True).clamp_max(cumulative.shape[-1] - 1)
        return ids.gather(-1, place)[..., 0]
