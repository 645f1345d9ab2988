"""Hidden states of rows of tokens in one pass, in float16, with what the model predicted at each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import n_layers, vocab_size
from memviz.engine.stretch import Stretch
from memviz.engine.tracing import BYTES_PER_LOGIT, LOGIT_BYTES, Report, in_batches
from memviz.records import BEFORE_NORM, Prompts, States

_LARGEST = 2.0**15
"""Below the largest float16, 65,504."""


@torch.inference_mode()
def read_states(
    loaded: Loaded, ids: np.ndarray, layers: tuple[int, ...], report: Report = lambda done, total: None
) -> States:
    """States after reading each token of (n, p) ids, at some layers; rows that fit are read together.

    Rows that a model wrote itself give the states it had while it wrote, to the numerical noise. Raises ValueError for
    ids outside the model or an unknown layer, InputError, Failure, and whatever `report` raises to cancel.
    """
    last = n_layers(loaded.model)
    unknown = [layer for layer in layers if not BEFORE_NORM <= layer <= last]
    if unknown or not layers:
        raise ValueError(f"layer {unknown[0] if unknown else 'none'} of {loaded.card.name}: it has layers 0 to {last}")
    if ids.ndim != 2 or ids.shape[1] < 2:
        raise ValueError(f"ids have shape {ids.shape}, expected (n, p) with p of at least 2")

    def read(batch: Prompts, tick: Callable[[int], None]) -> States:
        assert batch.continuation_ids is not None
        rows = np.concatenate([batch.context_ids, batch.continuation_ids], axis=1)
        return _read_batch(loaded, torch.from_numpy(rows).to(loaded.device), layers, tick)

    return in_batches(loaded, Prompts(ids[:, :-1], ids[:, -1:]), 1, len(layers), read, report)


def _read_batch(loaded: Loaded, ids: torch.Tensor, layers: tuple[int, ...], tick: Callable[[int], None]) -> States:
    (n, p), n_ids = ids.shape, vocab_size(loaded.model, loaded.card.vocab_size)
    reader, stretch, rows = Reader(loaded.model, layers), Stretch(n, p, n_ids, essential=True), np.arange(n)
    size = max(1, LOGIT_BYTES // (BYTES_PER_LOGIT * n * n_ids)) if reader.can_roll_back else p
    parts = []
    for start in range(0, p, size):
        block = ids[:, start : start + size]
        logits, hidden = reader.feed(block)
        assert hidden is not None
        parts.append(hidden.float().cpu().numpy())
        n_told = min(block.shape[1], p - 1 - start)  # what the last token predicts is not asked for
        if n_told:
            true_ids = ids[:, start + 1 : start + 1 + n_told]
            stretch.record(rows, start + 1, logits[:, :n_told], true_ids=true_ids)
        tick(start + block.shape[1])
    hidden_states = np.concatenate(parts, axis=1)
    largest = np.abs(hidden_states).max(axis=(1, 3))
    scale = np.exp2(np.maximum(0, np.ceil(np.log2(np.maximum(largest, 1) / _LARGEST)))).astype(np.float32)
    return States(
        layers=np.array(layers, np.int32),
        hidden=(hidden_states / scale[:, None, :, None]).astype(np.float16),
        scale=scale,
        entropy=stretch.stats["entropy"],
        margin=stretch.stats["margin"],
        logprob=stretch.target(stretch.true).logprob,
    )
