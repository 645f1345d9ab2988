"""What the commands share: reading input, checking output, saying what goes on."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import typer

from memviz.errors import InputError
from memviz.gallery import open_store
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Context
from memviz.tasks.trace import MAX_TEXT_BYTES


def say(stage: str) -> None:
    """Stages are for people who wait: elsewhere stderr holds nothing but an error."""
    if sys.stderr.isatty():
        typer.echo(stage, err=True)


def confirm(what: str, yes: bool) -> None:
    """Raise InputError unless somebody said yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{what} is deleted for good: say so with --yes")
    if not typer.confirm(f"Delete {what} for good?"):
        raise InputError(f"{what} is kept")


def store(settings: Settings) -> Store:
    return open_store(settings)


def context_for(settings: Settings) -> Context:
    """What tasks run with. torch takes seconds: the engine is started when something has to be computed."""
    return Context(settings, store(settings), say=say)


def read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:  # read no more than is allowed: a pipe does not say how much it holds
            content = stream.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise InputError(f"{path} has more than the {MAX_TEXT_BYTES:,} bytes of one prompt: cut it")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def check_out(out: Path) -> None:
    """Raise InputError where no file can come to be, before anything is computed."""
    target = out.resolve()
    if not target.parent.is_dir():
        raise InputError(f"--out {out}: its folder does not exist; make it first")
    try:
        if not stat.S_ISREG(target.stat().st_mode):
            raise InputError(f"--out {out} is no file: name a file")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"--out {out} cannot be used: {error.strerror}") from None
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"--out {out}: its folder cannot be written; name another")


def known_tasks() -> None:
    """Import every kind of task, so that any stored request can be read."""
    import memviz.maps
    import memviz.population.precision
    import memviz.predictor
    import memviz.sweeps.kept
    import memviz.tasks.causes
    import memviz.tasks.fork
    import memviz.tasks.ladder
    import memviz.tasks.lens
    import memviz.tasks.perturbation
    import memviz.tasks.trace  # noqa: F401
