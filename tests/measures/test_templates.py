"""Repeating and counting rows by example, and the order in which the classes are decided."""

from __future__ import annotations

import numpy as np
import pytest

from memviz.measures.templates import incrementing, memorization_class, repeating


@pytest.mark.parametrize(
    ("ids", "repeats"),
    [
        ([1] * 12, True),
        ([1, 2, 3] * 4, True),
        ([1, 2, 3, 4, 5, 6] * 2, True),
        ([1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2], True),  # the last copy is cut
        ([9, 8, 7, 1, 2, 3, 1, 2, 3, 1, 2, 3], True),  # a beginning of its own
        ([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 7, 7], True),  # two tokens at the end
        ([1, 2, 3, 1, 2, 3, 1, 2, 3, 7, 8, 9], False),  # three
        (list(range(12)), False),
        ([9, 8, 7, 6, 5, 4, 3, 1, 2, 1, 2, 1], False),  # not before the second half
        ([1], False),
    ],
)
def test_repeating(ids: list[int], repeats: bool) -> None:
    assert repeating(np.array([ids, ids])).tolist() == [repeats, repeats]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1, 2, 3, 4, 5, 6, 7", True),
        ("page 9 page 8 page 7 page 6 page 5 page 4", True),
        ("0x10 = 1; 0x10 = 2; 0x10 = 3; 0x10 = 4", True),  # lanes that keep still, and one that rises
        ("1.5 a 2.5 b 3.5 c 4.5 d 5.5 e 6.5", True),
        ("7, 7, 7, 7, 7, 7, 7", False),  # keeps still, which is a repetition
        ("1, 2, 3, 4, 5", False),  # too few
        ("3, 1, 4, 1, 5, 9, 2, 6, 5", False),
        ("1 2 3 4 5 6 " + "and so on " * 30, False),  # hardly any digits
        ("", False),
    ],
)
def test_incrementing(text: str, counts: bool) -> None:
    assert incrementing(text) is counts


def test_classes() -> None:
    assert memorization_class(6, True) == memorization_class(6, False) == "recite"
    assert memorization_class(5, True) == "reconstruct"
    assert memorization_class(0, False) == "recollect"
    assert memorization_class(None, True) is None
