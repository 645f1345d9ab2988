"""Tables of rows: lines of JSON, fields with separators, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, count
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from memviz.errors import InputError
from memviz.rows.cells import as_written
from memviz.rows.columns import Columns, columns_of, columns_of_table, shown, usable
from memviz.rows.layout import MOST_CHUNK, MOST_LINE, MOST_TEXT, File, Record, Unusable

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BLOCK = 1024


def read_jsonl(file: File, stream: BinaryIO) -> Iterator[Record]:
    columns = None
    blank: list[int] = []
    for row, line in enumerate(_lines(stream)):
        if not line.strip():
            blank.append(row)  # at the end of a file they are no rows
            continue
        for each in blank:
            file.refuse(each + 1, "is empty")
        blank = []
        try:
            if len(line) > MOST_LINE:
                raise Unusable(f"has more than the {MOST_LINE:,} bytes of one line")
            values = _object(line)
            columns = columns or _columns_of_object(file, values)
            yield _record(file, columns, row, row + 1, values)
        except Unusable as problem:
            file.refuse(row + 1, str(problem))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is longer than `MOST_LINE`, the start and one byte more."""
    while line := stream.readline(MOST_LINE + 1):
        yield line
        while len(line) > MOST_LINE and not line.endswith(b"\n"):
            line = stream.readline(MOST_LINE + 1)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig"), object_pairs_hook=_once)
    except Unusable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unusable(f"is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise Unusable(f"is a {type(found).__name__}, expected an object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Unusable(f"has {next(name for name in names if names.count(name) > 1)!r:.60} twice")
    return found


def _columns_of_object(file: File, values: dict[str, Any]) -> Columns | None:
    def holds_ids(name: str) -> bool:
        return isinstance(values[name], list) and all(type(each) is int for each in values[name])

    return columns_of(file, values, holds_ids, lambda name: isinstance(values[name], (str, int)))


def read_fields(file: File, stream: BinaryIO, own: str) -> Iterator[Record]:
    """Fields between `own`, or between another of `SEPARATORS` where only that gives usable columns."""
    csv.field_size_limit(MOST_TEXT)
    # an undecodable byte spoils its row, not the file
    with io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="") as text:
        first = text.readline(MOST_LINE)
        separator = _separator(file, first, own)
        whole = chain([first], iter(partial(text.readline, MOST_LINE), ""))
        lines = csv.reader(whole, delimiter=separator, strict=True)
        try:
            header = [as_written(each) for each in next(lines, [])]
        except csv.Error as error:
            raise InputError(f"{file.path} is no CSV file: {error}") from None
        tried = f" (fields between {SEPARATORS[separator]}; {', '.join(SEPARATORS.values())} were tried)"
        columns = columns_of_table(file, header, lambda name: True, lambda name: True, tried)
        blank: list[int] = []
        for row in count():
            line = lines.line_num + 1
            try:
                values = next(lines, None)
                if values is None:
                    return
                if not values:
                    blank.append(line)  # at the end of a file they are no rows
                    continue
                for each in blank:
                    file.refuse(each, "is empty")
                blank = []
                if len(values) != len(header):
                    raise Unusable(f"has {len(values)} fields, the header has {len(header)}")
                yield _record(file, columns, row, line, dict(zip(header, map(as_written, values), strict=True)))
            except (Unusable, csv.Error) as problem:
                file.refuse(line, str(problem))


def _separator(file: File, header: str, own: str) -> str:
    for each in (own, *(other for other in SEPARATORS if other != own)):
        try:
            names = next(csv.reader([header], delimiter=each), [])
        except csv.Error:
            continue
        if usable(file.layout, names):
            if each != own:
                file.note(f"fields stand between {SEPARATORS[each]}")
            return each
    return own


