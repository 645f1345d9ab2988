"""Hidden states of rows of tokens in one pass, in float16: all with what the model predicted, or some indices alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import n_layers, vocab_size
from memviz.engine.statistics import distributions, require_finite
from memviz.engine.stretch import Stretch, judge
from memviz.engine.tracing import Report, in_batches, positions_at_once
from memviz.records import BEFORE_NORM, Points, Prompts, States

R = TypeVar("R", States, Points)
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
    return _in_batches(loaded, ids, layers, report, lambda rows, tick: _read_batch(loaded, rows, layers, tick))


@torch.inference_mode()
def read_points(
    loaded: Loaded,
    ids: np.ndarray,
    layers: tuple[int, ...],
    index: tuple[int, ...],
    with_entropy: bool = False,
    report: Report = lambda done, total: None,
) -> Points:
    """As `read_states`, at some indices (ascending) alone, and no token is read beyond the last of them.

    The output layer is needed for the entropy alone, and then at as many tokens as there are indices.
    """
    if not index or list(index) != sorted(set(index)) or not 0 <= index[0] <= index[-1] < ids.shape[-1]:
        raise ValueError(f"indices {index} are none of (n, {ids.shape[-1]}) ids, ascending")
    ids = ids[:, : max(2, index[-1] + 1)]
    at = torch.tensor(index, device=loaded.device)
    return _in_batches(
        loaded, ids, layers, report, lambda rows, tick: _read_points(loaded, rows, layers, at, with_entropy, tick)
    )


def _in_batches(
    loaded: Loaded,
    ids: np.ndarray,
    layers: tuple[int, ...],
    report: Report,
    read: Callable[[torch.Tensor, Callable[[int], None]], R],
) -> R:
    last = n_layers(loaded.model)
    unknown = [layer for layer in layers if not BEFORE_NORM <= layer <= last]
    if unknown or not layers:
        raise ValueError(f"layer {unknown[0] if unknown else 'none'} of {loaded.card.name}: it has layers 0 to {last}")
    if ids.ndim != 2 or ids.shape[1] < 2:
        raise ValueError(f"ids have shape {ids.shape}, expected (n, p) with p of at least 2")

    def whole(batch: Prompts, tick: Callable[[int], None]) -> R:
        assert batch.continuation_ids is not None
        rows = np.concatenate([batch.context_ids, batch.continuation_ids], axis=1)
        return read(torch.from_numpy(rows).to(loaded.device), tick)

    return in_batches(loaded, Prompts(ids[:, :-1], ids[:, -1:]), 1, len(layers), whole, report)[0]


def _read_points(
    loaded: Loaded,
    ids: torch.Tensor,
    layers: tuple[int, ...],
    index: torch.Tensor,
    with_entropy: bool,
    tick: Callable[[int], None],
) -> Points:
    (n, p), reader = ids.shape, Reader(loaded, layers)
    size = reader.block(n, p, positions_at_once(vocab_size(loaded.model, loaded.card.vocab_size)))
    if size == p:  # nothing is read after it
        reader = Reader(loaded, layers, with_cache=False)
    parts, entropy = [], [torch.full((n, int((index == 0).sum())), torch.nan, device=ids.device)]
    for start in range(0, p, size):
        fed = reader.feed(ids[:, start : start + size])
        assert fed.hidden is not None
        stop = start + fed.hidden.shape[1]
        parts.append(fed.hidden[:, index[(index >= start) & (index < stop)] - start].float().cpu().numpy())
        if with_entropy:  # the state after the token before says what the token is
            before = index[(index > start) & (index <= stop)] - start - 1
            entropy.append(distributions(reader.logits(fed.states[:, before]), 1).entropy)
        tick(reader.length)
    states = np.concatenate(parts, axis=1)
    require_finite(torch.from_numpy(states))
    hidden, scale = _halved(states)
    return Points(
        layers=np.array(layers, np.int32),
        index=index.cpu().numpy().astype(np.int32),
        hidden=hidden,
        scale=scale,
        entropy=torch.cat(entropy, dim=1).cpu().numpy() if with_entropy else None,
    )


def _read_batch(loaded: Loaded, ids: torch.Tensor, layers: tuple[int, ...], tick: Callable[[int], None]) -> States:
    (n, p), n_ids = ids.shape, vocab_size(loaded.model, loaded.card.vocab_size)
    reader, stretch = Reader(loaded, layers), Stretch(n, p, n_ids, ids.device, essential=True)
    chunk = positions_at_once(n_ids)
    size = reader.block(n, p, chunk)
    parts = []
    for start in range(0, p, size):
        fed = reader.feed(ids[:, start : start + size])
        assert fed.hidden is not None
        parts.append(fed.hidden.float().cpu().numpy())
        true_ids = ids[:, start + 1 : reader.length + 1]  # what the last token predicts is not asked for
        judge(stretch, start + 1, fed.states[:, : true_ids.shape[1]], reader, chunk, true_ids)
        tick(reader.length)
    require_finite(stretch.values["log_normaliser"][:, 1:])
    hidden, scale = _halved(np.concatenate(parts, axis=1))
    return States(
        layers=np.array(layers, np.int32),
        hidden=hidden,
        scale=scale,
        entropy=stretch.host("entropy"),
        margin=stretch.host("margin"),
        logprob=stretch.target("true").logprob,
    )


def _halved(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, q, l, d) states in float16, and the powers of two (n, l) that keep each row and layer within it."""
    largest = np.abs(states).max(axis=(1, 3))
    scale = np.exp2(np.maximum(0, np.ceil(np.log2(np.maximum(largest, 1) / _LARGEST)))).astype(np.float32)
    return (states / scale[:, None, :, None]).astype(np.float16), scale
