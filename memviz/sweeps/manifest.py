"""What a finished sweep says of itself: `manifest.json`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from memviz.disk import Manifest


class _Part(BaseModel):
    model_config = Manifest.model_config


class RowsRead(_Part):
    """The rows as they were read."""

    n: int
    sha256: str
    n_read: int = 0
    n_malformed: int
    n_cut: int = 0
    files: dict[str, tuple[int, int]] = {}
    """Size and time of the last writing, ns, of each file they came from."""
    lengths: dict[str, int] = {}
    """Tokens -> rows of so many."""


class Skipped(_Part):
    """A pair of sizes that some rows are too short for."""

    mode: str
    k: int
    m: int
    n_rows: int


class ModelAsked(_Part):
    """What was known of a model."""

    name: str
    weights: str
    n_parameters: int
    size: str | None
    step: int | None
    n_steps: int | None
    seed: int


class TableMade(_Part):
    file: str
    n_rows: int
    columns: dict[str, Any]
    """Name -> its type and what it is."""


class Provenance(_Part):
    seconds: float
    created: str
    """ISO 8601, UTC."""


class SweepManifest(Manifest):
    """Shown and relied on by the pages; further keys (command, curves, packed) are shown where they are there."""

    model_config = ConfigDict(**Manifest.model_config)
    FORMAT: ClassVar[int] = 2
    request: dict[str, Any]
    rows: RowsRead
    skipped: tuple[Skipped, ...]
    models: tuple[ModelAsked, ...]
    tables: dict[Literal["rows", "sequences", "positions", "sums"], TableMade]
    engine: int
    provenance: Provenance

    @model_validator(mode="after")
    def _files(self) -> SweepManifest:
        wrong = next((name for name, table in self.tables.items() if table.file != f"{name}.parquet"), None)
        if wrong is not None or "sequences" not in self.tables or "rows" not in self.tables:
            raise ValueError(f"the file of table {wrong or 'rows or sequences'} is not there")
        return self
