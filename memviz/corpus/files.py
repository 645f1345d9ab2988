"""Files of an index: numpy arrays in a folder a shard, a table of rows, and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from memviz import disk
from memviz.errors import InputError

FORMAT = 1
MOST_IDS = 2**24
"""Ids of a tokenizer at most; questions hold an array of as many."""
MANIFEST, ROWS, SHARD = "manifest.json", "rows-{}.parquet", "shard.json"
ARRAYS = (
    "tokens", "suffixes", "keys", "new_from", "totals",
    "starts", "row", "row_offset", "row_length", "step", "by_row",
)  # fmt: skip


@dataclass(frozen=True)
class ShardEntry:
    """One shard of an index."""

    key: str
    """Folder name, from the hash of its content."""
    n_tokens: int
    n_segments: int
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Manifest:
    """What an index says of itself; manifest.json."""

    format: int
    name: str
    tokenizer_hash: str
    vocab_size: int
    dtype: str
    """Of the ids: "uint16" or "uint32"."""
    n_tokens: int
    """Of the stream, all exposures."""
    n_rows: int
    n_segments: int
    rows: str
    """sha256 of the file with the table of rows."""
    shards: tuple[ShardEntry, ...]


def damaged(path: Path, why: object) -> InputError:
    return InputError(f"{path} is damaged ({why}): build the index again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_rows(folder: Path, rows: pa.Table) -> str:
    """Write the table of rows under its sha256, which is returned. Raises Failure."""
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(rows, sink, compression="zstd")
    content = sink.getvalue()
    name = hashlib.sha256(content).hexdigest()
    with disk.new_file(folder / ROWS.format(name)) as new:
        new.write_bytes(content)
    return name


def write_shard(folder: Path, entry: ShardEntry, arrays: Mapping[str, np.ndarray]) -> None:
    """A shard's folder, there whole or not at all. Raises Failure."""
    with disk.new_folder(folder / entry.key) as new:
        about: dict[str, Any] = {"entry": asdict(entry), "arrays": {}}
        for name in ARRAYS:
            path = new / f"{name}.npy"
            np.save(path, arrays[name], allow_pickle=False)
            about["arrays"][name] = [arrays[name].dtype.str, list(arrays[name].shape), _sha256(path)]
        (new / SHARD).write_text(json.dumps(about), "utf-8")


def read_shard(folder: Path, key: str) -> tuple[ShardEntry, dict[str, np.ndarray]]:
    """A shard's entry and its arrays, memory-mapped. Raises InputError naming a file that is missing or damaged."""
    path = folder / key / SHARD
    try:
        about = json.loads(path.read_text("utf-8"))
        entry, expected = ShardEntry(**about["entry"]), {name: about["arrays"][name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, _reason(error)) from None
    arrays = {}
    for name, (dtype, shape, _) in expected.items():
        path = folder / key / f"{name}.npy"
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise damaged(path, _reason(error)) from None
        if (mapped.dtype.str, list(mapped.shape)) != (dtype, shape) or mapped.dtype.kind not in "iu":
            raise damaged(path, f"it holds {mapped.dtype} of shape {mapped.shape}, not {dtype} of {tuple(shape)}")
        arrays[name] = np.asarray(mapped)  # a plain view: numpy.memmap costs time at every slice
    if entry.key != key:
        raise damaged(folder / key / SHARD, f"it belongs to shard {entry.key}")
    return entry, arrays


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]


def read_manifest(folder: Path) -> Manifest:
    """Raises InputError where there is no index, or none that this version reads."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no n-gram index: build one with `memviz corpus build`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, _reason(error)) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path} has format {found}, this memviz reads {FORMAT}: build the index again")
    try:
        shards = tuple(ShardEntry(**entry) for entry in content.pop("shards"))
        manifest = Manifest(**content, shards=shards)
        _check(manifest)
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(path, _reason(error)) from None
    return manifest


def _check(manifest: Manifest) -> None:
    """Raise ValueError or TypeError for names that are no names of files here, and for numbers that cannot be."""
    names = [manifest.rows, *(shard.key for shard in manifest.shards)]
    wrong = next((name for name in names if not re.fullmatch("[0-9a-f]{16,64}", name)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r:.60} is no name of its files")
    numbers = [manifest.n_tokens, manifest.n_rows, manifest.n_segments, manifest.vocab_size]
    numbers += [n for s in manifest.shards for n in (s.n_tokens, s.n_segments, s.first_step, s.last_step)]
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers) or manifest.vocab_size > MOST_IDS:
        raise ValueError("its numbers cannot be")
    if not (isinstance(manifest.name, str) and isinstance(manifest.tokenizer_hash, str)):
        raise ValueError("its name is no text")


def read_rows(folder: Path, name: str) -> pa.Table:
    """The table of rows. Raises InputError where its file is missing or damaged."""
    path = folder / ROWS.format(name)
    try:
        return pa.parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, _reason(error)) from None


def verify(folder: Path, manifest: Manifest) -> list[str]:
    """Read every file again: a sentence for each whose content is not what was written."""
    problems = []
    expected = {folder / ROWS.format(manifest.rows): manifest.rows}
    for shard in manifest.shards:
        try:
            about = json.loads((folder / shard.key / SHARD).read_text("utf-8"))
            expected |= {folder / shard.key / f"{name}.npy": about["arrays"][name][2] for name in ARRAYS}
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            problems.append(str(damaged(folder / shard.key / SHARD, _reason(error))))
    for path, wanted in expected.items():
        try:
            if _sha256(path) != wanted:
                problems.append(str(damaged(path, "its sha256 is another")))
        except OSError as error:
            problems.append(str(damaged(path, _reason(error))))
    return problems
