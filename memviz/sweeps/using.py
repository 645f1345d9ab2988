"""Which rows and sweeps running jobs of any process use: what is in use is neither deleted nor renamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memviz.settings import Settings
from memviz.store.notes import noted, notes
from memviz.sweeps.rowset import RowSet

_FOLDER = "locks/sweeps"


@contextmanager
def using(settings: Settings, folder: Path, rows: RowSet | None = None) -> Iterator[None]:
    """Say, while the block runs, that the sweep in a folder is used, and these rows. Raises Failure."""
    with noted(settings.cache / _FOLDER, {"folder": str(folder.resolve()), "rows": rows and rows.request()}):
        yield


def in_use(settings: Settings) -> list[dict[str, Any]]:
    """`folder` and `rows` of every use."""
    return notes(settings.cache / _FOLDER)
