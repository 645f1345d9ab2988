"""Which rows a sweep asks about: one frozen record, saved under a name where it shall be used again."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memviz import disk
from memviz.errors import InputError
from memviz.rows.layout import Layout
from memviz.rows.reading import ARRAYS, KINDS, kind_of
from memviz.settings import Settings
from memviz.store.keys import later, record_of, request_of

SUITE = "suite"
PARTS = ("held-out", "planted", "background")
NEAR_DUPLICATES, NO_GROUPS = "near-duplicates", "none"
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}")


@dataclass(frozen=True)
class RowSet:
    """Rows of the bundled corpus by filters, or rows of a file; then perhaps a sample. Empty filters let all pass.

    Raises InputError where a field cannot be used.
    """

    source: str = SUITE
    """"suite", or the path of a file of one of `rows.reading.KINDS`, perhaps packed."""
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
    ids_dtype: str | None = later(None)
    """Of the ids in a .bin file; None: as its header, the file beside it or its content shows."""
    separator: int | None = later(None)
    """Id between the documents of a stream of ids."""
    pad_id: int | None = later(None)
    """Id that fills rows of ids up; they are cut there."""
    window: int | None = later(None)
    """Rows are cut into windows of so many tokens, which are the rows then."""
    background: int | None = later(None)
    """So many of the background rows alone, always the same ones."""
    groups: str = later(NEAR_DUPLICATES)
    """near-duplicates, or none: every row stands for itself."""

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise InputError(f"a sample of {self.sample} rows was asked for: ask for at least 1")
        if self.background is not None and self.background < 1:
            raise InputError(f"{self.background} rows of the background were asked for: ask for at least 1")
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
        if self.groups not in (NEAR_DUPLICATES, NO_GROUPS):
            raise InputError(f"groups {self.groups!r} are unknown: use {NEAR_DUPLICATES} or {NO_GROUPS}")
        layout = self.layout  # which checks itself
        if self.source == SUITE:
            if layout != Layout():
                raise InputError(
                    "columns, labels, widths, padding and windows are of a file; rows of the bundled corpus have none"
                )
            return
        if any((self.domains, self.buckets, self.parts, self.documents, self.background)):
            raise InputError("domain, bucket, part and document choose rows of the bundled corpus: leave them out")
        kind = kind_of(self.path)
        if kind is None:
            raise InputError(f"{self.source} is none of {', '.join(KINDS)}: convert it to one of them")
        if kind in ARRAYS and (self.labels or self.id_column):
            raise InputError(
                f"a {kind} has no columns: give labels in a .npy of their own, beside rows that come as .npy"
            )
        if kind != ".npy" and self.labels_file:
            raise InputError("a file of labels goes with rows that come as .npy: name a column instead")

    @property
    def layout(self) -> Layout:
        """How the file is laid out, as far as it is known. Raises InputError."""
        named = {
            name: getattr(self, name) for name in ("text_column", "ids_column", "id_column", "labels", "labels_file")
        }
        asked = {name: getattr(self, name) for name in ("separator", "pad_id", "window")}
        return Layout(**named, **asked, dtype=self.ids_dtype)

    @property
    def path(self) -> Path:
        return Path(self.source)

    @property
    def label_names(self) -> tuple[str, ...]:
        return ("label",) if self.labels_file else self.labels

    def request(self) -> dict[str, Any]:
        """The record as plain JSON, from which `row_set_from` makes an equal one."""
        return request_of(self)


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
        return record_of(RowSet, request)
    except (KeyError, TypeError) as error:
        raise InputError(f"this row set cannot be read by this version of memviz ({error})") from None


def file_of(name: str, settings: Settings) -> Path:
    """Where a row set of that name is kept. Raises InputError for what is no name."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:100]!r} is no name for a row set: use up to 80 letters, digits, spaces, dots, - and _"
        )
    return settings.cache / "row-sets" / f"{name}.json"


def save_row_set(name: str, row_set: RowSet, settings: Settings, note: str = "", created: str | None = None) -> None:
    """Keep a row set under a name, in place of the one that had it. Raises InputError for a name, Failure."""
    path = file_of(name, settings)
    created = created or datetime.now(UTC).isoformat(timespec="seconds")
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
    return saved(name, settings)["rows"]


def saved(name: str, settings: Settings) -> dict[str, Any]:
    """Name, note, created and rows of a saved row set. Raises InputError where there is none."""
    path = file_of(name, settings)
    if not path.is_file():
        known = ", ".join(repr(each["name"]) for each in row_sets(settings)) or "none"
        raise InputError(f"there is no file and no saved row set {name!r}; saved are: {known}")
    return _read(path)


def row_sets(settings: Settings) -> list[dict[str, Any]]:
    """Every saved row set that can be read: name, note, created, rows."""
    found = []
    for path in sorted((settings.cache / "row-sets").glob("*.json")):
        try:
            found.append(_read(path))
        except InputError:
            continue
    return found
