"""Names of results: the hash of the request they answer."""

from __future__ import annotations

import hashlib
import json
import re
import types
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from memviz.errors import InputError

R = TypeVar("R")
LATER, ASIDE = "later", "aside"
"""Marks in the metadata of a field."""
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


def later(default: Any) -> Any:
    """A field of a request that came after others had been stored: at its default it is left out, and so it is read."""
    return field(default=default, metadata={LATER: True})


def aside(default: Any) -> Any:
    """A field that changes speed and no number: in no request, and of no account where two are compared."""
    return field(default=default, compare=False, repr=False, metadata={ASIDE: True})


def request_of(record: Any) -> dict[str, Any]:
    """A frozen record as plain JSON, nested records too, from which `record_of` makes an equal one."""
    asked = [each for each in fields(record) if ASIDE not in each.metadata]
    values = {each.name: getattr(record, each.name) for each in asked}
    left_out = {each.name for each in asked if LATER in each.metadata and values[each.name] == each.default}
    return {name: _plain(value) for name, value in values.items() if name not in left_out}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return request_of(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    """Field -> the kind of record it holds, or what checks its value."""
    hints = get_type_hints(kind)
    asked = [each.name for each in fields(kind) if ASIDE not in each.metadata]
    strict = ConfigDict(strict=True)
    return types.MappingProxyType(
        {n: hints[n] if is_dataclass(hints[n]) else TypeAdapter(hints[n], config=strict) for n in asked}
    )


def record_of(kind: type[R], request: Mapping[str, Any]) -> R:
    """The frozen record of stored JSON, whose lists are tuples there; a `later` field that is missing has its default.

    Raises KeyError for another field that is missing, TypeError for one of another type and for one that is unknown,
    and what the record itself raises.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    unknown = sorted(set(request) - set(hints))
    if unknown:
        raise TypeError(f"{unknown[0]:.60} is unknown")
    came_later = {each.name for each in fields(kind) if LATER in each.metadata}  # type: ignore[arg-type]
    return kind(
        **{name: _read(name, hints[name], request[name]) for name in hints if name in request or name not in came_later}
    )


def _read(name: str, hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and isinstance(value, Mapping):
        return record_of(hint, value)
    try:
        if isinstance(hint, type):
            raise TypeError(name)
        return hint.validate_python(_tuples(value))
    except (TypeError, ValidationError):
        raise TypeError(f"{name} is {value!r:.60}") from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def checked_key(key: str) -> str:
    if not HASH.fullmatch(key):
        raise ValueError(f"key {key!r:.80}: expected 64 hex characters, as request_hash gives")
    return key


def checked_prefix(prefix: str) -> str:
    if not PREFIX.fullmatch(prefix):
        shown = re.sub("[^0-9A-Za-z_-]", "?", prefix)[:64]  # it may come with a link, and is shown on a page
        raise InputError(f"request {shown!r}: expected at least the first 8 hex characters of its hash")
    return prefix
