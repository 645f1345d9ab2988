"""Which rows a sweep asks about: one frozen record, saved under a name where it shall be used again."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memviz import disk
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.store.keys import request_fields

SUITE = "suite"
PARTS = ("held-out", "planted", "background")
KINDS = (".npy", ".jsonl", ".csv", ".parquet")
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}")


@dataclass(frozen=True)
class RowSet:
    """Rows of the bundled corpus by filters, or rows of a file; then perhaps a sample. Empty filters let all pass.

    Raises InputError where a field cannot be used.
    """

    source: str = SUITE
    """"suite", or the path of a file of one of `KINDS`."""
    domains: tuple[str, ...] = ()
    buckets: tuple[int, ...] = ()
    """Planned exposures; background rows have one."""
    parts: tuple[str, ...] = ()
    """Of `PARTS`: never trained on, planted with a number of exposures, or the single-exposure background."""
    documents: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    """Row numbers in the source, from 0."""
    sample: int | None = None
    """So many of the rows that pass, drawn without replacement."""
    seed: int = 0
    text_column: str = "text"
    ids_column: str = "ids"
    """Taken instead of the text where a file has both."""
    id_column: str | None = None
    """What a file calls its rows; kept as `row_id`."""
    labels: tuple[str, ...] = ()
    """Further columns to carry along, as `label_<name>`."""
    labels_file: str | None = None
    """A .npy of one label a row, beside rows that come as .npy."""

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise InputError(f"a sample of {self.sample} rows was asked for: ask for at least 1")
        if self.seed < 0:
            raise InputError(f"the seed of the sample is {self.seed}: give a number from 0 on")
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise InputError(f"part {unknown[0]!r} of the corpus is unknown: use {', '.join(PARTS)}")
        negative = [row for row in self.rows if row < 0]
        if negative:
            raise InputError(f"row {negative[0]} was asked for: rows are numbered from 0")
        if len(set(self.labels)) < len(self.labels):
            raise InputError(f"a label is named twice among {', '.join(self.labels)}: name each once")
        if self.source == SUITE:
            if self.labels or self.labels_file or self.id_column:
                raise InputError("labels and row ids are columns of a file; rows of the bundled corpus have none")
        elif any((self.domains, self.buckets, self.parts, self.documents)):
            raise InputError("domain, bucket, part and document choose rows of the bundled corpus: leave them out")
        elif self.path.suffix.lower() not in KINDS:
            raise InputError(f"{self.source} is none of {', '.join(KINDS)}: convert it to one of them")
        elif self.path.suffix.lower() == ".npy" and (self.labels or self.id_column):
            raise InputError("a .npy has no columns: give labels in a .npy of their own")
        elif self.path.suffix.lower() != ".npy" and self.labels_file:
            raise InputError("a file of labels goes with rows that come as .npy: name a column instead")

    @property
    def path(self) -> Path:
        return Path(self.source)

    @property
    def label_names(self) -> tuple[str, ...]:
        return ("label",) if self.labels_file else self.labels

    def request(self) -> dict[str, Any]:
        """The record as plain JSON, from which `row_set_from` makes an equal one."""
        return json.loads(json.dumps(asdict(self)))


def file_times(rows: RowSet) -> dict[str, list[int]]:
    """Size in bytes and time of the last writing, in ns, of each file that rows are read from and that is there."""
    found = {}
    for name in (rows.source, rows.labels_file):
        if name and name != SUITE:
            with suppress(OSError):
                about = Path(name).stat()
                found[name] = [about.st_size, about.st_mtime_ns]
    return found


def row_set_from(request: dict[str, Any]) -> RowSet:
    """The record of a stored request. Raises InputError where it is of another format."""
    try:
        return RowSet(**request_fields(RowSet, request))
    except (KeyError, TypeError) as error:
        raise InputError(f"this row set cannot be read by this version of memviz ({error})") from None


def _file(name: str, settings: Settings) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:100]!r} is no name for a row set: use up to 80 letters, digits, spaces, dots, - and _"
        )
    return settings.cache / "row-sets" / f"{name}.json"


def save_row_set(name: str, row_set: RowSet, settings: Settings, note: str = "") -> None:
    """Keep a row set under a name, in place of the one that had it. Raises InputError for a name, Failure."""
    path = _file(name, settings)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"format": FORMAT, "name": name, "note": note, "created": created, "rows": row_set.request()}
    disk.write_text(path, json.dumps(content, indent=1))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"it has format {content['format']}")
        known = {"name": path.stem, "note": str(content["note"]), "created": str(content["created"])}
        return known | {"rows": row_set_from(content["rows"])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"row set {path.stem!r} cannot be read ({error}): save it again") from None


def read_row_set(name: str, settings: Settings) -> RowSet:
    """The row set of a name. Raises InputError where there is none."""
    path = _file(name, settings)
    if not path.is_file():
        known = ", ".join(repr(each["name"]) for each in row_sets(settings)) or "none"
        raise InputError(f"there is no file and no saved row set {name!r}; saved are: {known}")
    return _read(path)["rows"]


def row_sets(settings: Settings) -> list[dict[str, Any]]:
    """Every saved row set that can be read: name, note, created, rows."""
    found = []
    for path in sorted((settings.cache / "row-sets").glob("*.json")):
        try:
            found.append(_read(path))
        except InputError:
            continue
    return found


def delete_row_set(name: str, settings: Settings) -> None:
    """Forget a saved row set; nothing happens where there is none."""
    _file(name, settings).unlink(missing_ok=True)
