"""What the engine says of prompts: scores of a stretch, hidden states, traces, and what a sweep keeps of many."""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from memviz.records.arrays import expect

N_ALTERNATIVES = 64  # kept alternatives per position, K
UNKNOWN_ID = -1  # token id where no distribution exists (index 0)


@dataclass(frozen=True)
class Target:
    """How the distributions at p positions scored one given token at each."""

    logit: np.ndarray
    """(n, p) float32 raw logit."""
    logprob: np.ndarray
    """(n, p) float32 nats."""
    rank: np.ndarray
    """(n, p) int32 from 1; ties go to the lowest id."""


@dataclass(frozen=True)
class Scores:
    """What the model predicted at a stretch of p positions, and how it scored one target token at each.

    28 + 8 K bytes a position. At index 0 of a row no distribution exists: floats are NaN, ranks 0, ids `UNKNOWN_ID`.
    """

    logit: np.ndarray
    """(n, p) float32 raw logit of the target token."""
    logprob: np.ndarray
    """(n, p) float32 nats, log-probability of the target token."""
    rank: np.ndarray
    """(n, p) int32 from 1, rank of the target token; ties go to the lowest id."""
    entropy: np.ndarray
    """(n, p) float32 nats, over the whole vocabulary."""
    second_moment: np.ndarray
    """(n, p) float32 nats squared, sum over the vocabulary of p (log p)^2."""
    margin: np.ndarray
    """(n, p) float32 logit units, top-1 minus top-2."""
    argmax_ids: np.ndarray
    """(n, p) int32, the lowest id among the most likely."""
    top_ids: np.ndarray
    """(n, p, K) int32 by falling probability, then rising id."""
    top_logprobs: np.ndarray
    """(n, p, K) float32 nats."""

    def __post_init__(self) -> None:
        shape = np.shape(self.logit)
        for name in ("logprob", "rank", "entropy", "second_moment", "margin", "argmax_ids"):
            expect(self, name, shape)
        for name in ("top_ids", "top_logprobs"):
            expect(self, name, (*shape, np.shape(self.top_ids)[-1]))

    def positions(self, which: slice) -> Scores:
        """The same scores at a slice of positions."""
        return Scores(**{f.name: getattr(self, f.name)[:, which] for f in fields(self)})


@dataclass(frozen=True)
class Hidden:
    """Hidden states after reading each token (reading states); the last layer's are after the final norm.

    The state that emitted token j is the reading state of token j - 1: see `emitting`.
    """

    layers: np.ndarray
    """(l,) int32: 0 is the embedding, the largest is the last layer."""
    context: np.ndarray
    """(n, k, l, d) float32, reading states of the context."""
    free_running: np.ndarray
    """(n, m, l, d) float32, reading states of the generated tokens."""
    teacher_forced: np.ndarray | None
    """(n, m, l, d) float32, reading states of the true tokens, or None without truth."""

    def emitting(self, mode: typing.Literal["free_running", "teacher_forced"]) -> np.ndarray:
        """(n, m, l, d) float32: at position t the state whose distribution is that of continuation token t."""
        reading = getattr(self, mode)
        return np.concatenate([self.context[:, -1:], reading[:, :-1]], axis=1)


@dataclass(frozen=True)
class Trace:
    """Everything the engine says about n prompts under one decoding, by both ways of reading."""

    context_ids: np.ndarray
    """(n, k) int64."""
    continuation_ids: np.ndarray | None
    """(n, m) int64 true tokens, or None without truth."""
    generated_ids: np.ndarray
    """(n, m) int64, free-running: the model read its own output."""
    context: Scores
    """p = k; targets are the context's own tokens."""
    free_running: Scores
    """p = m; targets are the generated tokens."""
    free_running_true: Target | None
    """p = m; how the distributions of `free_running` score the true tokens. None without truth."""
    teacher_forced: Scores | None
    """p = m; the model reads context and truth, targets are the true tokens. None without truth."""
    logit_noise: np.ndarray
    """() float32 logit units: largest difference between one pass and step by step, for this model, dtype, device."""
    hidden: Hidden | None = None

    def __post_init__(self) -> None:
        n, m = self.generated_ids.shape
        if self.continuation_ids is not None:
            expect(self, "continuation_ids", (n, m))
        expect(self.context, "logit", np.shape(self.context_ids))
        expect(self.free_running, "logit", (n, m))

    @property
    def n_context(self) -> int:
        return self.context_ids.shape[1]

    @property
    def n_continuation(self) -> int:
        return self.generated_ids.shape[1]

    @property
    def fragile(self) -> np.ndarray:
        """(n, m) bool, free-running: margin below twice the logit noise, so another way of computing may differ."""
        return self.free_running.margin < 2 * float(self.logit_noise)


@dataclass(frozen=True)
class Partial:
    """What is known of one prompt's continuation while it is decoded: its first t tokens."""

    generated_ids: np.ndarray
    """(t,) int64, free-running."""
    entropy: np.ndarray
    """(t,) float32 nats."""


@dataclass(frozen=True)
class Survey:
    """What a sweep keeps of n prompts with truth under greedy decoding: 8 bytes a context token, 28 a position."""

    generated_ids: np.ndarray
    """(n, m) int32, free-running."""
    context_entropy: np.ndarray
    """(n, k) float32 nats; NaN at index 0."""
    context_logprob: np.ndarray
    """(n, k) float32 nats, of the context's own tokens; NaN at index 0."""
    free_running_entropy: np.ndarray
    """(n, m) float32 nats."""
    free_running_margin: np.ndarray
    """(n, m) float32 logit units, top-1 minus top-2."""
    teacher_forced_entropy: np.ndarray
    """(n, m) float32 nats."""
    teacher_forced_logprob: np.ndarray
    """(n, m) float32 nats, of the true tokens."""
    teacher_forced_rank: np.ndarray
    """(n, m) int32 from 1, of the true tokens."""
    logit_noise: np.ndarray
    """() float32 logit units, as in `Trace`."""
    teacher_forced_second_moment: np.ndarray | None = None
    """(n, m) float32 nats squared, sum of p (log p)^2, for Min-K%++. None in batches stored before it was kept."""
    rows_at_once: np.ndarray | None = None
    """() int32: n, or fewer where memory asked for it, halved each time. None where it was not kept."""

    def __post_init__(self) -> None:
        shape = np.shape(self.generated_ids)
        if self.teacher_forced_second_moment is not None:
            expect(self, "teacher_forced_second_moment", shape)
        for name in ("entropy", "logprob", "rank"):
            expect(self, f"teacher_forced_{name}", shape)
        for name in ("entropy", "margin"):
            expect(self, f"free_running_{name}", shape)
        expect(self, "context_logprob", np.shape(self.context_entropy))


@dataclass(frozen=True)
class Run:
    """A trace and where it came from. Provenance is shown, never hashed."""

    trace: Trace
    provenance: dict[str, Any]
    """model, revision, weights, dtype, device, versions, seconds, created (ISO 8601, UTC)."""
