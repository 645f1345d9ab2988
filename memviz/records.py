"""Frozen records of numpy arrays: what the engine returns and everything above it reads.

Letters: n sequences, k context tokens, m continuation tokens, p positions of one stretch (k or m), l layers, d width,
K kept alternatives. Index j counts tokens of the whole row; position t = j - k counts tokens of the continuation.
A quantity at index j comes from the distribution given the tokens before j; so nothing is known at index 0.
Logarithms are natural; ranks start at 1.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

R = typing.TypeVar("R")

N_ALTERNATIVES = 64  # kept alternatives per position, K
UNKNOWN_ID = -1  # token id where no distribution exists (index 0)
BEFORE_NORM = -1  # among layers: the last layer's state before the final norm
VERIFIED, STEPWISE = READINGS = ("verified", "stepwise")
"""Ways of reading: the likeliest tokens of one pass up to the first that is not the true one, from there on step by
step on that pass's cache; or every token by a step of its own, for comparison."""


def _expect(record: object, field: str, shape: tuple[int, ...]) -> None:
    got = np.shape(getattr(record, field))
    if got != shape:
        raise ValueError(f"{type(record).__name__}.{field}: got shape {got}, expected {shape}")


@dataclass(frozen=True)
class Piece:
    """What one token stands for."""

    raw: bytes
    """Its UTF-8 bytes; a single character may be spread over several tokens."""
    special: bool
    """Whether it is a mark of the tokenizer rather than text."""
    name: str
    """The vocabulary's own name for it."""


@dataclass(frozen=True)
class Prompts:
    """Equal-shaped questions to a model: n contexts and, where known, their true continuations."""

    context_ids: np.ndarray
    """(n, k) int64 token ids, the tokenizer's own leading tokens included."""
    continuation_ids: np.ndarray | None = None
    """(n, m) int64 true token ids, or None where no truth is known."""

    def __post_init__(self) -> None:
        if self.context_ids.ndim != 2 or 0 in self.context_ids.shape:
            raise ValueError(f"Prompts.context_ids: got shape {self.context_ids.shape}, expected (n, k) with n, k >= 1")
        if self.continuation_ids is not None:
            n, m = len(self.context_ids), self.continuation_ids.shape[-1]
            _expect(self, "continuation_ids", (n, max(m, 1)))


@dataclass(frozen=True)
class Decoding:
    """How a continuation is chosen: greedy where temperature is None, else sampled with common random numbers.

    Raises ValueError naming a value outside its range.
    """

    temperature: float | None = None
    """Above 0; None is greedy decoding."""
    top_k: int | None = None
    """Only the k most likely tokens are drawn, at least 1; None is no limit."""
    top_p: float | None = None
    """Only the smallest set with at least this probability is drawn, in (0, 1]; None is no limit."""
    seed: int | None = None
    """Of the uniform number drawn at each position, the same for every row; 0 where sampling without one."""
    bar_eos: bool = False
    """Never generate an end-of-sequence token (published Pythia evaluations do this)."""

    def __post_init__(self) -> None:
        if self.temperature is None:
            if (self.top_k, self.top_p, self.seed) != (None, None, None):
                raise ValueError("top_k, top_p and seed need sampling: give a temperature, or leave them out")
            return
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}, expected a number above 0; leave it out for greedy")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}, expected at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, expected a number in (0, 1]")
        if self.seed is None:
            object.__setattr__(self, "seed", 0)
        elif not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}, expected a whole number from 0 to 2^63 - 1")

    @property
    def greedy(self) -> bool:
        return self.temperature is None


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
            _expect(self, name, shape)
        for name in ("top_ids", "top_logprobs"):
            _expect(self, name, (*shape, np.shape(self.top_ids)[-1]))

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
            _expect(self, "continuation_ids", (n, m))
        _expect(self.context, "logit", np.shape(self.context_ids))
        _expect(self.free_running, "logit", (n, m))

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
            _expect(self, "teacher_forced_second_moment", shape)
        for name in ("entropy", "logprob", "rank"):
            _expect(self, f"teacher_forced_{name}", shape)
        for name in ("entropy", "margin"):
            _expect(self, f"free_running_{name}", shape)
        _expect(self, "context_logprob", np.shape(self.context_entropy))


