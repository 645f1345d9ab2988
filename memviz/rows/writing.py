"""The rows of a data set into one Parquet file: the columns that rows can have, and how far it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from memviz.disk import shown_size
from memviz.errors import InputError

Say = Callable[[str], None]


def write(
    tables: Iterable[pa.Table], path: Path, source: str, columns: Sequence[str], n_expected: int | None, say: Say
) -> tuple[int, pa.Schema]:
    """Write columns, or all that rows can have; how many rows, and of what types. Raises InputError, OSError.

    Whoever waits at a terminal sees rows, their speed and the bytes written.
    """
    from tqdm import tqdm

    writer, schema, n_rows = None, None, 0
    bar = tqdm(total=n_expected, unit=" rows", unit_scale=True, disable=not sys.stderr.isatty())
    with bar:
        try:
            for table in tables:
                if writer is None or schema is None:
                    schema = _schema(table.schema, source, columns, say)
                    writer = pq.ParquetWriter(path, schema, compression="zstd")
                writer.write_table(table.select(schema.names).cast(schema))
                n_rows += len(table)
                bar.set_postfix_str(f"{shown_size(path.stat().st_size)} written", refresh=False)
                bar.update(len(table))
        finally:
            if writer is not None:
                writer.close()
    if schema is None:
        raise InputError(f"{source} has no rows in this split")
    return n_rows, schema


def refuse_lacking(source: str, columns: Sequence[str], present: Sequence[str]) -> None:
    """Raise InputError for a column that was asked for and is not there."""
    lacking = next((name for name in columns if name not in present), None)
    if lacking is not None:
        raise InputError(f"{source} has no column {lacking!r}; it has {', '.join(present)[:200]}")


def _schema(found: pa.Schema, source: str, columns: Sequence[str], say: Say) -> pa.Schema:
    refuse_lacking(source, columns, found.names)
    fields = [found.field(name).remove_metadata() for name in columns or found.names]
    kept = [field for field in fields if _is_of_rows(field.type)]
    others = [field.name for field in fields if field not in kept]
    if others and columns:
        raise InputError(f"column {others[0]!r} of {source} is {found.field(others[0]).type}, no text or number")
    if others:
        say(f"left out, for they are neither text nor numbers: {', '.join(others)[:200]}")
    if not kept:
        raise InputError(f"{source} has no column of text or numbers; it has {', '.join(found.names)[:200]}")
    return pa.schema(kept)


def _is_of_rows(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return types.is_integer(kind.value_type)
    plain = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(is_kind(kind) for is_kind in plain)
