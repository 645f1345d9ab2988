"""One row read at every layer: what each would say of its continuation, in blocks of positions, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from memviz.engine.layers import check_lens, lens_logits
from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import n_layers, vocab_size
from memviz.engine.statistics import distributions, require_finite, score
from memviz.engine.tracing import check_prompts, positions_at_once
from memviz.measures.lens import N_LISTED, LensScores
from memviz.records import Prompts


@torch.inference_mode()
def read_lens(
    loaded: Loaded,
    context_ids: np.ndarray,
    read_ids: np.ndarray,
    true_ids: np.ndarray,
    tick: Callable[[int], None] = lambda done: None,
) -> LensScores:
    """Every layer's view of (m,) true tokens while the model reads (k,) context and (m,) read tokens in one pass.

    `tick` is called with the positions done. The lens at the last layer must be the model itself. Raises ValueError for
    ids outside the model, InputError where the lens is not the model's, Failure, and what `tick` raises.
    """
    card, k, m = loaded.card, len(context_ids), len(true_ids)
    for continuation in (read_ids, true_ids):
        check_prompts(card.name, card.vocab_size, card.n_positions, Prompts(context_ids[None], continuation[None]), m)
    row = torch.from_numpy(np.concatenate([context_ids, read_ids])).to(loaded.device)[None]
    target_ids = torch.from_numpy(true_ids).to(loaded.device)[None]
    reader = Reader(loaded, tuple(range(n_layers(loaded.model) + 1)))
    size = positions_at_once(vocab_size(loaded.model, card.vocab_size)) if reader.can_roll_back else k + m
    parts = []
    for start in range(0, k + m - 1, size):
        stop = min(start + size, k + m - 1)  # the last token's own prediction is not asked for
        fed = reader.feed(row[:, start:stop])
        assert fed.hidden is not None
        first = max(0, k - 1 - start)  # the state at index k - 1 predicts position 0
        if first < stop - start:
            at = slice(start + first - (k - 1), stop - (k - 1))
            logits = reader.logits(fed.states[:, first:])
            parts.append(_layers(loaded, fed.hidden[:, first:], logits, target_ids[:, at]))
        tick(max(0, stop - (k - 1)))
    return LensScores(**{name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]})


def _layers(
    loaded: Loaded, hidden: torch.Tensor, logits: torch.Tensor, target_ids: torch.Tensor
) -> dict[str, np.ndarray]:
    """Fields of `LensScores` (l, q, ...) from states (1, q, l, d), the model's logits (1, q, V), targets (1, q)."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in LensScores.__dataclass_fields__}
    last = hidden.shape[2] - 1
    for layer in range(last + 1):
        lens = lens_logits(loaded.model, hidden[:, :, layer], layer == last)
        if layer == last:
            check_lens(lens, logits, loaded.card.name)
            lens = logits  # what the model says, to the last bit
        stats = distributions(lens)
        require_finite(stats.log_normaliser)
        logit, rank = score(lens, target_ids)
        found["rank"].append(rank.int())
        found["logprob"].append(logit - stats.log_normaliser)
        found["entropy"].append(stats.entropy)
        found["top_ids"].append(stats.top_ids[..., :N_LISTED].int())
        found["top_logprobs"].append((stats.top_logits - stats.log_normaliser[..., None])[..., :N_LISTED])
    return {name: torch.cat(values).cpu().numpy() for name, values in found.items()}
