"""Which rows of a population are looked at: one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.measures.templates import CLASSES
from memviz.sweeps.rowset import PARTS

TEMPLATES = ("repeating", "incrementing", "none")


@dataclass(frozen=True)
class Filters:
    """Values to keep, by column; an empty filter lets everything pass, also what is unknown.

    Raises InputError for an unknown part, template or class.
    """

    domains: tuple[str, ...] = ()
    buckets: tuple[int, ...] = ()
    """Planned exposures; background rows have one."""
    parts: tuple[str, ...] = ()
    """Of held-out, planted, background."""
    templates: tuple[str, ...] = ()
    """Of repeating, incrementing, none."""
    classes: tuple[str, ...] = ()
    """Of recite, reconstruct, recollect."""

    def __post_init__(self) -> None:
        for field in fields(self):  # the same filters, however they were written
            object.__setattr__(self, field.name, tuple(sorted(set(getattr(self, field.name)))))
        for name, known in (("parts", PARTS), ("templates", TEMPLATES), ("classes", CLASSES)):
            unknown = [value for value in getattr(self, name) if value not in known]
            if unknown:
                raise InputError(f"{unknown[0]!r} is none of the {name} of rows: use {', '.join(known)}")

    def keep(self, table: pd.DataFrame) -> np.ndarray:
        """(n,) bool for a table with the columns about rows (rows and sequences of a sweep, points)."""
        passing = np.ones(len(table), bool)
        for name, wanted in ((field.name, getattr(self, field.name)) for field in fields(self)):
            if wanted:
                passing &= _values(table, name).isin(wanted).to_numpy(bool)
        return passing

    def apply(self, table: pd.DataFrame) -> pd.DataFrame:
        """The lines that pass."""
        return table[self.keep(table)]

    def words(self, n_passing: int, n_rows: int) -> str:
        """How many rows pass, of how many, and which, as text."""
        said = [*self.parts, *self.domains, *self.classes]
        said += [f"template: {', '.join(self.templates)}"] if self.templates else []
        said += [f"{', '.join(map(str, self.buckets))} exposures"] if self.buckets else []
        return f"{n_passing:,} of {n_rows:,} rows" + (f" ({', '.join(said)})" if said else "")


@dataclass(frozen=True)
class Choices:
    """What a table has to choose from, each ascending; empty where a column says nothing."""

    domains: tuple[str, ...]
    buckets: tuple[int, ...]
    parts: tuple[str, ...]
    templates: tuple[str, ...]
    classes: tuple[str, ...]


def choices(table: pd.DataFrame) -> Choices:
    """The values that filters of this table may have."""
    known = {field.name: sorted(_values(table, field.name).dropna().unique()) for field in fields(Filters)}
    buckets = tuple(int(value) for value in known.pop("buckets"))
    return Choices(buckets=buckets, **{name: tuple(map(str, values)) for name, values in known.items()})


def is_true(values: pd.Series) -> np.ndarray:
    """(n,) bool; what is unknown is not true."""
    return values.to_numpy(bool, na_value=False)


def _values(table: pd.DataFrame, name: str) -> pd.Series:
    """The column that a filter looks at."""
    if name == "parts":
        background, bucket = table["background"], table["bucket"]
        held_out = np.where(is_true(bucket.eq(0)), PARTS[0], PARTS[1])
        part = np.where(is_true(background.eq(True)), PARTS[2], held_out)
        return pd.Series(part, table.index, dtype=object).where(bucket.notna() & background.notna())
    columns = {"domains": "domain", "buckets": "bucket", "templates": "template", "classes": "memorization_class"}
    return table[columns[name]]
