"""What an index answers with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """A stretch of a text that stands verbatim in the corpus and cannot be made longer on either side."""

    start: int
    """Index of its first token in the text."""
    n_tokens: int
    count: int
    """Exposures that hold it whole, one row's repetitions counted one by one."""
    rows: np.ndarray
    """(r,) int64 numbers of the rows that hold it, ascending; all of them."""


@dataclass(frozen=True)
class Occurrence:
    """One place of an n-gram in a row, and every exposure that showed it whole."""

    row: int
    position: int
    """Index in the row of the n-gram's first token."""
    n_exposures: int
    steps: np.ndarray
    """(n_exposures,) int64 training steps, ascending; 0 throughout where steps are unknown."""


@dataclass(frozen=True)
class Occurrences:
    """Where an n-gram stands: the first places by row and position, and how much there is in all."""

    listed: tuple[Occurrence, ...]
    n_places: int
    """Different (row, position) in all; more than are listed where a limit was given."""
    n_rows: int
    """Different rows in all."""
    n_exposures: int
    """Occurrences in the stream in all, equal to the stream count."""
