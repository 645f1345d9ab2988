"""Rows of a user's own file, one after another; what cannot be used is told with its line, never dropped in silence."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from memviz.errors import InputError
from memviz.sweeps.rowset import RowSet
from memviz.tasks.trace import MAX_TEXT_BYTES

Refuse = Callable[[int, str], None]
"""Told of each row that is left out: its line or row from 1, and why."""
_BLOCK = 1024
_MAX_ID = 2**31 - 1
_MAX_LINE = 16 * MAX_TEXT_BYTES
"""Bytes or characters of a file that are held as one line; a line may have further columns."""
_MAX_CHUNK = 2**31
"""Bytes of one column in one row group of a Parquet file, unpacked."""


class Record(NamedTuple):
    """One row as the file gives it."""

    row: int
    """From 0; rows that are left out count."""
    line: int
    """From 1, as messages name it."""
    content: str | np.ndarray
    """Text, or (n_tokens,) int64 ids."""
    row_id: str | None = None
    labels: tuple[str | float | None, ...] = ()


class _Unusable(ValueError):
    """Why one row is left out."""


def read_records(rows: RowSet, refuse: Refuse) -> Iterator[Record]:
    """Every usable row of a file. Raises InputError where the file as a whole cannot be read."""
    readers = {".npy": _npy, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if not rows.path.is_file():
        raise InputError(f"{rows.path} is no file: name a file, `suite`, or a saved row set")
    try:
        yield from readers[rows.path.suffix.lower()](rows, refuse)
    except (OSError, EOFError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{rows.path} cannot be read: {reason}") from None


def _jsonl(rows: RowSet, refuse: Refuse) -> Iterator[Record]:
    with rows.path.open("rb") as stream:
        for row, line in enumerate(_lines(stream)):
            try:
                if len(line) > _MAX_LINE:
                    raise _Unusable(f"has more than the {_MAX_LINE:,} bytes of one line")
                yield _record(rows, row, row + 1, _object(line))
            except _Unusable as problem:
                refuse(row + 1, str(problem))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is longer than `_MAX_LINE`, the start and one byte more."""
    while line := stream.readline(_MAX_LINE + 1):
        yield line
        while len(line) > _MAX_LINE and not line.endswith(b"\n"):
            line = stream.readline(_MAX_LINE + 1)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _Unusable("is empty" if not line.strip() else f"is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise _Unusable(f"is a {type(found).__name__}, expected an object")
    return found


def _csv(rows: RowSet, refuse: Refuse) -> Iterator[Record]:
    csv.field_size_limit(MAX_TEXT_BYTES)
    # an undecodable byte spoils its row, not the file
    with rows.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        lines = csv.reader(iter(partial(stream.readline, _MAX_LINE), ""), strict=True)
        try:
            header = next(lines, [])
        except csv.Error as error:
            raise InputError(f"{rows.path} is no CSV file: {error}") from None
        _check_columns(rows, header)
        row = 0
        while True:
            line = lines.line_num + 1
            try:
                values = next(lines, None)
                if values is None:
                    return
                if len(values) != len(header):
                    raise _Unusable(f"has {len(values)} fields, the header has {len(header)}")
                yield _record(rows, row, line, dict(zip(header, values, strict=True)))
            except (_Unusable, csv.Error) as problem:
                refuse(line, str(problem))
            row += 1


def _parquet(rows: RowSet, refuse: Refuse) -> Iterator[Record]:
    file = pq.ParquetFile(rows.path)
    present = file.schema_arrow.names
    _check_columns(rows, present)
    wanted = [rows.ids_column if rows.ids_column in present else rows.text_column]
    wanted += [name for name in (rows.id_column, *rows.labels) if name]
    groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    chunks = [group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns)]
    if max(chunks, default=0) > _MAX_CHUNK:
        raise InputError(
            f"{rows.path} unpacks to {max(chunks):,} bytes in one piece, more than {_MAX_CHUNK:,}: write it in smaller "
            "row groups"
        )
    row = 0
    for batch in file.iter_batches(batch_size=_BLOCK, columns=list(dict.fromkeys(wanted))):
        for values in batch.to_pylist():
            try:
                yield _record(rows, row, row + 1, values)
            except _Unusable as problem:
                refuse(row + 1, str(problem))
            row += 1


