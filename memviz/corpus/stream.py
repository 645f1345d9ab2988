"""What an index is built from: a stream of segments, in the order the model saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StreamShard:
    """Consecutive segments of a stream. A segment is a stretch of one row that the model saw without a break.

    A row's tokens are the same in each of its exposures. Raises ValueError naming field, got, expected.
    """

    tokens: np.ndarray
    """(t,) unsigned token ids of all segments, one after the other; separators of the stream left out."""
    row: np.ndarray
    """(s,) integer number of each segment's row, an index of the table of rows."""
    n_tokens: np.ndarray
    """(s,) integer, at least 1; they add up to t."""
    row_offset: np.ndarray
    """(s,) integer index within its row of each segment's first token."""
    row_length: np.ndarray
    """(s,) integer tokens of the whole row."""
    step: np.ndarray
    """(s,) integer training step, never falling; 0 throughout where steps are unknown."""

    def __post_init__(self) -> None:
        n_segments = len(self.row)
        for name in ("n_tokens", "row_offset", "row_length", "step"):
            got = np.shape(getattr(self, name))
            if got != (n_segments,):
                raise ValueError(f"StreamShard.{name}: got shape {got}, expected {(n_segments,)} as of row")
        if self.tokens.ndim != 1 or self.tokens.dtype.kind not in "ui":
            raise ValueError(
                f"StreamShard.tokens: got {self.tokens.dtype} of shape {self.tokens.shape}, expected whole numbers (t,)"
            )
        if n_segments and int(self.n_tokens.min()) < 1:
            raise ValueError(f"StreamShard.n_tokens: got {int(self.n_tokens.min())}, expected at least 1")
        if int(self.n_tokens.sum()) != len(self.tokens):
            raise ValueError(
                f"StreamShard.n_tokens: they add up to {int(self.n_tokens.sum())}, expected {len(self.tokens)} tokens"
            )
        if n_segments and (self.row_offset.min() < 0 or (self.row_offset + self.n_tokens > self.row_length).any()):
            raise ValueError("StreamShard.row_offset: a segment reaches outside its row, expected it within row_length")
        if (np.diff(self.step) < 0).any():
            raise ValueError("StreamShard.step: it falls, expected segments in the order of training")

    @classmethod
    def of_documents(cls, tokens: np.ndarray, n_tokens: np.ndarray, first_row: int) -> StreamShard:
        """Documents seen once each, in order: rows `first_row`, `first_row` + 1, …, without steps."""
        zeros = np.zeros(len(n_tokens), np.int64)
        return cls(tokens, first_row + np.arange(len(n_tokens)), n_tokens, zeros, n_tokens, zeros)

    @property
    def last_step(self) -> int:
        return int(self.step[-1]) if len(self.step) else 0