@dataclass(frozen=True)
class States:
    """Reading states of n rows of p tokens, and how the model predicted each token: what maps and predictors read.

    2 l d bytes a token for the states, 12 for the rest. At index 0 nothing is predicted: floats are NaN.
    """

    layers: np.ndarray
    """(l,) int32: 0 is the embedding, the largest the last layer after the final norm, `BEFORE_NORM` before it."""
    hidden: np.ndarray
    """(n, p, l, d) float16; times `scale` it is the state after reading token j."""
    scale: np.ndarray
    """(n, l) float32 powers of two, 1 unless float16 would overflow."""
    entropy: np.ndarray
    """(n, p) float32 nats, of the distribution that predicts token j."""
    margin: np.ndarray
    """(n, p) float32 logit units, its top-1 minus top-2."""
    logprob: np.ndarray
    """(n, p) float32 nats, its log-probability of token j."""

    def __post_init__(self) -> None:
        shape = np.shape(self.entropy)
        for name in ("margin", "logprob"):
            _expect(self, name, shape)
        _expect(self, "hidden", (*shape, len(self.layers), np.shape(self.hidden)[-1]))
        _expect(self, "scale", (shape[0], len(self.layers)))

    def of_layer(self, layer: int) -> np.ndarray:
        """(n, p, d) float32 reading states of one layer. Raises ValueError where it was not kept."""
        if layer not in self.layers:
            raise ValueError(f"layer {layer} was not kept; kept are {self.layers.tolist()}")
        place = int(np.flatnonzero(self.layers == layer)[0])
        return self.hidden[:, :, place].astype(np.float32) * self.scale[:, None, place, None]

    def rows(self, which: np.ndarray, first: int = 0) -> States:
        """Some of the rows, from index `first` on."""
        names = ("hidden", "entropy", "margin", "logprob")
        cut = {name: getattr(self, name)[which, first:] for name in names}
        return States(layers=self.layers, scale=self.scale[which], **cut)


@dataclass(frozen=True)
class Run:
    """A trace and where it came from. Provenance is shown, never hashed."""

    trace: Trace
    provenance: dict[str, Any]
    """model, revision, weights, dtype, device, versions, seconds, created (ISO 8601, UTC)."""


def to_arrays(record: object, prefix: str = "") -> dict[str, np.ndarray]:
    """A record of arrays and nested records as one flat dict, keys joined by dots; None fields are left out."""
    arrays: dict[str, np.ndarray] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if is_dataclass(value):
            arrays |= to_arrays(value, f"{prefix}{field.name}.")
        elif value is not None:
            arrays[prefix + field.name] = np.asarray(value)
    return arrays


def from_arrays(kind: type[R], arrays: dict[str, np.ndarray], prefix: str = "") -> R:
    """The inverse of `to_arrays`. Raises ValueError naming a missing field."""
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(kind)
    for field in fields(kind):  # type: ignore[arg-type]
        name = prefix + field.name
        options = typing.get_args(hints[field.name]) or (hints[field.name],)
        nested = next((option for option in options if is_dataclass(option)), None)
        if name in arrays:
            values[field.name] = arrays[name]
        elif nested and any(key.startswith(name + ".") for key in arrays):
            values[field.name] = from_arrays(nested, arrays, name + ".")  # type: ignore[arg-type]
        elif type(None) in options:
            values[field.name] = None
        else:
            raise ValueError(f"{kind.__name__}.{name}: missing from the stored arrays {sorted(arrays)}")
    return kind(**values)
