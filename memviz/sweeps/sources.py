"""The rows of a source one after another: of the bundled corpus with what is known of them, or of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from memviz.demo.stream import TrainingData
from memviz.demo.suite import background_sample, read_data
from memviz.errors import InputError
from memviz.rows.kept import ROWS as DATA_ROWS
from memviz.rows.kept import read_data_set
from memviz.rows.layout import File, Note, Record, Refuse, Unusable, windows
from memviz.rows.reading import read_records
from memviz.rows.splitting import blocks_of, texts_of, with_ids
from memviz.rows.workers import Workers, split
from memviz.sweeps.rowset import SUITE, RowSet
from memviz.tokenizer import Tokenizer

Fact = dict[str, Any]


class Source:
    """The usable rows of a row set as token ids, block by block, counted as they are read."""

    def __init__(self, rows: RowSet, refuse: Refuse, note: Note, tokenizer: Tokenizer, n_vocabulary: int) -> None:
        self.rows, self._refuse, self._note, self._tokenizer = rows, refuse, note, tokenizer
        self._file = File(rows.path, rows.layout, n_vocabulary, self._leave_out, self._say)
        self._where = self._file.where
        self.n_read = 0
        self.n_malformed = 0
        self.first_problem: str | None = None
        self.read_as: list[str] = []

    @property
    def part(self) -> float:
        """How much has been read, from 0 to 1."""
        return self._where() if self.rows.source == SUITE else self._file.where()

    def _named(self) -> None:
        """Say which data set the rows are of, where they are of one."""
        about = read_data_set(self.rows.path.parent) if self.rows.path.name == DATA_ROWS else None
        if about is not None:
            self._say(about.said)

    def blocks(self, workers: Workers) -> Iterator[list[tuple[Record, Fact]]]:
        """The rows in order, several together. Raises InputError where the file as a whole cannot be read."""
        if self.rows.source == SUITE:
            yield from self._suite()
            return
        self._named()
        for records, ids in workers.map(split, blocks_of(read_records(self._file)), texts_of):
            found = list(self._numbered(records, ids))
            if found:
                yield found

    def _numbered(self, records: list[Record], split_ids: list[list[int]]) -> Iterator[tuple[Record, Fact]]:
        window = self.rows.window
        for text, record in zip(records, with_ids(records, split_ids), strict=True):
            try:
                if not len(record.content):
                    raise Unusable("has no tokens")
                pieces = windows(record, window if isinstance(text.content, str) else None)
                for piece in pieces:
                    row = piece.row if window is None else self.n_read - self.n_malformed
                    self.n_read += 1
                    yield piece._replace(row=row), {}
            except Unusable as problem:
                self._leave_out(record.line, str(problem))

    def _say(self, said: str) -> None:
        self.read_as.append(said)
        self._note(said)

    def _leave_out(self, line: int, problem: str) -> None:
        self.n_read += 1
        self.n_malformed += 1
        self.first_problem = self.first_problem or f"line {line} {problem}"
        self._refuse(line, problem)

    def _suite(self) -> Iterator[list[tuple[Record, Fact]]]:
        data = read_data()
        passing = np.flatnonzero(passing_rows(self.rows, data))
        self._where = lambda: self.n_read / max(1, len(passing))
        for start in range(0, len(passing), 1024):
            block = []
            for row in passing[start : start + 1024].tolist():
                facts = {
                    "domain": str(data.domain[row]),
                    "bucket": int(data.bucket[row]),
                    "background": bool(data.background[row]),
                    "document": int(data.document[row]),
                }
                block.append((Record(row, row + 1, data.ids[row].astype(np.int64)), facts))
            self.n_read += len(block)
            yield block


def passing_rows(rows: RowSet, data: TrainingData) -> np.ndarray:
    """(n_rows,) bool: rows of the corpus that pass the filters. Raises InputError for a value the corpus has not."""
    checks: list[tuple[str, tuple[Any, ...], np.ndarray]] = [
        ("domain", rows.domains, np.unique(data.domain)),
        ("bucket", rows.buckets, np.unique(data.bucket)),
        ("document", rows.documents, np.arange(len(data.documents))),
    ]
    for name, wanted, present in checks:
        missing = sorted(set(wanted) - set(present.tolist()))
        if missing:
            known = f"0 to {len(present) - 1}" if name == "document" else ", ".join(map(str, present))
            raise InputError(f"the bundled corpus has no {name} {missing[0]}: it has {known}")
    passing = np.ones(len(data.ids), bool)
    for wanted, values in ((rows.domains, data.domain), (rows.buckets, data.bucket), (rows.documents, data.document)):
        if wanted:
            passing &= np.isin(values, wanted)
    if rows.parts:
        part = np.where(data.background, "background", np.where(data.bucket == 0, "held-out", "planted"))
        passing &= np.isin(part, rows.parts)
    if rows.background is not None:
        passing &= ~data.background | np.isin(np.arange(len(passing)), background_sample(data, rows.background))
    return passing
