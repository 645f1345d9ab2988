"""What is asked of a model: token ids, how a continuation is chosen, and what a token stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memviz.records.arrays import expect

VERIFIED, STEPWISE = READINGS = ("verified", "stepwise")
"""Ways of reading: the likeliest tokens of one pass up to the first that is not the true one, from there on step by
step on that pass's cache; or every token by a step of its own, for comparison."""


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
            expect(self, "continuation_ids", (n, max(m, 1)))


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
