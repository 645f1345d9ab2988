"""A record as a flat dict of arrays and back, and the check of a field's shape."""

from __future__ import annotations

import typing
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

R = typing.TypeVar("R")


def expect(record: object, field: str, shape: tuple[int, ...]) -> None:
    got = np.shape(getattr(record, field))
    if got != shape:
        raise ValueError(f"{type(record).__name__}.{field}: got shape {got}, expected {shape}")


def to_arrays(record: object, prefix: str = "") -> dict[str, np.ndarray]:
    """A record of arrays and nested records as one flat dict, keys joined by dots; None fields are left out."""
    arrays: dict[str, np.ndarray] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if is_dataclass(value):
            arrays |= to_arrays(value, f"{prefix}{field.name}.")
        elif value is not None:
            arrays[prefix + field.name] = np.asarray(value)
    return arrays


def from_arrays(kind: type[R], arrays: dict[str, np.ndarray], prefix: str = "") -> R:
    """The inverse of `to_arrays`. Raises ValueError naming a missing field."""
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(kind)
    for field in fields(kind):  # type: ignore[arg-type]
        name = prefix + field.name
        options = typing.get_args(hints[field.name]) or (hints[field.name],)
        nested = next((option for option in options if is_dataclass(option)), None)
        if name in arrays:
            values[field.name] = arrays[name]
        elif nested and any(key.startswith(name + ".") for key in arrays):
            values[field.name] = from_arrays(nested, arrays, name + ".")  # type: ignore[arg-type]
        elif type(None) in options:
            values[field.name] = None
        else:
            raise ValueError(f"{kind.__name__}.{name}: missing from the stored arrays {sorted(arrays)}")
    return kind(**values)
