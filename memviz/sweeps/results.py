"""A finished sweep on disk: a manifest, written last, and the Parquet tables it names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memviz import disk
from memviz.errors import InputError
from memviz.store.keys import record_of
from memviz.sweeps.manifest import SweepManifest
from memviz.sweeps.task import SweepRequest

MANIFEST, NAME = "manifest.json", "name.txt"
MOST_CHARACTERS = 60
"""Of a sweep's name."""
FORMAT = SweepManifest.FORMAT
TABLES = ("rows", "sequences", "positions", "sums")
LISTS = ("matches", "generated_ids")
"""Columns of the table of sequences that hold a list a row."""
BLOCK_ROWS, BLOCK_BYTES = 2**16, 2**29
"""Of a table that wait to be written together, at most about."""


@dataclass(frozen=True)
class Sweep:
    """A finished sweep; tables are read when they are asked for."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def task(self) -> SweepRequest:
        """What was asked."""
        return _asked(self.manifest)

    def weights_of(self, model: str) -> str:
        """Weight identity of one of its models as it was swept. Raises InputError where it has none of this name."""
        found = {about["name"]: about["weights"] for about in self.manifest["models"]}
        if model not in found:
            raise InputError(f"{self.folder} has no model {model!r}: it has {', '.join(found)}")
        return str(found[model])

    @cached_property
    def beside(self) -> list[Sweep]:
        """Finished sweeps in folders of its own folder: of the same rows, asked of further models."""
        found = []
        for path in sorted(self.folder.glob(f"*/{MANIFEST}")):
            with suppress(InputError):
                found.append(read_sweep(path.parent))
        return [each for each in found if each.task.rows == self.task.rows]

    def holding(self, model: str) -> Sweep:
        """The one beside it that has a model; itself where it has it, or none has."""
        of = (self, *self.beside)
        return next((each for each in of if any(about["name"] == model for about in each.manifest["models"])), self)

    @property
    def name(self) -> str:
        """What a user calls it, empty where nobody named it."""
        try:
            return (self.folder / NAME).read_text("utf-8").strip()[:MOST_CHARACTERS]
        except (OSError, UnicodeDecodeError):
            return ""

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row a sequence of the data: its ids and what is known of it."""
        return self.read("rows")

    @cached_property
    def sequences(self) -> pd.DataFrame:
        """One row a sequence, model, mode and k."""
        return self.read("sequences")

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """The same without its lists: of millions of rows these are most of it."""
        columns = self.manifest["tables"]["sequences"]["columns"]
        return self.read("sequences", [name for name in columns if name not in LISTS])

    def read(self, table: str, columns: Sequence[str] | None = None, filters: Any = None) -> pd.DataFrame:
        """A table, or some of its columns and of its rows (filters as pyarrow takes them).

        Raises InputError where the sweep has no such table, or its file is damaged.
        """
        if table not in self.manifest["tables"]:
            hint = "; sweep it with --positions" if table == "positions" else ""
            raise InputError(f"{self.folder} has no table {table!r}; it has {', '.join(self.manifest['tables'])}{hint}")
        path = self.folder / self.manifest["tables"][table]["file"]
        try:
            found = pq.read_table(path, columns=columns and list(columns), filters=filters)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}): run the sweep again") from None
        frame = found.to_pandas()
        for name in found.column_names:
            if name.startswith("label_") and found[name].null_count and pa.types.is_integer(found[name].type):
                frame[name] = found[name].to_pandas(integer_object_nulls=True)  # floats would lose digits
        return frame

    def blocks(self, table: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of a table that the sweep has, block by block. Raises InputError where its file is damaged."""
        path = self.folder / self.manifest["tables"][table]["file"]
        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                for batch in file.iter_batches(BLOCK_ROWS, columns=list(columns)):
                    yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}): run the sweep again") from None


def read_sweep(folder: Path | str) -> Sweep:
    """The finished sweep of a folder. Raises InputError where there is none."""
    path = Path(folder) / MANIFEST
    try:
        content = path.read_bytes()
        disk.parse_manifest(SweepManifest, content)
        said = json.loads(content)
        _asked(said)
        return Sweep(Path(folder), said)
    except FileNotFoundError:
        raise InputError(f"{folder} holds no finished sweep: run `memviz sweep` with --out {folder}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): run the sweep again") from None


def _asked(content: dict[str, Any]) -> SweepRequest:
    return record_of(SweepRequest, {name: value for name, value in content["request"].items() if name != "task"})


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest, whole or not at all. Raises Failure."""
    disk.write_text(folder / MANIFEST, json.dumps({"format": FORMAT, **content}, indent=1, allow_nan=False))


class TableFile:
    """A Parquet table, written to a path as groups of up to `BLOCK_ROWS` rows, or of about so many bytes.

    What a writer and a reader know of a group stays in memory: of many small ones that is more than their rows.
    """

    def __init__(self, path: Path, schema: pa.Schema, most_bytes: int = BLOCK_BYTES) -> None:
        self.schema, self.most_bytes = schema, most_bytes
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._n_waiting = self._bytes = 0
        self.n_rows = 0

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._n_waiting += len(table)
        self._bytes += table.nbytes
        self.n_rows += len(table)
        if self._n_waiting >= BLOCK_ROWS or self._bytes >= self.most_bytes:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._n_waiting, self._bytes = [], 0, 0

    def finish(self) -> None:
        """Write what waits."""
        self._flush()
        self._writer.close()

    def close(self) -> None:
        """Let go of the file, whatever is in it."""
        self._writer.close()


@contextmanager
def table_file(folder: Path, name: str, schema: pa.Schema) -> Iterator[TableFile]:
    """A table to be filled and finished in the block, which is in its place when that ends well. Raises Failure."""
    with disk.new_file(folder / f"{name}.parquet") as new:
        file = TableFile(new, schema, 0 if name == "sums" else BLOCK_BYTES)  # one condition is read without the others
        try:
            yield file
        finally:
            file.close()
