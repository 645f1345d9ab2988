"""Data sets that `memviz data add` brought: one Parquet file each in the cache, with where it came from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from memviz import disk
from memviz.errors import InputError
from memviz.settings import Settings

ROWS, MANIFEST = "rows.parquet", "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class DataSet(BaseModel):
    """What a data set says of itself; manifest.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    source: str
    """owner/name on the hub, or the folder it was read from."""
    revision: str | None
    """The hub's commit; None of a folder."""
    config: str | None
    split: str
    columns: dict[str, str]
    """Name -> type."""
    n_rows: int
    created: str

    @property
    def said(self) -> str:
        """Where the rows are from, in words."""
        at = f" at {self.revision}" if self.revision else ""
        return f"data set {self.name}: {self.source}{at}, split {self.split}" + (
            f", configuration {self.config}" if self.config else ""
        )


def folder_of(name: str, settings: Settings) -> Path:
    """Where a data set of this name lies. Raises InputError for what is no name."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:100]!r} is no name for a data set: use up to 80 letters, digits, dots, - and _")
    return settings.cache / "data" / name


def read_data_set(folder: Path) -> DataSet | None:
    """What is in a folder, or None where there is no data set that this version reads."""
    try:
        found = DataSet.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if (folder / ROWS).is_file() else None


def data_sets(settings: Settings) -> dict[str, DataSet]:
    """Every data set that can be read, by name."""
    folders = sorted((settings.cache / "data").glob("*/"))
    found = {folder.name: read_data_set(folder) for folder in folders if not folder.name.startswith(".")}
    return {name: each for name, each in found.items() if each is not None}


def rows_of(name: str, settings: Settings) -> Path | None:
    """The file of a data set's rows, None where there is no such name."""
    folder = settings.cache / "data" / name
    return folder / ROWS if _NAME.fullmatch(name) and read_data_set(folder) else None


def remove_data_set(name: str, settings: Settings) -> None:
    """Remove a data set. Raises InputError where there is none, Failure."""
    folder = folder_of(name, settings)
    if not folder.is_dir():
        raise InputError(f"there is no data set {name!r}; there are: {', '.join(data_sets(settings)) or 'none'}")
    with disk.refusing(folder):
        (folder / MANIFEST).unlink(missing_ok=True)  # without it the rest is no data set
        shutil.rmtree(folder)
