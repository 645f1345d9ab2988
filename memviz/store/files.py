"""Arrays as files named by the sha256 of their content: written whole or not at all, never trusted when read."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from memviz import disk
from memviz.errors import Failure
from memviz.store.answers import Finding
from memviz.store.keys import HASH

SUFFIX = ".safetensors"
ORPHAN_SECONDS = 3600.0
"""A file without a row is younger than this while its writer may still be alive."""
DTYPES = {"bool", "complex64", "float16", "float32", "float64"} | {
    f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)
}


def refusal(root: Path, error: Exception, n_bytes: int = 0) -> Failure:
    """What an error of the file system or of SQLite means for the store at `root`; `n_bytes` were to be written."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY or isinstance(error, TimeoutError):
        return Failure(f"the index in {root} is held by another process: try again when it is done")
    full = code == sqlite3.SQLITE_FULL
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):  # how a full disk looks while SQLite opens its files
        full = root.is_dir() and shutil.disk_usage(root).free < 2**16
    return disk.refusal(root, OSError(errno.ENOSPC, "full") if full else error, n_bytes)


def encode(arrays: Mapping[str, np.ndarray], about: dict[str, str] | None = None) -> bytes:
    """safetensors bytes of named arrays of any shape. Raises ValueError for a dtype the format does not have."""
    from safetensors.numpy import save

    # safetensors reads the raw buffer, so strides must be undone; ascontiguousarray would turn 0-d into 1-d
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in dense.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(
                f"array {name!r}: dtype {array.dtype} cannot be stored; use one of {', '.join(sorted(DTYPES))}"
            )
    return save(dense, about)


def decode(content: bytes) -> dict[str, np.ndarray]:
    """The read-only arrays of safetensors bytes whose hash was checked. Raises ValueError for other bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"not safetensors: {error}") from None


def content_name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def remove_folder(folder: Path) -> int:
    """The bytes freed, 0 where there is no such folder. Raises OSError."""
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder, ignore_errors=not folder.exists())
    return n_bytes


def _is_name(name: object) -> bool:
    """An index made by others may hold anything."""
    return isinstance(name, str) and HASH.fullmatch(name) is not None


class Files:
    """The files of one store: `blobs/ab/abcd….safetensors`, and `quarantine/` for the damaged ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "blobs"
        self.quarantine = root / "quarantine"

    def path(self, name: str) -> Path:
        return self.folder / name[:2] / (name + SUFFIX)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name, its content unchecked; what is no name has none."""
        return _is_name(name) and self.path(name).exists()

    def remove(self, name: str) -> None:
        if _is_name(name):
            self.path(name).unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Content on disk, whole or not at all. Raises Failure, FileNotFoundError if the folder goes meanwhile."""
        with disk.new_file(self.path(name), self.root, len(content)) as new:
            new.write_bytes(content)

    def read(self, name: str, n_bytes: int) -> bytes | None:
        """Content of this size and hash, or None where the file is missing or anything else."""
        if not _is_name(name):
            return None
        try:
            with self.path(name).open("rb") as file:
                if os.fstat(file.fileno()).st_size != n_bytes:
                    return None
                content = file.read()
        except OSError:
            return None
        return content if content_name(content) == name else None

    def set_aside(self, name: str) -> bool:
        """Move a damaged file to quarantine; False where there is none."""
        if not self.has(name):
            return False
        path = self.path(name)
        self.quarantine.mkdir(exist_ok=True)
        os.replace(path, self.quarantine / f"{name}.{uuid.uuid4().hex[:8]}")
        return True

    def walk(self) -> Iterator[Path]:
        """Every file under blobs/, temporary ones included."""
        return (path for path in self.folder.glob("*/*") if path.suffix in (SUFFIX, disk.TEMPORARY))

    def n_quarantined(self) -> int:
        return sum(1 for _ in self.quarantine.glob("*"))


def remove_orphans(connection: sqlite3.Connection, files: Files) -> list[Finding]:
    """Remove files that no row needs, unless they are young; what was found."""
    findings = []
    needed = {files.path(str(blob)) for (blob,) in connection.execute("SELECT blob FROM results")}
    for path in set(files.walk()) - needed:
        try:
            old = time.time() - path.stat().st_mtime > ORPHAN_SECONDS
        except FileNotFoundError:
            continue
        if old:
            path.unlink(missing_ok=True)
        problem = "removed" if old else "left, since it is younger than an hour"
        findings.append(Finding(path.name, f"no result needs this file; {problem}"))
    return findings
