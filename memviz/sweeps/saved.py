"""Saved row sets, renamed and deleted; what a running sweep of any process reads stays."""

from __future__ import annotations

from memviz.errors import InputError
from memviz.settings import Settings
from memviz.sweeps.rowset import file_of, read_row_set, save_row_set, saved
from memviz.sweeps.using import in_use


def rename_row_set(name: str, new: str, settings: Settings) -> None:
    """Raises InputError where there is none, the new name is taken or is none, or a running sweep reads it; Failure."""
    _refuse_in_use(name, settings)
    if file_of(new, settings).exists():
        raise InputError(f"there is a row set {new!r} already: delete it first, or take another name")
    about = saved(name, settings)
    save_row_set(new, about["rows"], settings, about["note"], about["created"])
    file_of(name, settings).unlink(missing_ok=True)


def delete_row_set(name: str, settings: Settings) -> None:
    """Forget a saved row set. Raises InputError where there is none, or a running sweep reads it."""
    _refuse_in_use(name, settings)
    file_of(name, settings).unlink(missing_ok=True)


def _refuse_in_use(name: str, settings: Settings) -> None:
    if not file_of(name, settings).is_file():
        read_row_set(name, settings)
    try:
        rows = read_row_set(name, settings).request()
    except InputError:  # one that cannot be read is in nobody's use
        return
    if any(each.get("rows") == rows for each in in_use(settings)):
        raise InputError(f"a running sweep reads the rows of {name!r}: wait for it, or stop it")
