"""Labels of a person's rows: numbers where all their values are, and no digit of one is lost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

LABEL_TYPES = {"number": pa.float64(), "whole": pa.int64(), "natural": pa.uint64(), "text": pa.string()}
"""Kind of a label -> its column's type: numbers that a float holds exactly, whole numbers of 64 bits, text."""
_NAME = re.compile(r"\s*[+-]?0\d|.*[_\u0080-\uffff]", re.DOTALL)
"""What Python reads as a number and is none: 007 and 1_000 are names."""
_RANGES = {"whole": (-(2**63), 2**63), "natural": (0, 2**64)}


class Kinds:
    """What kind each label is of, as its values come by as text."""

    def __init__(self, names: Iterable[str]) -> None:
        self._possible = {name: dict.fromkeys(LABEL_TYPES) for name in names}

    def look_at(self, name: str, values: Iterable[str | None]) -> None:
        """Values of a label, None where a row has none."""
        possible = self._possible[name]
        for value in values:
            if value is None or len(possible) == 1:
                continue
            number, whole = (None, None) if _NAME.match(value) else (_float(value), _whole(value))
            if number is None or (whole is not None and (math.isinf(number) or int(number) != whole)):
                possible.pop("number", None)
            for kind, (least, end) in _RANGES.items():
                if whole is None or not least <= whole < end:
                    possible.pop(kind, None)

    def found(self) -> dict[str, str]:
        """Label -> the first of `LABEL_TYPES` that holds all its values."""
        return {name: next(iter(possible)) for name, possible in self._possible.items()}


def label_values(values: Sequence[str | None], kind: str) -> list[Any]:
    """Labels from text as their kind has them."""
    read = {"number": float, "text": str}.get(kind, int)
    return [None if value is None else read(value) for value in values]


def _float(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _whole(value: str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None
