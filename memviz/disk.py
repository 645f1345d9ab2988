"""A file or a folder, whole or not at all; one sentence where the disk refuses; what a folder says of itself."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

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


def free_bytes(where: Path) -> int:
    """Room on the disk of a folder that is, or will be."""
    there = next(folder for folder in (where, *where.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def shown_size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"


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


class Manifest(BaseModel):
    """What a folder says of itself, in JSON that is written last. Fields added later have defaults.

    `FORMAT` rises where an older file cannot be read any more.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)
    FORMAT: ClassVar[int]
    format: int


M = TypeVar("M", bound=Manifest)


def read_manifest(kind: type[M], path: Path) -> M:
    """What a file says. Raises OSError, and ValueError saying in a clause what is wrong with it."""
    return parse_manifest(kind, path.read_bytes())


def parse_manifest(kind: type[M], content: bytes) -> M:
    """As `read_manifest`, of a file's content."""
    try:
        found = kind.model_validate_json(content)
    except ValidationError as error:
        first = next((each for each in error.errors() if each["loc"] == ("format",)), error.errors()[0])
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(" ".join(f"{where:.60}: {first['msg']:.100}".split())) from None
    if found.format != kind.FORMAT:
        raise ValueError(f"format {found.format}, this memviz reads {kind.FORMAT}")
    return found
