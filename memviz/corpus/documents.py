"""Documents of a user's own corpus, from files of text or of token ids; what cannot be used is told, never dropped."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from memviz.corpus.stream import StreamShard
from memviz.corpus.suffixes import id_type
from memviz.errors import InputError
from memviz.rows.layout import File, Layout, Record
from memviz.rows.reading import KINDS, PACKED, kind_of, opened, read_records, reason
from memviz.rows.splitting import blocks_of, texts_of, with_ids
from memviz.tokenizer import Tokenizer

SHARD_TOKENS = 2**25
_TEXTS = (".txt", ".md")
_BYTES_PER_CHARACTER = 150  # that splitting one text holds; measured with 1.8 characters a token, fewer than usual

Tell = Callable[[str], None]
"""Told of each line or file that is left out: where it stands, and why."""


class _TooLarge(InputError):
    """A document that memory does not hold; nothing else is built without it."""


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


def input_files(inputs: Iterable[Path], refuse: Tell) -> list[Path]:
    """Files named, and those of known kinds in folders named, sorted. Raises InputError for what is not there."""
    found: list[Path] = []
    for path in inputs:
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            found += [each for each in inside if _is_known(each)]
            for each in inside:
                if not _is_known(each):
                    refuse(
                        f"{each}: not one of {', '.join((*_TEXTS, *KINDS))}; name the file itself to read it as text"
                    )
        else:
            raise InputError(f"{path} is no file and no folder: name what is to be indexed")
    return found


def _is_known(path: Path) -> bool:
    ends = [each.lower() for each in path.suffixes[-2:]]
    return bool(ends) and ((ends[:-1] or ends)[0] if ends[-1] in PACKED else ends[-1]) in (*_TEXTS, *KINDS)


def document_shards(
    files: Iterable[Path],
    tokenizer: Tokenizer,
    origins: Origins,
    refuse: Tell,
    layout: Layout | None = None,
    n_tokens: int = SHARD_TOKENS,
    note: Tell = lambda said: None,
) -> Iterator[StreamShard]:
    """Shards of about `n_tokens` tokens of whole documents, each document a row. Raises InputError, OSError.

    `note` is told what was recognised in a file rather than asked for.
    """
    parts: list[np.ndarray] = []
    first_row, held = 0, 0
    for path, line, ids in _documents(files, tokenizer, replace(layout or Layout(), whole=True), refuse, note):
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


def _documents(
    files: Iterable[Path], tokenizer: Tokenizer, layout: Layout, refuse: Tell, note: Tell
) -> Iterator[tuple[Path, int, np.ndarray]]:
    """File, line and ids of every usable document."""
    for block in blocks_of(_records(files, tokenizer.n_ids, layout, refuse, note)):
        for record in with_ids(block, tokenizer.encode_all(texts_of(block))):
            path = Path(record.row_id or "")
            if len(record.content):
                yield path, record.line, record.content  # type: ignore[misc]
            else:
                _tell(refuse, path, record.line, "has no tokens")


def _records(files: Iterable[Path], n_ids: int, layout: Layout, refuse: Tell, note: Tell) -> Iterator[Record]:
    """The usable records of all files, named by their file."""
    for path in files:
        say = partial(_say, note, path)
        file = File(path, layout, n_ids, partial(_tell, refuse, path), say)
        try:
            for record in read_records(file) if kind_of(path) else _text(file):
                yield record._replace(row_id=str(path))
        except _TooLarge:
            raise
        except InputError as error:
            refuse(str(error))


def _say(note: Tell, path: Path, said: str) -> None:
    note(f"{path}: {said}")


def _tell(refuse: Tell, path: Path, line: int, problem: str) -> None:
    refuse(f"{path}:{line}: {problem}")


def _text(file: File) -> Iterator[Record]:
    """A file of text as one document."""
    free = psutil.virtual_memory().available
    most = free // _BYTES_PER_CHARACTER
    try:
        with opened(file) as stream:
            content = stream.read(most + 1)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"{file.path} cannot be read: {reason(error)}") from None
    if len(content) > most:
        needed = _BYTES_PER_CHARACTER * max(len(content), file.path.stat().st_size)
        raise _TooLarge(
            f"{file.path} is one document and needs about {needed / 1e9:.1f} GB to be split into tokens; "
            f"{free / 1e9:.1f} GB are free: cut it into several files, or into lines of a .jsonl file"
        )
    try:
        yield Record(0, 1, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        file.refuse(line, f"not UTF-8 (byte {error.start}), so the file is left out")
