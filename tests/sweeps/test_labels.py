"""What kind a label is of follows from its values, and no digit is lost."""

from __future__ import annotations

import pytest

from memviz.sweeps.labels import Kinds, label_values

BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([1, None, 2], "number", [1.0, None, 2.0]),
        ([0.5, " 2 "], "number", [0.5, 2.0]),
        ([BIG, 5, None], "whole", [BIG, 5, None]),
        ([2**63 - 1, -(2**63)], "whole", [2**63 - 1, -(2**63)]),
        ([2**64 - 1, 0], "natural", [2**64 - 1, 0]),
        ([2**64 - 1, -1], "text", [str(2**64 - 1), "-1"]),
        ([BIG, 0.5], "text", [str(BIG), "0.5"]),
        ([2**64], "number", [float(2**64)]),
        ([10**400, 1], "text", [str(10**400), "1"]),
        (["a", 1], "text", ["a", "1"]),
        (["007", "8"], "text", ["007", "8"]),
        (["1_000", "2"], "text", ["1_000", "2"]),
        (["-0.5", "0"], "number", [-0.5, 0.0]),
        (["inf", "nan"], "number", [float("inf"), pytest.approx(float("nan"), nan_ok=True)]),
        ([None], "number", [None]),
    ],
)
def test_kinds(values: list[object], kind: str, kept: list[object]) -> None:
    kinds = Kinds(["a"])
    text = [None if value is None else str(value) for value in values]
    for value in text:
        kinds.look_at("a", [value])
    assert kinds.found() == {"a": kind}
    assert label_values(text, kind) == kept
