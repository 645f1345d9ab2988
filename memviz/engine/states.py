"""Hidden states of rows of tokens in one pass, in float16, with what the model predicted at each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import n_layers, vocab_size
from memviz.engine.statistics import require_finite
from memviz.engine.stretch import Stretch, judge
from memviz.engine.tracing import Report, in_batches, positions_at_once
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

    return in_batches(loaded, Prompts(ids[:, :-1], ids[:, -1:]), 1, len(layers), read, report)[0]


def _read_batch(loaded: Loaded, ids: torch.Tensor, layers: tuple[int, ...], tick: Callable[[int], None]) -> States:
    (n, p), n_ids = ids.shape, vocab_size(loaded.model, loaded.card.vocab_size)
    reader, stretch = Reader(loaded, layers), Stretch(n, p, n_ids, ids.device, essential=True)
    chunk = positions_at_once(n_ids)
    size = max(1, chunk // n) if reader.can_roll_back and not reader.reads_at_once else p
    parts = []
    for start in range(0, p, size):
        fed = reader.feed(ids[:, start : start + size])
        assert fed.hidden is not None
        parts.append(fed.hidden.float().cpu().numpy())
        true_ids = ids[:, start + 1 : reader.length + 1]  # what the last token predicts is not asked for
        judge(stretch, start + 1, fed.states[:, : true_ids.shape[1]], reader, chunk, true_ids)
        tick(reader.length)
    require_finite(stretch.values["log_normaliser"][:, 1:])
    hidden_states = np.concatenate(parts, axis=1)
    largest = np.abs(hidden_states).max(axis=(1, 3))
    scale = np.exp2(np.maximum(0, np.ceil(np.log2(np.maximum(largest, 1) / _LARGEST)))).astype(np.float32)
    return States(
        layers=np.array(layers, np.int32),
        hidden=(hidden_states / scale[:, None, :, None]).astype(np.float16),
        scale=scale,
        entropy=stretch.host("entropy"),
        margin=stretch.host("margin"),
        logprob=stretch.target("true").logprob,
    )
