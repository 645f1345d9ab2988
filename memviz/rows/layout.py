"""How a file of rows may be laid out, what one row is, and the limits that every format shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from memviz.errors import InputError

TEXT, IDS = "text", "ids"
DTYPES = ("uint8", "uint16", "uint32", "int32", "int64")
MOST_TEXT = 8_000_000
"""Bytes of one row's text in a table."""
MOST_LINE = 32_000_000
"""Bytes or characters of a file that are held as one line; a line may have further columns."""
MOST_CHUNK = 2**31
"""Bytes of one column in one row group of a Parquet file, unpacked."""
MOST_UNPACKED = 2**31
"""Bytes that a packed file may unpack to."""

Refuse = Callable[[int, str], None]
"""Told of each row that is left out: its line or row from 1, and why."""
Note = Callable[[str], None]
"""Told what was recognised rather than asked for, once each."""


class Unusable(ValueError):
    """Why one row is left out."""


@dataclass(frozen=True)
class Layout:
    """What is known of a file; what is left open is recognised by documented rules, and said. Raises InputError."""

    text_column: str = TEXT
    ids_column: str = IDS
    """Taken instead of the text where a file has both."""
    id_column: str | None = None
    """What a file calls its rows."""
    labels: tuple[str, ...] = ()
    labels_file: str | None = None
    """A .npy of one label a row, beside rows that come as arrays."""
    dtype: str | None = None
    """Of the ids in a .bin file, of `DTYPES`, little-endian; None: by its header, a file beside it, or its content."""
    separator: int | None = None
    """Id between the documents of a stream: a .bin file or a one-dimensional .npy."""
    pad_id: int | None = None
    """Id that fills rows up: left off at the start, and a row ends before the next one."""
    window: int | None = None
    """Rows are cut into windows of so many tokens; what is left at the end is no row."""
    whole: bool = False
    """A stream that nothing divides is one row; else it is refused."""

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype!r} is unknown: use one of {', '.join(DTYPES)}")
        if self.window is not None and self.window < 1:
            raise InputError(f"a window of {self.window} tokens was asked for: give at least 1")


class Record(NamedTuple):
    """One row as the file gives it."""

    row: int
    """From 0; rows that are left out count."""
    line: int
    """From 1, as messages name it."""
    content: str | np.ndarray
    """Text, or (n_tokens,) whole numbers."""
    row_id: str | None = None
    labels: tuple[str | float | None, ...] = ()


@dataclass
class File:
    """One file that is being read."""

    path: Path
    layout: Layout
    n_ids: int
    """One more than the largest id of the vocabulary."""
    refuse: Refuse
    note: Note
    where: Callable[[], float] = field(default=lambda: 0.0)
    """How much of it has been read, from 0 to 1; set by what reads it."""


def unpadded(ids: np.ndarray, pad_id: int | None) -> np.ndarray:
    """(n_tokens,) ids without padding in front, up to the next."""
    if pad_id is None:
        return ids
    real = ids != pad_id
    if not real.any():
        return ids[:0]
    first = int(real.argmax())
    end = int((~real[first:]).argmax())
    return ids[first : first + end] if end else ids[first:]


def windows(record: Record, window: int | None) -> Iterator[Record]:
    """A record of ids cut into windows, named by its row and their first token; the record itself without a window."""
    if window is None:
        yield record
        return
    if not len(record.content):
        raise Unusable("has no tokens")
    if len(record.content) < window:
        raise Unusable(f"has {len(record.content)} tokens, fewer than a window of {window}")
    name = record.row if record.row_id is None else record.row_id
    for start in range(0, len(record.content) - window + 1, window):
        yield record._replace(content=record.content[start : start + window], row_id=f"{name}:{start}")


def check(ids: np.ndarray, n_ids: int) -> None:
    """Raise Unusable for a row without tokens, or with an id outside the vocabulary."""
    if not len(ids):
        raise Unusable("has no tokens")
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < 0 or highest >= n_ids:
        bad = lowest if lowest < 0 else highest
        raise Unusable(f"has id {bad}, ids are 0 to {n_ids - 1}: where {bad} fills rows up, --pad-id {bad} cuts there")
