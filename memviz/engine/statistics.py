"""Statistics of next-token distributions, computed where the logits are: full logits never leave the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memviz.records import N_ALTERNATIVES


class NonFiniteError(RuntimeError):
    """A model whose logits are NaN or all infinite."""


@dataclass(frozen=True)
class Distributions:
    """Statistics of distributions over the vocabulary at (n, q) positions; `records.Scores` says what is kept."""

    log_normaliser: torch.Tensor
    """(n, q) float32, log-sum-exp of the logits."""
    entropy: torch.Tensor
    second_moment: torch.Tensor
    margin: torch.Tensor
    top_ids: torch.Tensor
    """(n, q, K) int64, by falling logit, then rising id."""
    top_logits: torch.Tensor

    def at(self, rows: torch.Tensor | slice, positions: slice) -> Distributions:
        """The same statistics of some rows at some positions."""
        return Distributions(**{name: value[rows, positions] for name, value in vars(self).items()})


def top_tokens(logits: torch.Tensor, n_kept: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest logits and their ids (..., K), ties by rising id, also at the edge of what is kept."""
    n_kept = min(n_kept, logits.shape[-1])
    values, ids = logits.topk(n_kept, dim=-1)
    cut = (logits >= values[..., -1:]).sum(-1) > n_kept  # equals of the last value were left out at random
    if bool(cut.any()):
        ids[cut] = logits[cut].sort(dim=-1, descending=True, stable=True).indices[..., :n_kept]
        values = logits.gather(-1, ids)
    ids, order = ids.sort(dim=-1)
    values, order = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(-1, order)


def distributions(logits: torch.Tensor) -> Distributions:
    """Statistics of raw logits (..., V), in float32 whatever the model's precision. Raises NonFiniteError."""
    logits = logits.float()
    log_normaliser = logits.logsumexp(-1)
    if not bool(log_normaliser.isfinite().all()):
        raise NonFiniteError("the model gave logits that are not finite: its weights hold NaN or infinity, or overflow")
    logprobs = logits - log_normaliser[..., None]
    weighted = logprobs.exp().mul_(logprobs).nan_to_num_(nan=0.0)  # p log p, 0 where p is 0
    entropy = -weighted.sum(-1)
    second_moment = weighted.mul_(logprobs).nan_to_num_(nan=0.0).sum(-1)
    values, ids = top_tokens(logits, N_ALTERNATIVES)
    return Distributions(
        log_normaliser=log_normaliser,
        entropy=entropy.clamp_min_(0),
        second_moment=second_moment,
        margin=values[..., 0] - values[..., min(1, values.shape[-1] - 1)],
        top_ids=ids,
        top_logits=values,
    )


def score(logits: torch.Tensor, target_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logit (...) float32 and rank (...) from 1 of one target token per position; ties go to the lowest id."""
    logits = logits.float()
    target = logits.gather(-1, target_ids[..., None])
    ids = torch.arange(logits.shape[-1], device=logits.device)
    before = (logits > target) | ((logits == target) & (ids < target_ids[..., None]))
    return target[..., 0], 1 + before.sum(-1)
