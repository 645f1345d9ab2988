"""Texts of rows to token ids, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from memviz.rows.layout import Record

BLOCK_ROWS = 1024
BLOCK_CHARACTERS = 2**20


def blocks_of(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records in order, so many together as are split at once."""
    waiting: list[Record] = []
    n_characters = 0
    for record in records:
        waiting.append(record)
        n_characters += len(record.content)
        if len(waiting) == BLOCK_ROWS or n_characters >= BLOCK_CHARACTERS:
            yield waiting
            waiting, n_characters = [], 0
    if waiting:
        yield waiting


def texts_of(records: Iterable[Record]) -> list[str]:
    """The texts among them, to be split."""
    return [record.content for record in records if isinstance(record.content, str)]


def with_ids(records: Iterable[Record], split: Iterable[Sequence[int]]) -> Iterator[Record]:
    """The records in order; those of text with the next ids of `split` as (n_tokens,) int64."""
    found = iter(split)
    for record in records:
        text = isinstance(record.content, str)
        yield record._replace(content=np.array(next(found), np.int64)) if text else record
