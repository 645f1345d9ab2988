"""Names of results: the hash of the request they answer."""

from __future__ import annotations

import hashlib
import json
import re
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from memviz.errors import InputError

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


@cache
def _checks(kind: type) -> Mapping[str, TypeAdapter[Any]]:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if not is_dataclass(hint)}
    return types.MappingProxyType({n: TypeAdapter(hint, config=ConfigDict(strict=True)) for n, hint in hints.items()})


def request_fields(kind: type, request: Mapping[str, Any]) -> dict[str, Any]:
    """The plain fields of a frozen request from stored JSON, whose lists are tuples there; nested ones are left out.

    Raises KeyError for a field that is missing, TypeError for one of another type.
    """
    names = _checks(kind)
    found = {name: tuple(value) if isinstance(value := request[name], list) else value for name in names}
    for name, check in names.items():
        try:
            check.validate_python(found[name])
        except ValidationError:
            raise TypeError(f"{name} is {request[name]!r:.60}") from None
    return found


def checked_key(key: str) -> str:
    if not HASH.fullmatch(key):
        raise ValueError(f"key {key!r:.80}: expected 64 hex characters, as request_hash gives")
    return key


def checked_prefix(prefix: str) -> str:
    if not PREFIX.fullmatch(prefix):
        shown = re.sub("[^0-9A-Za-z_-]", "?", prefix)[:64]  # it may come with a link, and is shown on a page
        raise InputError(f"request {shown!r}: expected at least the first 8 hex characters of its hash")
    return prefix
