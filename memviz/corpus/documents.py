"""Documents of a user's own corpus, from files of text or of token ids; what cannot be used is told, never dropped."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet

from memviz.corpus.stream import StreamShard
from memviz.corpus.suffixes import id_type
from memviz.errors import InputError
from memviz.tokenizer import Tokenizer

SHARD_TOKENS = 2**25
DTYPES = ("uint8", "uint16", "uint32", "int32", "int64")
_TEXTS, _TABLES = (".txt", ".md"), (".jsonl", ".parquet", ".npy", ".bin")
_BATCH = 2**20  # characters that are split into tokens at once
_CHUNK = 2**24
_BYTES_PER_CHARACTER = 150  # that splitting one text holds; measured with 1.8 characters a token, fewer than usual

Refuse = Callable[[str], None]
"""Told of each line or file that is left out: where it stands, and why."""
Content = str | np.ndarray


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    text_column: str = "text"
    ids_column: str = "ids"
    """Taken instead of the text where a file has both."""
    dtype: str = "uint16"
    """Of the ids in .bin files, little-endian."""
    separator: int | None = None
    """Id between the documents of a .bin or one-dimensional .npy file; without one the file is one document."""

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype!r} is unknown: use one of {', '.join(DTYPES)}")


class Origins:
    """Where each row came from; filled while the documents are read."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._file, self._line, self._n_tokens = array("q"), array("q"), array("q")

    def add(self, path: Path, line: int, n_tokens: int) -> None:
        if not self._files or self._files[-1] != str(path):
            self._files.append(str(path))
        self._file.append(len(self._files) - 1)
        self._line.append(line)
        self._n_tokens.append(n_tokens)

    def __len__(self) -> int:
        return len(self._line)

    def table(self) -> pa.Table:
        """source: the file; line: its line, row or document from 1; n_tokens."""
        source = pa.DictionaryArray.from_arrays(pa.array(np.array(self._file, np.int32)), pa.array(self._files))
        return pa.table({"source": source, "line": np.array(self._line), "n_tokens": np.array(self._n_tokens)})


def input_files(inputs: Iterable[Path], refuse: Refuse) -> list[Path]:
    """Files named, and those of known kinds in folders named, sorted. Raises InputError for what is not there."""
    found: list[Path] = []
    for path in inputs:
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            found += [each for each in inside if each.suffix.lower() in (*_TEXTS, *_TABLES)]
            for each in inside:
                if each.suffix.lower() not in (*_TEXTS, *_TABLES):
                    refuse(
                        f"{each}: not one of {', '.join((*_TEXTS, *_TABLES))}; name the file itself to read it as text"
                    )
        else:
            raise InputError(f"{path} is no file and no folder: name what is to be indexed")
    return found


def document_shards(
    files: Iterable[Path],
    tokenizer: Tokenizer,
    origins: Origins,
    refuse: Refuse,
    reading: Reading | None = None,
    n_tokens: int = SHARD_TOKENS,
) -> Iterator[StreamShard]:
    """Shards of about `n_tokens` tokens of whole documents, each document a row. Raises InputError, OSError."""
    parts: list[np.ndarray] = []
    first_row, held = 0, 0
    for path, line, ids in _tokenized(_documents(files, reading or Reading(), refuse), tokenizer):
        if not len(ids):
            refuse(f"{path}:{line}: has no tokens")
        elif int(ids.min()) < 0 or int(ids.max()) >= tokenizer.n_ids:
            bad = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
            refuse(f"{path}:{line}: has id {bad}, the tokenizer's are 0 to {tokenizer.n_ids - 1}")
        else:
            if held and held + len(ids) > n_tokens:
                yield _shard(parts, first_row)
                parts, first_row, held = [], len(origins), 0
            parts.append(ids.astype(id_type(tokenizer.n_ids)))
            held += len(ids)
            origins.add(path, line, len(ids))
    if parts:
        yield _shard(parts, first_row)


def _shard(parts: list[np.ndarray], first_row: int) -> StreamShard:
    return StreamShard.of_documents(np.concatenate(parts), np.array([len(ids) for ids in parts]), first_row)


def _tokenized(
    documents: Iterable[tuple[Path, int, Content]], tokenizer: Tokenizer
) -> Iterator[tuple[Path, int, np.ndarray]]:
    """The documents in order, texts split into tokens many at once."""
    waiting: list[tuple[Path, int, Content]] = []
    n_characters = 0
    for document in documents:
        waiting.append(document)
        n_characters += len(document[2])
        if n_characters >= _BATCH:
            yield from _split(waiting, tokenizer)
            waiting, n_characters = [], 0
    yield from _split(waiting, tokenizer)


