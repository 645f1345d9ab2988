"""Writing into the cache folder: whole or not at all, and one sentence where it refuses."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memviz.errors import Failure
from memviz.weights import ModelError


class CacheError(Failure):
    """The cache folder refuses to be written; the message names it and the remedy."""


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def error_number(error: Exception) -> int | None:
    """The errno behind an error. safetensors and tokenizers, written in Rust, have no OSError: only its text."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else error.errno if isinstance(error, OSError) else None


def no_space(cache: Path) -> CacheError:
    return CacheError(f"no space left in {cache}: free space or set MEMVIZ_CACHE")


@contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Whatever refuses to be written inside the block ends as a CacheError."""
    try:
        yield
    except (ModelError, TimeoutError):  # filelock's is an OSError too, and no refusal
        raise
    except Exception as error:
        number = error_number(error)
        if not isinstance(error, OSError) and number is None:
            raise
        if number in NO_SPACE:
            raise no_space(cache) from None
        reason = os.strerror(number) if number else error
        raise CacheError(
            f"{cache} cannot be written ({reason}); make it a writable folder or set MEMVIZ_CACHE"
        ) from None


@contextmanager
def new_folder(target: Path, cache: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place, whole, when the block ends well. The caller holds a lock."""
    with writing(cache):
        target.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in target.parent.glob(f".{target.name}-*"):  # by a process that was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            yield new
            os.chmod(new, 0o755)
            if target.exists():
                shutil.rmtree(target)
            new.rename(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
