"""Names of results: the hash of the request they answer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

HASH = re.compile(r"[0-9a-f]{64}")
PREFIX = re.compile(r"[0-9a-f]{8,64}")


def canonical_json(what: str, values: Mapping[str, Any]) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII. Raises ValueError naming the value that JSON cannot hold."""
    parts = []
    for name in sorted(values):
        try:
            text = json.dumps(values[name], sort_keys=True, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            shown = f"{values[name]!r:.80}"
            raise ValueError(
                f"{what}[{name!r}] = {shown} cannot be kept as JSON ({error}); use null for unknown"
            ) from None
        parts.append(f"{json.dumps(name)}:{text}")
    return "{" + ",".join(parts) + "}"


def request_hash(request: Mapping[str, Any]) -> str:
    """sha256, 64 hex characters, of the request as canonical JSON. Raises ValueError for NaN and what is no JSON."""
    return hashlib.sha256(canonical_json("request", request).encode()).hexdigest()


def checked_key(key: str) -> str:
    if not HASH.fullmatch(key):
        raise ValueError(f"key {key!r:.80}: expected 64 hex characters, as request_hash gives")
    return key


def checked_prefix(prefix: str) -> str:
    if not PREFIX.fullmatch(prefix):
        raise ValueError(f"request {prefix!r:.80}: expected at least the first 8 hex characters of its hash")
    return prefix
