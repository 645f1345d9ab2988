"""What goes wrong, in two kinds; every message is one sentence that names the value and the remedy."""

from __future__ import annotations

import errno
import os
import re

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_RUST = re.compile(r"\(os error (\d+)\)")
_SHORT = re.compile(r"\d+ requested and \d+ written|unexpected pos \d+ vs \d+")
"""What numpy and torch say where fewer bytes were taken than given; neither says why, and a full disk is why."""


class MemvizError(Exception):
    """Anything memviz says itself; its text is for the person who asked."""

    exit_code = 1
    """Of the command line."""


class InputError(MemvizError, ValueError):
    """What was asked cannot be."""

    exit_code = 2


class Failure(MemvizError, RuntimeError):
    """What was asked can be, and went wrong."""


def error_number(error: BaseException) -> int | None:
    """The errno behind an error. safetensors, tokenizers, numpy and torch raise errors that have only a text."""
    if found := _RUST.search(str(error)):
        return int(found[1])
    number = error.errno if isinstance(error, OSError) else None
    return errno.ENOSPC if number is None and _SHORT.search(str(error)) else number


def sentence(error: BaseException) -> str | None:
    """The one catch rule: what to tell the person who asked, or None where only a log helps.

    Pages, command line, worker and the early picture catch Exception and ask here.
    """
    if isinstance(error, MemvizError):
        return str(error)
    number = error_number(error)
    if number in NO_SPACE:
        return "no space left on a disk: free space and start again; what was finished before is kept"
    if isinstance(error, OSError) and number and error.filename is not None:
        return f"{error.filename} cannot be used ({os.strerror(number)}): if it was removed, start again"
    if isinstance(error, FileNotFoundError):  # pyarrow's has its path in its text alone
        return f"{(str(error).splitlines() or ['a file is gone'])[0]}: if it was removed, start again"
    return None
