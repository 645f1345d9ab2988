"""What a store says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
