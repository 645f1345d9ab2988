"""Statistics of next-token distributions, computed where the logits are: full logits never leave the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from memviz.errors import Failure
from memviz.records import N_ALTERNATIVES

_CACHED_POSITIONS = 64  # whose logits and what is computed from them stay in a processor's cache
NOT_FINITE = "the model gave logits that are not finite: its weights hold NaN or infinity, or overflow"


@dataclass(frozen=True)
class Distributions:
    """Statistics of distributions over the vocabulary at (n, q) positions; `records.Scores` says what is kept."""

    log_normaliser: torch.Tensor
    """(n, q) float32, log-sum-exp of the logits."""
    entropy: torch.Tensor
    margin: torch.Tensor
    top_ids: torch.Tensor
    """(n, q, K) int64, by falling logit, then rising id."""
    top_logits: torch.Tensor
    second_moment: torch.Tensor | None = None

    def at(self, rows: torch.Tensor | slice, positions: slice) -> Distributions:
        """The same statistics of some rows at some positions."""
        kept = {name: value for name, value in vars(self).items() if value is not None}
        return Distributions(**{name: value[rows, positions] for name, value in kept.items()})


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
    """Statistics of raw logits (..., V), in float32 whatever the model's precision. Raises Failure."""
    logits = logits.float()
    log_normaliser = logits.logsumexp(-1)
    if not bool(log_normaliser.isfinite().all()):
        raise Failure(NOT_FINITE)
    logprobs = logits - log_normaliser[..., None]
    weighted = logprobs.exp().mul_(logprobs).nan_to_num_(nan=0.0)  # p log p, 0 where p is 0
    entropy = -weighted.sum(-1)
    second_moment = weighted.mul_(logprobs).nan_to_num_(nan=0.0).sum(-1)
    values, ids = top_tokens(logits, N_ALTERNATIVES)
    return Distributions(
        log_normaliser=log_normaliser,
        entropy=entropy.clamp_min_(0),
        margin=values[..., 0] - values[..., min(1, values.shape[-1] - 1)],
        top_ids=ids,
        top_logits=values,
        second_moment=second_moment,
    )


def essentials(logits: torch.Tensor) -> Distributions:
    """The same of raw logits (n, q, V) without second moment and with one alternative, in a tenth of the time.

    Raises Failure.
    """
    flat = logits.float().flatten(0, -2)
    size = _CACHED_POSITIONS if flat.device.type == "cpu" else len(flat)
    parts = [_essentials(block) for block in flat.split(size)]
    names = ("log_normaliser", "entropy", "margin", "top_ids", "top_logits")
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    return Distributions(**{name: value.unflatten(0, logits.shape[:-1]) for name, value in joined.items()})


def _essentials(logits: torch.Tensor) -> Distributions:
    logprobs = logits.log_softmax(-1)
    entropy = -torch.linalg.vecdot(logits.softmax(-1), logprobs)
    ids = logits.argmax(-1, keepdim=True)  # the lowest among equals
    top = logits.gather(-1, ids)
    log_normaliser = (top - logprobs.gather(-1, ids))[..., 0]
    if not bool(log_normaliser.isfinite().all()):
        raise Failure(NOT_FINITE)
    if bool(entropy.isnan().any()):  # a logit of minus infinity: 0 log 0
        entropy = distributions(logits).entropy
    second = logits.scatter(-1, ids, -torch.inf).amax(-1, keepdim=True) if logits.shape[-1] > 1 else top
    return Distributions(log_normaliser, entropy.clamp_min_(0), (top - second)[..., 0], ids, top)


def rank_of(logits: torch.Tensor, target_ids: torch.Tensor, stats: Distributions) -> torch.Tensor:
    """The ranks of `score`, counted only where the target is not the likeliest token."""
    rank = torch.ones_like(target_ids)
    other = target_ids != stats.top_ids[..., 0]
    if bool(other.any()):
        rank[other] = score(logits[other], target_ids[other])[1]
    return rank


def score(logits: torch.Tensor, target_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logit (...) float32 and rank (...) from 1 of one target token per position; ties go to the lowest id."""
    logits = logits.float()
    target = logits.gather(-1, target_ids[..., None])
    rank = 1 + _count(logits > target)
    equal = logits == target
    tied = _count(equal) > 1
    if bool(tied.any()):
        before = torch.arange(logits.shape[-1], device=logits.device) < target_ids[tied][..., None]
        rank[tied] += _count(equal[tied] & before)
    return target[..., 0], rank


def _count(mask: torch.Tensor) -> torch.Tensor:
    """How many are true along the last axis (...) int64."""
    if mask.device.type != "cpu":
        return mask.sum(-1)
    # torch sums booleans on a processor fifty times as slowly as numpy counts them
    counts = np.array([np.count_nonzero(row) for row in mask.flatten(0, -2).numpy()], np.int64)
    return torch.from_numpy(counts).reshape(mask.shape[:-1])
