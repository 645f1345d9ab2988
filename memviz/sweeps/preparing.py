"""A sweep's rows on disk: read once, checked, cut to what the sweep needs, sampled, grouped; memory holds a block."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from memviz.demo.stream import TrainingData
from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.measures.templates import memorization_class, template_of
from memviz.sweeps.duplicates import WINDOW, near_duplicate_groups
from memviz.sweeps.reading import Record, Refuse, read_records
from memviz.sweeps.rowset import SUITE, RowSet
from memviz.sweeps.tables import ROW_COLUMNS, schema_of
from memviz.tokenizer import Tokenizer

ROWS = "rows.parquet"
LOOKED_AT = 512
"""First tokens of a row that decide its group, template and class, more where the sweep needs more."""
_BLOCK = 1024
Fact = dict[str, Any]
Watch = Callable[[int], None]
"""Called with the number of rows read so far; raises to cancel."""


@dataclass(frozen=True)
class PreparedRows:
    """Rows of a sweep in a file of the columns `ROW_COLUMNS`."""

    path: Path
    n: int
    sha256: str
    """Of row numbers and token ids, in order."""
    lengths: dict[int, int]
    """Tokens -> rows of so many, as cut."""
    n_read: int
    """Rows the source has, malformed ones included; for the corpus those that pass the filters."""
    n_malformed: int
    n_cut: int
    """Rows longer than the sweep needs, whose end was left off."""
    labels: dict[str, str]
    """Label -> "number" or "text"."""

    def batches(self, size: int) -> Iterator[pa.Table]:
        """The rows in order, `size` at a time."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=size):
                yield pa.Table.from_batches([batch])


def prepare_rows(
    rows: RowSet,
    target: Path,
    n_needed: int,
    tokenizer: Tokenizer,
    n_vocabulary: int,
    refuse: Refuse,
    watch: Watch = lambda n_read: None,
) -> PreparedRows:
    """Write the rows of a row set to `target`, each cut to its first `n_needed` tokens; the cut changes no group.

    `refuse` hears of each malformed row. Raises InputError where nothing usable is left, OSError.
    """
    all_rows = target.with_name(f".rows-{uuid.uuid4().hex}.tmp")
    chosen = target.with_name(f".rows-{uuid.uuid4().hex}.tmp")
    try:
        reading = _Reading(rows, refuse, tokenizer, n_vocabulary)
        numeric = _write_all(reading, all_rows, max(n_needed, LOOKED_AT), watch)
        places = _places(rows, all_rows, reading)
        prepared = _write_chosen(rows, all_rows, chosen, places, n_needed, tokenizer, numeric, reading)
        chosen.replace(target)
        return PreparedRows(path=target, **prepared)
    finally:
        all_rows.unlink(missing_ok=True)
        chosen.unlink(missing_ok=True)


class _Reading:
    """The usable rows of a source as token ids with their facts, counted as they are read."""

    def __init__(self, rows: RowSet, refuse: Refuse, tokenizer: Tokenizer, n_vocabulary: int) -> None:
        self.rows, self._refuse, self._tokenizer, self._n_vocabulary = rows, refuse, tokenizer, n_vocabulary
        self.n_read = 0
        self.n_malformed = 0
        self.first_problem: str | None = None

    def __iter__(self) -> Iterator[tuple[Record, np.ndarray, Fact]]:
        if self.rows.source == SUITE:
            yield from self._suite()
            return
        waiting: list[Record] = []
        for record in read_records(self.rows, self._leave_out):
            self.n_read += 1
            waiting.append(record)
            if len(waiting) == _BLOCK:
                yield from self._checked(waiting)
                waiting = []
        yield from self._checked(waiting)

    def _leave_out(self, line: int, problem: str) -> None:
        self.n_read += 1
        self._count(line, problem)

    def _count(self, line: int, problem: str) -> None:
        self.n_malformed += 1
        self.first_problem = self.first_problem or f"line {line} {problem}"
        self._refuse(line, problem)

    def _checked(self, records: list[Record]) -> Iterator[tuple[Record, np.ndarray, Fact]]:
        texts = [record.content for record in records if isinstance(record.content, str)]
        split = iter(self._tokenizer.encode_all(texts))
        for record in records:
            ids = np.array(next(split), np.int64) if isinstance(record.content, str) else record.content
            if not len(ids):
                self._count(record.line, "has no tokens")
            elif int(ids.max()) >= self._n_vocabulary:
                self._count(record.line, f"has id {int(ids.max())}, the models' are 0 to {self._n_vocabulary - 1}")
            else:
                yield record, ids, {}

    def _suite(self) -> Iterator[tuple[Record, np.ndarray, Fact]]:
        data = read_data()
        for row in np.flatnonzero(_passing(self.rows, data)).tolist():
            self.n_read += 1
            ids = data.ids[row].astype(np.int64)
            facts = {
                "domain": str(data.domain[row]),
                "bucket": int(data.bucket[row]),
                "background": bool(data.background[row]),
                "document": int(data.document[row]),
            }
            yield Record(row, row + 1, ids), ids, facts


def _passing(rows: RowSet, data: TrainingData) -> np.ndarray:
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
    return passing


_LATER = ("group", "template", "memorization_class")
"""Columns that need all rows, or the tokenizer, and are added when the rows are chosen."""


