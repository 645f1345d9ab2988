"""Writing: a file or a folder is there whole or not at all, and one sentence says why where the disk refuses."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memviz.errors import NO_SPACE, Failure, MemvizError, error_number

TEMPORARY = ".tmp"
"""How the names of what is not yet whole end; they begin with a dot."""


def refusal(where: Path, error: BaseException, n_bytes: int = 0) -> Failure:
    """What an error of the file system means for what lies under `where`; `n_bytes` were to be written."""
    number = error_number(error)
    if number in NO_SPACE:
        needed = f", {max(n_bytes / 1e6, 0.1):.1f} MB needed" if n_bytes else ""
        return Failure(f"no space left in {where}{needed}: free space or set MEMVIZ_CACHE or --out to another folder")
    reason = os.strerror(number) if number else error
    return Failure(
        f"{where} cannot be written ({reason}); make it a writable folder or set MEMVIZ_CACHE or --out to another"
    )


@contextmanager
def refusing(where: Path, n_bytes: int = 0) -> Iterator[None]:
    """Whatever the disk refuses to write under `where` inside the block ends as a Failure that names it.

    FileNotFoundError passes through: what was removed meanwhile was not refused.
    """
    try:
        yield
    except (MemvizError, FileNotFoundError, TimeoutError):  # filelock's is an OSError too
        raise
    except Exception as error:
        if not _is_refused(error, where):
            raise
        raise refusal(where, error, n_bytes) from error


def _is_refused(error: Exception, where: Path) -> bool:
    """Whether an error is the disk's at `where`, and not one of reading elsewhere, nor anything else."""
    number = error_number(error)
    if number is None or number in NO_SPACE or not isinstance(error, OSError):
        return number is not None
    if not isinstance(error.filename, str | os.PathLike):
        return True
    named = Path(error.filename)
    return named.is_relative_to(where) or where.is_relative_to(named)


@contextmanager
def new_file(path: Path, where: Path | None = None, n_bytes: int = 0) -> Iterator[Path]:
    """A path to write to, beside `path`, whose file takes the place of `path` when the block ends well.

    Folders above are made. However the block ends, nothing else is left. Raises Failure where the disk refuses, which
    names `where` (by default the file's folder) and the bytes needed.
    """
    new = path.with_name(f".{uuid.uuid4().hex}{TEMPORARY}")
    with refusing(where or path.parent, n_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield new
            sync(new)
            new.replace(path)
            sync(path.parent)
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """A UTF-8 file, whole or not at all. Raises as `new_file`."""
    with new_file(path) as new:
        new.write_text(content, "utf-8")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As `new_file`, a folder. The caller holds a lock: what a killed process left of the same folder goes."""
    prefix = f".{path.name}-"
    with refusing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path.parent, f"{prefix}*")
        new, old = (path.with_name(f"{prefix}{uuid.uuid4().hex}{TEMPORARY}") for _ in range(2))
        try:
            new.mkdir()
            yield new
            for file in new.rglob("*"):
                sync(file)
            if path.exists():
                path.rename(old)
            new.rename(path)
            sync(path.parent)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            for each in (new, old):
                shutil.rmtree(each, ignore_errors=True)


def remove_left_over(folder: Path, pattern: str = f"*{TEMPORARY}") -> None:
    """Remove what a killed process left half-written in a folder; the caller holds its lock."""
    for path in folder.glob(pattern):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk. Raises OSError; some file systems cannot do it for folders."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
