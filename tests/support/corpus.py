"""Small streams, indexes of them, and the same answers by looking at every place in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from memviz.corpus import Corpus, Manifest, StreamShard, build

HASH = "0" * 64


class Segment(NamedTuple):
    """One stretch of a row in the stream."""

    row: int
    offset: int
    ids: list[int]
    step: int


@dataclass(frozen=True)
class Stream:
    """Rows, and their exposures in the order of training."""

    rows: list[list[int]]
    segments: list[Segment]

    def shard(self, segments: Sequence[Segment], dtype: type = np.int64) -> StreamShard:
        return StreamShard(
            tokens=np.array([token for segment in segments for token in segment.ids], dtype),
            row=np.array([segment.row for segment in segments], np.int64),
            n_tokens=np.array([len(segment.ids) for segment in segments], np.int64),
            row_offset=np.array([segment.offset for segment in segments], np.int64),
            row_length=np.array([len(self.rows[segment.row]) for segment in segments], np.int64),
            step=np.array([segment.step for segment in segments], np.int64),
        )

    def build(self, folder: Path, borders: Sequence[int] = (), vocab_size: int = 10, name: str = "test") -> Manifest:
        """An index with shards that end before these segments."""
        edges = [0, *borders, len(self.segments)]
        shards = [self.shard(self.segments[a:b]) for a, b in itertools.pairwise(edges)]
        return build(folder, name, HASH, vocab_size, shards, table(len(self.rows)))

    def corpus(self, folder: Path, borders: Sequence[int] = (), vocab_size: int = 10) -> Corpus:
        self.build(folder, borders, vocab_size)
        return Corpus.open(folder, HASH)

    # The same questions, answered by looking at every place

    @cached_property
    def _places(self) -> dict[tuple[int, ...], list[tuple[int, int, int]]]:
        """Row, position in the row and step of every n-gram of every length."""
        found: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
        for segment in self.segments:
            for a, b in itertools.combinations(range(len(segment.ids) + 1), 2):
                place = (segment.row, segment.offset + a, segment.step)
                found.setdefault(tuple(segment.ids[a:b]), []).append(place)
        return found

    def places(self, ngram: Sequence[int], until: int | None = None) -> list[tuple[int, int, int]]:
        """Row, position in the row and step of every exposure that holds the n-gram whole."""
        return [place for place in self._places.get(tuple(ngram), ()) if until is None or place[2] <= until]

    def count(self, ngram: Sequence[int], kind: str, until: int | None = None, own: Sequence[int] = ()) -> int:
        rows = [row for row, _, _ in self.places(ngram, until)]
        return len(set(rows)) if kind == "rows" else sum(kind == "stream" or row not in own for row in rows)

    def own_rows(self, ids: Sequence[int]) -> list[int]:
        size = min(16, len(ids))
        windows = [ids[at : at + size] for at in range(len(ids) - size + 1)] if size else []
        return sorted({row for window in windows for row, _, _ in self.places(window)})

    def longest(self, ids: Sequence[int], until: int | None = None, without: Sequence[int] = ()) -> list[int]:
        """Longest n-gram that ends at each index and stands in a row not in `without`."""
        return [
            max(n for n in range(end + 1) if n == 0 or self.count(ids[end - n : end], "other", until, without))
            for end in range(1, len(ids) + 1)
        ]


def table(n_rows: int) -> pa.Table:
    return pa.table({"domain": ["prose"] * n_rows})


def exposed(rows: list[list[int]], schedule: Sequence[tuple[int, int | None]]) -> Stream:
    """Rows exposed in this order, one a step; where a number follows, cut in two before that token."""
    segments = []
    for step, (row, cut) in enumerate(schedule):
        ids = rows[row]
        borders = [0, len(ids)] if cut is None or not 0 < cut < len(ids) else [0, cut, len(ids)]
        segments += [Segment(row, a, ids[a:b], step) for a, b in itertools.pairwise(borders)]
    return Stream(rows, segments)


def random_stream(seed: int, n_rows: int = 12, length: int = 24, n_exposures: int = 50, vocab: int = 6) -> Stream:
    """Rows over few ids, so that n-grams recur within and between rows; a third of the exposures are cut."""
    generator = np.random.default_rng(seed)
    rows = [generator.integers(0, vocab, generator.integers(1, length + 1)).tolist() for _ in range(n_rows)]
    rows[1] = rows[0][:]  # two rows of one text
    schedule = [
        (int(row), int(generator.integers(1, length)) if generator.random() < 0.35 else None)
        for row in generator.integers(0, n_rows - 1, n_exposures)  # the last row is held out
    ]
    return exposed(rows, schedule)
