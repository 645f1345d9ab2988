"""The trace of equal-shaped prompts: batches that fit, halved where memory runs out, joined as one record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from memviz.engine.choosing import Chooser
from memviz.engine.decoding import STEPS, STEPS_SHOWN, Work, decode_plainly, decode_verified
from memviz.engine.devices import free_memory
from memviz.engine.fixed import Steps, fixed_for, leave_room, room_bytes, usual_steps
from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import bytes_per_index, hidden_size, n_layers, vocab_size
from memviz.engine.stretch import Stretch
from memviz.records import VERIFIED, Decoding, Hidden, Partial, Prompts, Survey, Trace

log = logging.getLogger(__name__)
Report = Callable[[int, int], None]
"""Called as report(done, total) after every forward pass; raises to cancel."""
Show = Callable[[Partial], None]
LOGIT_BYTES = 256 * 2**20
"""Logits are made of so many positions at once that they and what is computed from them stay near this size."""
BYTES_PER_LOGIT = 20  # the logits in float32, their logarithms, p log p, and what topk and rank hold
R = TypeVar("R")


def check_prompts(card_name: str, vocab_size: int, n_positions: int | None, prompts: Prompts, n_steps: int) -> None:
    """Raise ValueError where prompts cannot be traced by a model: ids outside its vocabulary, or too long."""
    k = prompts.context_ids.shape[1]
    if n_steps < 1:
        raise ValueError(f"continuation length is {n_steps}, expected at least 1 token")
    if prompts.continuation_ids is not None and prompts.continuation_ids.shape[1] != n_steps:
        raise ValueError(
            f"continuation length is {n_steps}, but {prompts.continuation_ids.shape[1]} true tokens are given"
        )
    if n_positions is not None and k + n_steps > n_positions:
        raise ValueError(
            f"{k} context and {n_steps} continuation tokens are {k + n_steps}; {card_name} reads at most {n_positions}"
        )
    for name, ids in (("context", prompts.context_ids), ("continuation", prompts.continuation_ids)):
        if ids is not None and not ((ids >= 0) & (ids < vocab_size)).all():
            bad = int(ids[(ids < 0) | (ids >= vocab_size)][0])
            raise ValueError(
                f"{name} id {bad} is outside the vocabulary of {card_name}, which has ids 0 to {vocab_size - 1}"
            )


def rows_that_fit(loaded: Loaded, n_indices: int, n_layers_kept: int) -> int:
    """How many rows of so many tokens can be read together, by an estimate of half of the free memory."""
    size = torch.finfo(getattr(torch, loaded.dtype)).bits // 8
    n_bytes = bytes_per_index(loaded.model, size, n_layers_kept)
    logits = loaded.card.vocab_size * size if loaded.head is None else 0
    per_row = n_indices * (n_bytes + logits) + BYTES_PER_LOGIT * loaded.card.vocab_size
    return max(1, (free_memory(loaded.device) + room_bytes(loaded)) // 2 // per_row)


@torch.inference_mode()
def trace(
    loaded: Loaded,
    prompts: Prompts,
    n_steps: int,
    decoding: Decoding,
    logit_noise: float,
    all_layers: bool = False,
    guesses: Sequence[Sequence[int]] = (),
    report: Report = lambda done, total: None,
    reading: str = VERIFIED,
    show: Show | None = None,
    steps: Steps | None = None,
) -> Trace:
    """Everything a model says about n prompts of one shape: m = n_steps tokens each, an end of sequence like any other.

    Verified, and with a cache that can roll back, decoding starts from the teacher-forced pass; otherwise step by step.
    Tokens of a single prompt are shown as they come. Raises ValueError for prompts outside the model, Failure, and
    whatever `report` and `show` raise to cancel.

    steps: how single tokens are decoded, by default as the device usually does.
    """
    last = n_layers(loaded.model)
    layers = tuple(range(last + 1)) if all_layers else (last,)

    def read(batch: Prompts, tick: Callable[[int], None]) -> Trace:
        work = _work(loaded, batch, n_steps, decoding, layers, tick, steps, guesses=guesses, show=show)
        _decode(loaded, work, layers, reading)
        return _trace_of(batch, work, layers, logit_noise)

    return in_batches(loaded, prompts, n_steps, len(layers), read, report)[0]


@torch.inference_mode()
def survey(
    loaded: Loaded,
    prompts: Prompts,
    logit_noise: float,
    report: Report = lambda done, total: None,
    reading: str = VERIFIED,
    steps: Steps | None = None,
) -> Survey:
    """What `trace` says of n prompts with truth under greedy decoding, without alternatives and hidden states.

    Raises as `trace` does.
    """
    assert prompts.continuation_ids is not None
    m = prompts.continuation_ids.shape[1]

    def read(batch: Prompts, tick: Callable[[int], None]) -> Survey:
        work = _work(loaded, batch, m, Decoding(), (), tick, steps, essential=True)
        _decode(loaded, work, (), reading)
        forced, free = work.forced.target("true"), work.free
        return Survey(
            generated_ids=free.host("own_ids").astype(np.int32),
            context_entropy=work.context.host("entropy"),
            context_logprob=work.context.target("true").logprob,
            free_running_entropy=free.host("entropy"),
            free_running_margin=free.host("margin"),
            teacher_forced_entropy=work.forced.host("entropy"),
            teacher_forced_logprob=forced.logprob,
            teacher_forced_rank=forced.rank,
            logit_noise=np.array(logit_noise, np.float32),
            teacher_forced_second_moment=work.forced.host("second_moment"),
        )

    found, size = in_batches(loaded, prompts, m, 0, read, report)
    return replace(found, rows_at_once=np.array(size, np.int32))


def in_batches(
    loaded: Loaded,
    prompts: Prompts,
    n_steps: int,
    n_layers_kept: int,
    read: Callable[[Prompts, Callable[[int], None]], R],
    report: Report,
) -> tuple[R, int]:
    """What `read` says as one record, and how many rows were read at once: all, halved as often as memory asks for."""
    check_prompts(loaded.card.name, loaded.card.vocab_size, loaded.card.n_positions, prompts, n_steps)
    n, k = prompts.context_ids.shape
    size, fitting = n, rows_that_fit(loaded, k + n_steps, n_layers_kept)
    while size > fitting:
        size = -(-size // 2)
    total, parts, start = n * (k + 2 * n_steps), [], 0
    while start < n:
        stop = min(n, start + size)
        truth = prompts.continuation_ids
        batch = Prompts(prompts.context_ids[start:stop], None if truth is None else truth[start:stop])
        tick = partial(_tick, report, start * (k + 2 * n_steps), stop - start, total)
        try:
            parts.append(read(batch, tick))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = -(-size // 2)
            leave_room(loaded)
            log.warning("out of memory on %s: going on with %d rows at once", loaded.device.type, size)
            torch.cuda.empty_cache()
            continue
        start = stop
    return parts[0] if len(parts) == 1 else _join(parts), size


def _tick(report: Report, done: int, n_rows: int, total: int, position: int) -> None:
    report(done + n_rows * position, total)


def _work(
    loaded: Loaded,
    prompts: Prompts,
    m: int,
    decoding: Decoding,
    layers: tuple[int, ...],
    tick: Callable[[int], None],
    steps: Steps | None,
    essential: bool = False,
    guesses: Sequence[Sequence[int]] = (),
    show: Show | None = None,
) -> Work:
    (n, k), device, dtype = prompts.context_ids.shape, loaded.device, getattr(torch, loaded.dtype)
    width, size = hidden_size(loaded.model), vocab_size(loaded.model, loaded.card.vocab_size)
    truth = prompts.continuation_ids
    lengths = {"context": k, "free_running": m} | ({} if truth is None else {"teacher_forced": m})
    watched = show is not None and n == 1
    free = Stretch(n, m, size, device, essential)

    def shown(n_tokens: int) -> None:
        assert show is not None
        show(Partial(*(free.values[name][0, :n_tokens].cpu().numpy() for name in ("own_ids", "entropy"))))

    return Work(
        context_ids=torch.from_numpy(prompts.context_ids).to(device),
        true_ids=None if truth is None else torch.from_numpy(truth).to(device),
        chooser=Chooser(decoding, m, loaded.card.eos_ids, device),
        guesses=guesses if loaded.dtype == "float32" else None,
        tick=tick,
        show=shown if watched else None,
        chunk=positions_at_once(size),
        n_steps=max(1, min(STEPS_SHOWN if watched else STEPS, LOGIT_BYTES // (n * size * dtype.itemsize))),
        context=Stretch(n, k, size, device, essential),
        forced=Stretch(n, m, size, device, essential),
        free=free,
        hidden={
            mode: torch.zeros((n, p, len(layers), width), dtype=dtype, device=device) for mode, p in lengths.items()
        }
        if layers
        else {},
        places=lambda reader, n_rows: fixed_for(loaded, reader, n_rows, k + m, steps or usual_steps(loaded)),
    )


def positions_at_once(vocab_size: int) -> int:
    """Positions whose logits are made and reduced together."""
    return max(1, LOGIT_BYTES // (BYTES_PER_LOGIT * vocab_size))


def _decode(loaded: Loaded, work: Work, layers: tuple[int, ...], reading: str) -> None:
    reader = Reader(loaded, layers)
    if work.true_ids is not None and reading == VERIFIED and reader.can_roll_back:
        decode_verified(work, reader)
    else:
        decode_plainly(work, partial(Reader, loaded, layers))


def _trace_of(prompts: Prompts, work: Work, layers: tuple[int, ...], logit_noise: float) -> Trace:
    truth = prompts.continuation_ids
    hidden = {mode: states.float().cpu().numpy() for mode, states in work.hidden.items()}
    return Trace(
        context_ids=prompts.context_ids,
        continuation_ids=truth,
        generated_ids=work.free.host("own_ids"),
        context=work.context.scores("true"),
        free_running=work.free.scores("own"),
        free_running_true=None if truth is None else work.free.target("true"),
        teacher_forced=None if truth is None else work.forced.scores("true"),
        logit_noise=np.array(logit_noise, np.float32),
        hidden=Hidden(
            layers=np.array(layers, np.int32),
            context=hidden["context"],
            free_running=hidden["free_running"],
            teacher_forced=hidden.get("teacher_forced"),
        ),
    )


def _join(parts: Sequence[R]) -> R:
    """Records of batches as one record, along the axis of sequences."""
    first: Any = parts[0]
    values = {}
    for field in fields(first):
        column = [getattr(part, field.name) for part in parts]
        if is_dataclass(column[0]):
            values[field.name] = _join(column)
        elif column[0] is None or field.name in ("layers", "index", "logit_noise", "rows_at_once"):
            values[field.name] = column[0]
        else:
            values[field.name] = np.concatenate(column)
    return type(first)(**values)