def _number(value: str | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _write_all(reading: _Reading, path: Path, n_kept: int, watch: Watch) -> list[bool]:
    """Write every usable row, labels as text; whether all values of each label are numbers."""
    names = reading.rows.label_names
    columns = {name: column for name, column in ROW_COLUMNS.items() if name not in _LATER}
    schema = schema_of(columns, dict.fromkeys(names, "text"))
    numeric = [True] * len(names)
    block: list[Fact] = []
    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(block, schema))
            block.clear()
            watch(reading.n_read)

        for record, ids, facts in reading:
            line = {"row": record.row, "row_id": record.row_id, "n_tokens": len(ids), "ids": ids[:n_kept], **facts}
            for column, (name, value) in enumerate(zip(names, record.labels, strict=True)):
                if value is not None and value != "":
                    numeric[column] &= _number(value) is not None
                    line[f"label_{name}"] = str(value)
            block.append(line)
            if len(block) == _BLOCK:
                flush()
        flush()
    if reading.n_read == reading.n_malformed:
        if not reading.n_read:
            raise InputError(f"{reading.rows.source} has no rows that pass: choose others")
        raise InputError(
            f"{reading.rows.source}: none of its {reading.n_read} rows can be used; {reading.first_problem}"
        )
    return numeric


def _places(rows: RowSet, path: Path, reading: _Reading) -> np.ndarray | None:
    """Places in the file of the rows that were asked for, ascending; None for all. Raises InputError."""
    n = reading.n_read - reading.n_malformed
    if not rows.rows and (rows.sample is None or rows.sample == n):
        return None
    places = np.arange(n)
    if rows.rows:
        numbers = pq.read_table(path, columns=["row"])["row"].to_numpy()
        places = np.flatnonzero(np.isin(numbers, rows.rows))
        missing = sorted(set(rows.rows) - set(numbers[places].tolist()))
        if missing:
            raise InputError(f"{rows.source} has no usable row {missing[0]} among those that pass: leave it out")
    if rows.sample is not None:
        if rows.sample > len(places):
            raise InputError(f"a sample of {rows.sample} was asked for, {len(places)} rows pass: ask for fewer")
        places = np.sort(np.random.default_rng(rows.seed).choice(places, rows.sample, replace=False))
    return places


def _write_chosen(
    rows: RowSet,
    source: Path,
    target: Path,
    places: np.ndarray | None,
    n_needed: int,
    tokenizer: Tokenizer,
    numeric: list[bool],
    reading: _Reading,
) -> dict[str, Any]:
    """Write the chosen rows with their groups and templates; what `PreparedRows` says of them."""
    kinds = {name: "number" if each else "text" for name, each in zip(rows.label_names, numeric, strict=True)}
    lengths: Counter[int] = Counter()
    for block in _blocks(source, places):
        lengths.update(block["ids"].combine_chunks().value_lengths().to_pylist())
    cut: Counter[int] = Counter()
    for length, count in lengths.items():
        cut[min(length, n_needed)] += count
    n = sum(lengths.values())
    n_windows = sum(max(1, length - WINDOW + 1) * count for length, count in lengths.items())
    group = near_duplicate_groups(lambda: _ids_of(source, places), n, n_windows)
    row_of = np.concatenate([block["row"].to_numpy() for block in _blocks(source, places)])
    digest, start, n_cut = hashlib.sha256(), 0, 0
    schema = schema_of(ROW_COLUMNS, kinds)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for block in _blocks(source, places):
            stop = start + len(block)
            whole = [np.array(each, np.int64) for each in block["ids"].to_pylist()]
            ids = [each[:n_needed] for each in whole]
            place = block.schema.get_field_index("ids")
            block = block.set_column(place, block.schema.field(place), pa.array(ids, block.schema.field(place).type))
            for row, each in zip(block["row"].to_pylist(), ids, strict=True):
                digest.update(np.array([row, len(each)]).tobytes() + each.tobytes())
            n_cut += sum(n > len(each) for n, each in zip(block["n_tokens"].to_pylist(), ids, strict=True))
            texts = [tokenizer.to_bytes(each).decode("utf-8", "replace") for each in whole]
            templates = [template_of(each, text) for each, text in zip(whole, texts, strict=True)]
            copies = block["bucket"].to_pylist()
            classes = [memorization_class(c, t != "none") for c, t in zip(copies, templates, strict=True)]
            for name, kind in kinds.items():
                if kind == "number":  # arrow would refuse what Python reads, such as spaces around it
                    place = block.schema.get_field_index(f"label_{name}")
                    values = [None if each is None else float(each) for each in block.column(place).to_pylist()]
                    block = block.set_column(place, f"label_{name}", pa.array(values, pa.float64()))
            for name, values in zip(_LATER, (row_of[group[start:stop]], templates, classes), strict=True):
                block = block.append_column(name, pa.array(values, schema.field(name).type))
            writer.write_table(block.select(schema.names).cast(schema))
            start = stop
    return {
        "n": n,
        "sha256": digest.hexdigest(),
        "lengths": dict(sorted(cut.items())),
        "n_read": reading.n_read,
        "n_malformed": reading.n_malformed,
        "n_cut": n_cut,
        "labels": kinds,
    }


def _blocks(path: Path, places: np.ndarray | None) -> Iterator[pa.Table]:
    """The rows of a file at ascending places, or all, block by block."""
    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BLOCK):
            block = pa.Table.from_batches([batch])
            if places is not None:
                first, last = np.searchsorted(places, [start, start + len(block)])
                start += len(block)
                block = block.take(pa.array(places[first:last] - (start - batch.num_rows)))
            if len(block):
                yield block


def _ids_of(path: Path, places: np.ndarray | None) -> Iterator[np.ndarray]:
    for block in _blocks(path, places):
        yield from (np.array(ids, np.int64) for ids in block["ids"].to_pylist())