def _split(documents: list[tuple[Path, int, Content]], tokenizer: Tokenizer) -> Iterator[tuple[Path, int, np.ndarray]]:
    split = iter(tokenizer.encode_all([content for _, _, content in documents if isinstance(content, str)]))
    for path, line, content in documents:
        yield path, line, np.array(next(split), np.int64) if isinstance(content, str) else content


def _documents(files: Iterable[Path], reading: Reading, refuse: Refuse) -> Iterator[tuple[Path, int, Content]]:
    readers = {".jsonl": _jsonl, ".parquet": _parquet, ".npy": _arrays, ".bin": _arrays}
    for path in files:
        try:
            for line, content in readers.get(path.suffix.lower(), _text)(path, reading, refuse):
                yield path, line, content
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            if isinstance(error, InputError):
                raise
            refuse(f"{path}: cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})")


def _text(path: Path, reading: Reading, refuse: Refuse) -> Iterator[tuple[int, Content]]:
    needed, free = _BYTES_PER_CHARACTER * path.stat().st_size, psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{path} is one document and needs about {needed / 1e9:.1f} GB to be split into tokens; "
            f"{free / 1e9:.1f} GB are free: cut it into several files, or into lines of a .jsonl file"
        )
    content = path.read_bytes()
    try:
        yield 1, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        refuse(f"{path}:{line}: not UTF-8 (byte {error.start}), so the file is left out")


def _jsonl(path: Path, reading: Reading, refuse: Refuse) -> Iterator[tuple[int, Content]]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                entry = json.loads(raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw)
                yield line, _content(entry, reading)
            except RecursionError:
                refuse(f"{path}:{line}: nested too deeply")
            except UnicodeDecodeError as error:
                refuse(f"{path}:{line}: not UTF-8 (byte {error.start} of the line)")
            except ValueError as error:
                what = f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else str(error)
                refuse(f"{path}:{line}: {what}")


def _content(entry: Any, reading: Reading) -> Content:
    """The ids or the text of a JSON object. Raises ValueError saying what is wrong with it."""
    if not isinstance(entry, dict):
        raise ValueError(f"a {type(entry).__name__}, expected an object")
    ids, text = entry.get(reading.ids_column), entry.get(reading.text_column)
    if ids is not None:
        if not isinstance(ids, list) or any(type(token) is not int for token in ids):
            raise ValueError(f"{reading.ids_column} is no list of whole numbers")
        try:
            return np.array(ids, np.int64)
        except OverflowError:
            raise ValueError(f"{reading.ids_column} holds a number of more than 64 bits") from None
    if isinstance(text, str):
        return _encodable(text, reading)
    raise ValueError(f"no text in {reading.text_column} and no ids in {reading.ids_column}")


def _encodable(text: str, reading: Reading) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{reading.text_column} holds half of a surrogate pair") from None
    return text


def _parquet(path: Path, reading: Reading, refuse: Refuse) -> Iterator[tuple[int, Content]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        column = next((name for name in (reading.ids_column, reading.text_column) if name in names), None)
        if column is None:
            refuse(f"{path}: has no column {reading.text_column} or {reading.ids_column}, only {', '.join(names)}")
            return
        line = 0
        for batch in file.iter_batches(batch_size=1024, columns=[column]):
            for value in batch.column(0).to_pylist():
                line += 1
                try:
                    yield line, _content({column: value}, reading)
                except ValueError as error:
                    refuse(f"{path}:{line}: {error}")


def _arrays(path: Path, reading: Reading, refuse: Refuse) -> Iterator[tuple[int, Content]]:
    if path.suffix.lower() == ".npy":
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
        if ids.dtype.kind not in "ui" or ids.ndim not in (1, 2):
            refuse(f"{path}: holds {ids.dtype} of shape {ids.shape}, expected whole numbers in one or two dimensions")
            return
    else:
        dtype, n_bytes = np.dtype(reading.dtype).newbyteorder("<"), path.stat().st_size
        if n_bytes % dtype.itemsize or not n_bytes:
            refuse(f"{path}: its {n_bytes:,} bytes are no whole number of {reading.dtype} ids")
            return
        ids = np.memmap(path, dtype, "r")
    if ids.ndim == 2:
        yield from enumerate(ids, 1)
    elif reading.separator is None:
        yield 1, ids
    else:
        yield from enumerate(_between(ids, reading.separator), 1)


def _between(ids: np.ndarray, separator: int) -> Iterator[np.ndarray]:
    """The stretches between separators that have any ids."""
    begin = 0
    for chunk in range(0, len(ids), _CHUNK):
        for end in (chunk + np.flatnonzero(ids[chunk : chunk + _CHUNK] == separator)).tolist():
            if end > begin:
                yield ids[begin:end]
            begin = end + 1
    if begin < len(ids):
        yield ids[begin:]
