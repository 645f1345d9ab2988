"""Requests as plain JSON: read as they were written, also where fields came later or are of speed alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from memviz.store.keys import aside, later, record_of, request_of


@dataclass(frozen=True)
class Inner:
    width: float
    words: tuple[str, ...] = ()
    unit: str | None = later(None)


@dataclass(frozen=True)
class Asked:
    """As it is today."""

    ids: tuple[int, ...]
    pairs: tuple[tuple[int, int | None], ...]
    inner: Inner = field(default_factory=lambda: Inner(1.0))
    mode: str = later("plain")
    hints: tuple[str, ...] = aside(())


BEFORE = {"ids": [1, 2], "pairs": [[3, None]], "inner": {"width": 0.5, "words": ["a"]}}
"""As it was stored before `mode` and `unit` were thought of."""


def test_a_request_of_before_means_the_defaults_and_is_written_as_it_was() -> None:
    read = record_of(Asked, json.loads(json.dumps(BEFORE)))
    assert read == Asked((1, 2), ((3, None),), Inner(0.5, ("a",)), "plain") and read.inner.unit is None
    assert request_of(read) == BEFORE


def test_what_came_later_is_in_the_request_where_it_says_something() -> None:
    asked = Asked((1, 2), ((3, None),), Inner(0.5, ("a",), "nats"), "turned")
    said = {**BEFORE, "inner": {**BEFORE["inner"], "unit": "nats"}, "mode": "turned"}  # type: ignore[dict-item]
    assert request_of(asked) == said and record_of(Asked, json.loads(json.dumps(said))) == asked


def test_what_is_of_speed_alone_is_in_no_request() -> None:
    asked = Asked((1,), (), hints=("fast",))
    assert asked == Asked((1,), ()) and "hints" not in request_of(asked)
    with pytest.raises(TypeError, match="hints is unknown"):
        record_of(Asked, {**BEFORE, "hints": ["fast"]})


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"ids": [1, "2"]}, TypeError, r"ids is \[1, '2'\]"),
        ({"ids": [True]}, TypeError, "ids is"),
        ({"inner": 3}, TypeError, "inner is 3"),
        ({"inner": {"words": []}}, KeyError, "width"),
        ({"pairs": [[1]]}, TypeError, "pairs is"),
        ({"mode": None}, TypeError, "mode is None"),
        ({"beams": 3}, TypeError, "beams is unknown"),
    ],
)
def test_what_is_missing_unknown_or_of_another_type_is_named(
    change: dict, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        record_of(Asked, {**BEFORE, **change})
    with pytest.raises(KeyError, match="ids"):
        record_of(Asked, {name: value for name, value in BEFORE.items() if name != "ids"})
