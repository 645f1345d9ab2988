"""Statistics of next-token distributions, computed where the logits are: full logits never leave the device.

Nothing here waits for the device, but for the tied alternatives in `top_tokens` and for `require_finite`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from memviz.errors import Failure
from memviz.records import N_ALTERNATIVES

_CACHED_LOGITS = 2**19  # of positions taken together on a processor, so that they and their copies stay in its cache
_LOWEST = -1e4  # logits below the largest: its exponential is 0, and 0 times it is 0, as it is not of minus infinity
NOT_FINITE = "the model gave logits that are not finite: its weights hold NaN or infinity, or overflow"


@dataclass(frozen=True)
class Distributions:
    """Statistics of distributions over the vocabulary; `records.Scores` says what is kept."""

    log_normaliser: torch.Tensor
    """(...) float32, log-sum-exp of the logits; NaN or infinite where the logits are no distribution."""
    entropy: torch.Tensor
    second_moment: torch.Tensor
    margin: torch.Tensor
    top_ids: torch.Tensor
    """(..., K) int64, by falling logit, then rising id."""
    top_logits: torch.Tensor


def require_finite(values: torch.Tensor) -> None:
    """Raise Failure unless all are; waits for the device."""
    if not bool(values.isfinite().all()):
        raise Failure(NOT_FINITE)


def top_tokens(logits: torch.Tensor, n_kept: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest logits and their ids (..., K), ties by rising id, also at the edge of what is kept."""
    n_kept, size = min(n_kept, logits.shape[-1]), logits.shape[-1]
    if n_kept == 1:
        if logits.device.type == "cpu":  # where torch takes five times as long as numpy
            ids = torch.from_numpy(np.asarray(logits.numpy().argmax(-1)))[..., None]
        else:
            ids = most_likely(logits)[..., None]
        return logits.gather(-1, ids), ids
    values, ids = logits.topk(n_kept, dim=-1)
    last = values[..., -1:]
    if bool(((logits >= last).sum(-1) > n_kept).any()):  # equals of the last value were left out at random
        falling = torch.arange(size, 0, -1, device=logits.device, dtype=torch.float32)
        lowest = torch.where(logits == last, falling, 0).topk(n_kept, dim=-1).indices
        n_above = (values > last).sum(-1, keepdim=True)
        place = torch.arange(n_kept, device=logits.device).expand_as(ids) - n_above
        ids = torch.where(place < 0, ids, lowest.gather(-1, place.clamp_min(0)))
    ids, order = ids.sort(dim=-1)
    values, order = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(-1, order)


def most_likely(logits: torch.Tensor) -> torch.Tensor:
    """Ids (...) int64 of the largest logits, the lowest among equals."""
    if logits.device.type == "cpu":  # which takes four times as long over numbers of two bytes
        logits = logits.float()
    return logits.argmax(-1)


def distributions(logits: torch.Tensor, n_kept: int = N_ALTERNATIVES) -> Distributions:
    """Statistics of raw logits (..., V), in float32 whatever the model's precision, with K alternatives."""
    flat = logits.flatten(0, -2)
    size = max(1, _CACHED_LOGITS // flat.shape[-1]) if flat.device.type == "cpu" else len(flat)
    parts = [_of_block(block.float(), n_kept) for block in flat.split(size)]
    joined = {each.name: torch.cat([getattr(part, each.name) for part in parts]) for each in fields(Distributions)}
    return Distributions(**{name: values.unflatten(0, logits.shape[:-1]) for name, values in joined.items()})


def _of_block(logits: torch.Tensor, n_kept: int) -> Distributions:
    """Of (q, V). With z = logit - largest, p = exp z / total: sums of terms of one sign, so nothing cancels."""
    top, ids = top_tokens(logits, n_kept)
    below = (logits - top[:, :1]).clamp_min_(_LOWEST)
    weights = below.exp()
    total = weights.sum(-1)
    log_total = total.log()
    mean = weights.mul_(below).sum(-1) / total
    square = weights.mul_(below).sum(-1) / total
    if logits.shape[-1] > 1:
        below.scatter_(-1, ids[:, :1], -torch.inf)
    return Distributions(
        log_normaliser=top[:, 0] + log_total,
        entropy=log_total - mean,
        second_moment=log_total * (log_total - 2 * mean) + square,
        margin=-below.amax(-1),
        top_ids=ids,
        top_logits=top,
    )


def score(
    logits: torch.Tensor, target_ids: torch.Tensor, top_ids: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logit (...) float32 and rank (...) from 1 of one target token per position; ties go to the lowest id.

    Where the likeliest tokens (...) are given, a processor counts only where the target is another one.
    """
    target = logits.gather(-1, target_ids[..., None])
    if logits.device.type != "cpu":
        before = torch.arange(logits.shape[-1], device=logits.device) < target_ids[..., None]
        above = (logits > target) | ((logits == target) & before)
        return target[..., 0].float(), 1 + above.sum(-1)
    rank = np.ones(target_ids.numel(), np.int64)
    ids, flat = target_ids.flatten().numpy(), logits.flatten(0, -2)
    asked = np.arange(len(ids)) if top_ids is None else np.flatnonzero(ids != top_ids.flatten().numpy())
    for at in asked.tolist():  # torch sums booleans on a processor fifty times as slowly as numpy counts them
        row, own = flat[at].float().numpy(), ids[at]
        rank[at] += np.count_nonzero(row[:own] >= row[own]) + np.count_nonzero(row[own + 1 :] > row[own])
    return target[..., 0].float(), torch.from_numpy(rank).reshape(target_ids.shape)