def read_parquet(file: File) -> Iterator[Record]:
    table = pq.ParquetFile(file.path, pre_buffer=False)  # what is read ahead is kept to the end
    schema = table.schema_arrow
    columns = columns_of_table(
        file,
        schema.names,
        lambda name: _is_list_of_ids(schema.field(name).type),
        lambda name: _is_name(schema.field(name).type),
    )
    wanted = [columns.ids if columns.ids in schema.names else columns.text]
    wanted += [name for name in (columns.name, *file.layout.labels) if name]
    groups = [table.metadata.row_group(place) for place in range(table.metadata.num_row_groups)]
    chunks = [group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns)]
    if max(chunks, default=0) > MOST_CHUNK:
        raise InputError(
            f"{file.path} unpacks to {max(chunks):,} bytes in one piece, more than {MOST_CHUNK:,}: write it in smaller "
            "row groups"
        )
    row, total = 0, max(1, table.metadata.num_rows)
    file.where = lambda: row / total
    for batch in table.iter_batches(batch_size=_BLOCK, columns=list(dict.fromkeys(wanted))):
        lists = {name: _lists(batch[name]) for name in wanted if _is_list_of_ids(schema.field(name).type)}
        others = batch.drop_columns(list(lists)).to_pylist() if lists else batch.to_pylist()
        for place in range(len(batch)):
            values = (others[place] if others else {}) | {name: column[place] for name, column in lists.items()}
            try:
                yield _record(file, columns, row, row + 1, values)
            except Unusable as problem:
                file.refuse(row + 1, str(problem))
            row += 1


def _is_list_of_ids(kind: pa.DataType) -> bool:
    types = pa.types
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(is_list(kind) for is_list in lists) and types.is_integer(kind.value_type)


def _is_name(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind  # as pandas writes categories
    types = pa.types
    names = (types.is_integer, types.is_string, types.is_large_string, types.is_string_view)
    return any(is_name(kind) for is_name in names)


def _lists(column: pa.Array) -> Sequence[np.ndarray | list[Any] | None]:
    """The lists of a column as arrays; as they come where one holds a null."""
    if pa.types.is_list_view(column.type) or pa.types.is_large_list_view(column.type):
        column = column.cast(pa.large_list(column.type.value_type))
    if column.flatten().null_count or column.null_count:
        return column.to_pylist()
    ends = column.value_lengths().to_numpy(zero_copy_only=False).cumsum()
    return np.split(column.flatten().to_numpy(zero_copy_only=False), ends[:-1]) if len(ends) else []


def _record(file: File, columns: Columns | None, row: int, line: int, values: dict[str, Any]) -> Record:
    layout = file.layout
    if columns is None:
        raise Unusable(
            f"has neither {layout.ids_column!r} nor {layout.text_column!r}; it has {shown(values)}: name the column "
            "with --ids-column or --text-column"
        )
    labels = tuple(label_of(name, values.get(name)) for name in layout.labels)
    row_id = values.get(columns.name) if columns.name else None
    if isinstance(row_id, (list, dict)):
        raise Unusable(f"{columns.name!r} is a {type(row_id).__name__}, expected a name or a number")
    name = None if row_id is None else str(row_id)
    if values.get(columns.ids) is not None:
        return Record(row, line, _ids(values[columns.ids], columns.ids), name, labels)
    text = values.get(columns.text)
    if text is None:
        raise Unusable(f"has neither {columns.ids!r} nor {columns.text!r}")
    if not isinstance(text, str):
        raise Unusable(f"{columns.text!r} is a {type(text).__name__}, expected text")
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise Unusable(f"{columns.text!r} is not UTF-8") from None
    if n_bytes > MOST_TEXT:
        raise Unusable(f"{columns.text!r} has {n_bytes:,} bytes, more than the {MOST_TEXT:,} of one row")
    return Record(row, line, text, name, labels)


def _ids(values: Any, name: str) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, str):  # [1, 2, 3] or 1 2 3
        parts = values.strip().strip("[]").replace(",", " ").split()
        if not all(each.isascii() and each.removeprefix("-").isdigit() and len(each) < 20 for each in parts):
            raise Unusable(f"{name!r} holds something other than whole numbers")
        values = [int(each) for each in parts]
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise Unusable(f"{name!r} is no list of whole numbers")
    try:
        return np.array(values, np.int64)
    except OverflowError:
        raise Unusable(f"{name!r} holds a number of more than 64 bits") from None


def label_of(name: str, value: Any) -> str | float | None:
    """A label as it can be kept. Raises Unusable for what is neither a number nor text."""
    if isinstance(value, bool):
        return float(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise Unusable(f"label {name!r} is a {type(value).__name__}, expected a number or text")
