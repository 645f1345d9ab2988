"""A sweep's rows on disk: read once, checked, cut to what the sweep needs, sampled, grouped; memory holds blocks."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from memviz import disk
from memviz.errors import InputError
from memviz.measures.templates import memorization_class
from memviz.rows.layout import Note, Record, Refuse
from memviz.rows.workers import Workers, templates
from memviz.sweeps.duplicates import WINDOW, near_duplicate_groups
from memviz.sweeps.labels import Kinds, label_values
from memviz.sweeps.progress import Stage
from memviz.sweeps.results import TableFile
from memviz.sweeps.rowset import NO_GROUPS, RowSet
from memviz.sweeps.sources import Fact, Source
from memviz.sweeps.tables import ROW_COLUMNS, schema_of
from memviz.tokenizer import Tokenizer

ROWS = "rows.parquet"
LOOKED_AT = 512
"""First tokens of a row that decide its group, template and class, more where the sweep needs more."""
_BLOCK = 1024
_GROUP_BYTES = 2**22
"""Of the rows that are written together."""
_LATER = ("group", "template", "memorization_class")
"""Columns that need all rows, or the tokenizer, and are added when the rows are chosen."""
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
    """Label -> one of `LABEL_TYPES`."""
    read_as: tuple[str, ...] = ()
    """What was recognised in the file rather than asked for."""

    def batches(self, size: int) -> Iterator[pa.Table]:
        """The rows in order, `size` at a time."""
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
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
    say: Note = lambda said: None,
) -> PreparedRows:
    """Write the rows of a row set to `target`, each cut to its first `n_needed` tokens; the cut changes no group.

    `refuse` hears of each malformed row, `say` how far it is and what was recognised. Raises InputError where nothing
    usable is left, Failure.
    """
    with (
        disk.refusing(target.parent),
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".rows-", suffix=".tmp") as aside,
        Workers(tokenizer) as workers,
    ):
        source = Source(rows, refuse, say, tokenizer, n_vocabulary)
        work = _Preparing(rows, source, workers, Path(aside), n_needed, watch, say)
        prepared = work.run()
        (work.aside / ROWS).replace(target)
        return PreparedRows(path=target, **prepared)


class _Preparing:
    """One preparation under way; its files lie in a folder of its own, which is removed."""

    def __init__(
        self, rows: RowSet, source: Source, workers: Workers, aside: Path, n_needed: int, watch: Watch, say: Note
    ) -> None:
        self.rows, self.source, self.workers, self.aside = rows, source, workers, aside
        self.n_needed, self.watch, self.say = n_needed, watch, say
        self.kinds = Kinds(rows.label_names)
        self.n_windows = 0

    def run(self) -> dict[str, Any]:
        self._write_all()
        places = self._places()
        n = self._n_usable if places is None else len(places)
        row_of = np.memmap(self.aside / "row-numbers", np.int64, "w+", shape=(n,))
        group = self._groups(places, n, row_of)
        found = self._write_chosen(places, n, group, row_of)
        return found | {
            "n": n,
            "n_read": self.source.n_read,
            "n_malformed": self.source.n_malformed,
            "labels": self.kinds.found(),
            "read_as": tuple(self.source.read_as),
        }

    @property
    def _all_rows(self) -> Path:
        return self.aside / "all.parquet"

    @property
    def _n_usable(self) -> int:
        return self.source.n_read - self.source.n_malformed

    def _write_all(self) -> None:
        """Write every usable row, labels as text."""
        columns = {name: column for name, column in ROW_COLUMNS.items() if name not in _LATER}
        schema = schema_of(columns, dict.fromkeys(self.rows.label_names, "text"))
        stage = Stage("reading the rows", self.say)
        n_kept = max(self.n_needed, LOOKED_AT)
        with closing(TableFile(self._all_rows, schema, _GROUP_BYTES)) as file:
            for block in self.source.blocks(self.workers):
                table = self._table(block, schema, n_kept)
                lengths = table["ids"].combine_chunks().value_lengths().to_numpy()
                self.n_windows += int(np.maximum(1, lengths - WINDOW + 1).sum())
                file.add(table)
                self.watch(self.source.n_read)
                stage.at(self.source.part)
            file.finish()
        if self._n_usable:
            return
        if not self.source.n_read:
            raise InputError(f"{self.rows.source} has no rows that pass: choose others")
        said = "".join(f"; {each}" for each in self.source.read_as)
        raise InputError(
            f"{self.rows.source}: none of its {self.source.n_read} rows can be used; {self.source.first_problem}{said}"
        )

    def _table(self, block: list[tuple[Record, Fact]], schema: pa.Schema, n_kept: int) -> pa.Table:
        records = [record for record, _ in block]
        ids = [record.content[:n_kept] for record in records]
        labels = [
            [None if label is None or label == "" else str(label) for label in record.labels] for record in records
        ]
        values: dict[str, Any] = {
            "row": [record.row for record in records],
            "row_id": [record.row_id for record in records],
            "n_tokens": [len(record.content) for record in records],
            "ids": _lists(np.concatenate(ids).astype(np.int32), np.array([len(each) for each in ids])),
        }
        for place, name in enumerate(self.rows.label_names):
            values[f"label_{name}"] = [label[place] for label in labels]
            self.kinds.look_at(name, values[f"label_{name}"])
        arrays = [
            values[field.name] if field.name == "ids"
            else pa.array(values.get(field.name) or [facts.get(field.name) for _, facts in block], field.type)
            for field in schema
        ]  # fmt: skip
        return pa.Table.from_arrays(arrays, schema=schema)

    def _places(self) -> np.ndarray | None:
        """Places in the file of the rows that were asked for, ascending; None for all. Raises InputError."""
        rows, n = self.rows, self._n_usable
        if not rows.rows and (rows.sample is None or rows.sample == n):
            return None
        places = np.arange(n)
        if rows.rows:
            numbers = pq.read_table(self._all_rows, columns=["row"])["row"].to_numpy()
            places = np.flatnonzero(np.isin(numbers, rows.rows))
            missing = sorted(set(rows.rows) - set(numbers[places].tolist()))
            if missing:
                raise InputError(f"{rows.source} has no usable row {missing[0]} among those that pass: leave it out")
        if rows.sample is not None:
            if rows.sample > len(places):
                raise InputError(f"a sample of {rows.sample} was asked for, {len(places)} rows pass: ask for fewer")
            places = np.sort(np.random.default_rng(rows.seed).choice(places, rows.sample, replace=False))
        return places

    def _groups(self, places: np.ndarray | None, n: int, row_of: np.ndarray) -> np.ndarray | None:
        """(n,) place of the first near-duplicate; None where every row stands for itself. Fills in the row numbers."""
        start = 0

        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            nonlocal start
            for block in _blocks(self._all_rows, places):
                row_of[start : start + len(block)] = block["row"].to_numpy()
                start += len(block)
                self.watch(self.source.n_read)
                yield _flat(block)

        if self.rows.groups == NO_GROUPS:
            for _ in blocks():
                pass
            return None
        stage = Stage("looking for near-duplicates", self.say)
        n_windows = -(-self.n_windows * n // self._n_usable)
        return near_duplicate_groups(blocks(), n, n_windows, self.aside, stage.at)

    def _write_chosen(
        self, places: np.ndarray | None, n: int, group: np.ndarray | None, row_of: np.ndarray
    ) -> dict[str, Any]:
        """Write the chosen rows with their groups and templates; hash, lengths and number of those cut."""
        digest, start, n_cut = hashlib.sha256(), 0, 0
        lengths: Counter[int] = Counter()
        schema = schema_of(ROW_COLUMNS, self.kinds.found())
        stage = Stage("looking for templates", self.say)
        with closing(TableFile(self.aside / ROWS, schema, _GROUP_BYTES)) as file:
            for block, found in self.workers.map(templates, _blocks(self._all_rows, places), _flat):
                stop = start + len(block)
                ids, held = _cut(*_flat(block), self.n_needed)
                lengths.update(held.tolist())
                n_cut += int((block["n_tokens"].to_numpy() > held).sum())
                rows = row_of[start:stop]
                _add_to(digest, rows, ids, held)
                copies = block["bucket"].to_pylist()
                values: dict[str, Any] = {
                    "ids": _lists(ids, held),
                    "group": rows if group is None else row_of[group[start:stop]],
                    "template": found,
                    "memorization_class": [
                        memorization_class(c, t != "none") for c, t in zip(copies, found, strict=True)
                    ],
                }
                for name, kind in self.kinds.found().items():
                    values[f"label_{name}"] = label_values(block[f"label_{name}"].to_pylist(), kind)
                arrays = [
                    pa.array(values[field.name], field.type) if field.name in values else block[field.name]
                    for field in schema
                ]
                file.add(pa.Table.from_arrays(arrays, schema=schema))
                start = stop
                self.watch(self.source.n_read)
                stage.at(start / n)
            file.finish()
        return {"sha256": digest.hexdigest(), "lengths": dict(sorted(lengths.items())), "n_cut": n_cut}


def _lists(ids: np.ndarray, lengths: np.ndarray) -> pa.ListArray:
    offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(ids.astype(np.int32)))


def _flat(block: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """(t,) ids of a block's rows, one after the other, and (n,) how many each has."""
    lists = block["ids"].combine_chunks()
    return lists.flatten().to_numpy().astype(np.int64), lists.value_lengths().to_numpy().astype(np.int64)


def _cut(ids: np.ndarray, lengths: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with no more than the first `most` ids of each row."""
    place = np.arange(len(ids)) - np.repeat(lengths.cumsum() - lengths, lengths)
    return ids[place < most], np.minimum(lengths, most)


def _add_to(digest: Any, rows: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> None:
    ends = lengths.cumsum()
    for row, length, end in zip(rows.tolist(), lengths.tolist(), ends.tolist(), strict=True):
        digest.update(np.array([row, length]).tobytes() + ids[end - length : end].tobytes())


def _blocks(path: Path, places: np.ndarray | None) -> Iterator[pa.Table]:
    """The rows of a file at ascending places, or all, block by block."""
    start = 0
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(_BLOCK):
            block = pa.Table.from_batches([batch])
            if places is not None:
                first, last = np.searchsorted(places, [start, start + len(block)])
                start += len(block)
                block = block.take(pa.array(places[first:last] - (start - batch.num_rows)))
            if len(block):
                yield block
