"""The one way to read a person's file of rows: what cannot be used is told with its line, never dropped in silence."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from memviz.errors import InputError
from memviz.rows.arrays import NPY, read_bin, read_npy
from memviz.rows.layout import MOST_UNPACKED, File, Record, Unusable, check, unpadded, windows
from memviz.rows.tables import read_fields, read_jsonl, read_parquet

ARRAYS = (".npy", ".bin")
KINDS = (*ARRAYS, ".jsonl", ".csv", ".tsv", ".parquet")
PACKED = {".gz": "gzip", ".zst": "zstd"}
"""Ends of packed files; what is read line by line may be packed."""
_LINES = (".jsonl", ".csv", ".tsv")
_NO_TEXT = {
    b"\x1f\x8b": "packed by gzip: call it NAME.jsonl.gz, NAME.csv.gz or NAME.tsv.gz",
    b"\x28\xb5\x2f\xfd": "packed by zstd: call it NAME.jsonl.zst, NAME.csv.zst or NAME.tsv.zst",
    b"PAR1": "a Parquet file: call it NAME.parquet",
    NPY: "an array of numpy: call it NAME.npy",
    b"PK\x03\x04": "a zip archive, perhaps a workbook: save what is in it as CSV or JSON lines",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}
"""How a file begins that is no text in UTF-8, and what it is."""


def kind_of(path: Path) -> str | None:
    """Of `KINDS`, by the name's end; None for another. Raises InputError for an array that is packed."""
    ends = [each.lower() for each in path.suffixes[-2:]]
    if ends and ends[-1] in PACKED:
        kind = ends[0] if len(ends) == 2 else ""
        if kind in KINDS and kind not in _LINES:
            raise InputError(f"{path} is packed, and {kind} files are not read that way: unpack it first")
        return kind if kind in KINDS else None
    return ends[-1] if ends and ends[-1] in KINDS else None


def read_records(file: File) -> Iterator[Record]:
    """Every usable row of a file; ids are cut and checked, texts are as they stand.

    Raises InputError where the file as a whole cannot be read.
    """
    if not file.path.is_file():
        raise InputError(f"{file.path} is no file: name a file, `suite`, or a saved row set")
    try:
        for record in _read(file):
            if isinstance(record.content, str):
                yield record
                continue
            try:
                cut = record._replace(content=unpadded(record.content, file.layout.pad_id))
                for piece in windows(cut, file.layout.window):
                    if _fits(file, piece):
                        yield piece
            except Unusable as problem:
                file.refuse(record.line, str(problem))
    except (OSError, EOFError, UnicodeError, pa.ArrowException) as error:
        raise InputError(f"{file.path} cannot be read: {reason(error)}") from None


def _fits(file: File, record: Record) -> bool:
    try:
        check(record.content, file.n_ids)  # type: ignore[arg-type]
    except Unusable as problem:
        file.refuse(record.line, str(problem))
        return False
    return True


def reason(error: Exception) -> str:
    """What a library says of a file, in one line."""
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]


def _read(file: File) -> Iterator[Record]:
    kind = kind_of(file.path)
    if kind == ".parquet":
        yield from read_parquet(file)
    elif kind == ".npy":
        yield from read_npy(file)
    elif kind == ".bin":
        yield from read_bin(file)
    else:
        with opened(file) as stream:
            if kind == ".jsonl":
                yield from read_jsonl(file, stream)
            else:
                yield from read_fields(file, stream, "\t" if kind == ".tsv" else ",")


def opened(file: File) -> io.BufferedReader[Any]:
    """The bytes of a file, unpacked where its name says that it is packed. Raises InputError where they are no text."""
    raw = file.path.open("rb", buffering=0)
    size = max(1, file.path.stat().st_size)
    file.where = lambda: 1.0 if raw.closed else raw.tell() / size
    codec = PACKED.get(file.path.suffix.lower())
    stream: io.BufferedReader[Any] = io.BufferedReader(raw) if codec is None else unpacked(file.path, raw, codec)
    start = stream.peek(8)
    what = next((what for mark, what in _NO_TEXT.items() if start.startswith(mark)), None)
    if what is not None:
        stream.close()
        raise InputError(f"{file.path} is {what}")
    return stream


def unpacked(path: Path, packed: Any, codec: str) -> io.BufferedReader[Any]:
    """The bytes that are packed in a stream by "gzip" or "zstd", up to `MOST_UNPACKED`; InputError beyond."""
    return io.BufferedReader(_Capped(path, pa.CompressedInputStream(pa.PythonFile(packed, "r"), codec)))


class _Capped(io.RawIOBase):
    """A stream that ends with a sentence where it gives more than `MOST_UNPACKED` bytes."""

    def __init__(self, path: Path, stream: pa.NativeFile) -> None:
        self._path, self._stream, self._left = path, stream, MOST_UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got = self._stream.read(len(buffer))
        buffer[: len(got)] = got
        self._left -= len(got)
        if self._left < 0:
            raise InputError(f"{self._path} unpacks to more than {MOST_UNPACKED:,} bytes: unpack it to read it")
        return len(got)

    def close(self) -> None:
        self._stream.close()
        super().close()
