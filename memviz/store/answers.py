"""What a store is asked for, and what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Keeper(Protocol):
    """Where results are kept by their key: a store, or what serves as one."""

    def get(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and provenance, or None where they are not there or damaged."""

    def put(self, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Keep them. Raises Failure."""

    def delete(self, key: str) -> bool:
        """Whether there was one."""


@dataclass(frozen=True)
class StoreStats:
    n_results: int
    n_bytes: int
    """Of results; a file shared by several counts once."""
    limit: int
    """Bytes of results kept."""
    n_pinned: int
    n_quarantined: int
    """Damaged files set aside."""
    n_requests: int
    layers: tuple[Path, ...]
    """Read-only stores looked up after this one."""


@dataclass(frozen=True)
class StoredRequest:
    key: str
    request: dict[str, Any]
    created: float
    """Seconds since 1970, UTC."""


@dataclass(frozen=True)
class Pin:
    key: str
    n_bytes: int
    about: dict[str, Any]
    """What the store keeps beside the arrays."""
    created: float
    """Seconds since 1970, UTC."""


@dataclass(frozen=True)
class Finding:
    """Something `Store.verify` found wrong, and what was done about it."""

    name: str
    problem: str