def _check_columns(rows: RowSet, present: list[str]) -> None:
    wanted = [name for name in (rows.id_column, *rows.labels) if name]
    if rows.ids_column not in present and rows.text_column not in present:
        raise InputError(
            f"{rows.path} has neither a column {rows.ids_column!r} nor {rows.text_column!r}; it has "
            f"{', '.join(present)[:200] or 'none'}: name the column of ids or of text"
        )
    lacking = [name for name in wanted if name not in present]
    if lacking:
        raise InputError(f"{rows.path} has no column {lacking[0]!r}; it has {', '.join(present)[:200]}")


def _record(rows: RowSet, row: int, line: int, values: dict[str, Any]) -> Record:
    labels = tuple(_label(name, values.get(name)) for name in rows.labels)
    row_id = values.get(rows.id_column) if rows.id_column else None
    if isinstance(row_id, (list, dict)):
        raise _Unusable(f"{rows.id_column!r} is a {type(row_id).__name__}, expected a name or a number")
    shown = None if row_id is None else str(row_id)
    if values.get(rows.ids_column) is not None:
        return Record(row, line, _ids(values[rows.ids_column], rows.ids_column), shown, labels)
    text = values.get(rows.text_column)
    if text is None:
        raise _Unusable(f"has neither {rows.ids_column!r} nor {rows.text_column!r}")
    if not isinstance(text, str):
        raise _Unusable(f"{rows.text_column!r} is a {type(text).__name__}, expected text")
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise _Unusable(f"{rows.text_column!r} is not UTF-8") from None
    if n_bytes > MAX_TEXT_BYTES:
        raise _Unusable(f"{rows.text_column!r} has {n_bytes:,} bytes, more than the {MAX_TEXT_BYTES:,} of one row")
    return Record(row, line, text, shown, labels)


def _ids(values: Any, name: str) -> np.ndarray:
    if isinstance(values, str):  # CSV: [1, 2, 3] or 1 2 3
        parts = values.strip().strip("[]").replace(",", " ").split()
        if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
            raise _Unusable(f"{name!r} holds something other than whole numbers")
        values = [int(part) for part in parts]
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise _Unusable(f"{name!r} is no list of whole numbers")
    if values and not 0 <= min(values) <= max(values) <= _MAX_ID:
        raise _Unusable(f"{name!r} holds an id outside 0 to {_MAX_ID}")
    return np.array(values, np.int64)


def _label(name: str, value: Any) -> str | float | None:
    if isinstance(value, bool):
        return float(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise _Unusable(f"label {name!r} is a {type(value).__name__}, expected a number or text")


def _array(path: Path) -> np.ndarray:
    try:
        with np.errstate(over="raise"):  # of the sizes that a header claims
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError):
        raise
    except Exception as error:  # a header is parsed as Python, with all that can be wrong about that
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(f"{path} is no array of numbers ({reason}): save it with numpy.save") from None


def _npy(rows: RowSet, refuse: Refuse) -> Iterator[Record]:
    """Rows of ids (n, length); where the name holds "prefix", the file named "suffix" instead goes behind it."""
    paths = [rows.path]
    if "prefix" in rows.path.name:
        paths.append(rows.path.with_name(rows.path.name.replace("prefix", "suffix")))
        if not paths[1].is_file():
            raise InputError(f"{rows.path} needs {paths[1].name} beside it: put the suffixes there")
    arrays = [_array(path) for path in paths]
    for path, array in zip(paths, arrays, strict=True):
        if array.ndim != 2 or array.dtype.kind not in "iu" or not array.shape[1]:
            raise InputError(
                f"{path} holds {array.dtype} of shape {array.shape}: expected whole numbers of shape (n, length)"
            )
        if len(array) != len(arrays[0]):
            raise InputError(f"{paths[0]} has {len(arrays[0])} rows and {path} has {len(array)}: they must be pairs")
    labels = _array(Path(rows.labels_file)) if rows.labels_file else None
    if labels is not None and (labels.shape != (len(arrays[0]),) or labels.dtype.kind not in "iufbU"):
        raise InputError(
            f"{rows.labels_file} holds {labels.dtype} of shape {labels.shape}: expected ({len(arrays[0])},)"
        )
    for start in range(0, len(arrays[0]), _BLOCK):
        block = np.concatenate([array[start : start + _BLOCK] for array in arrays], axis=1).astype(np.int64)
        for row, ids in enumerate(block, start):
            if len(ids) and not 0 <= ids.min() <= ids.max() <= _MAX_ID:
                refuse(row + 1, f"holds an id outside 0 to {_MAX_ID}")
                continue
            found = () if labels is None else (_label("label", labels[row].item()),)
            yield Record(row, row + 1, ids, None, found)
