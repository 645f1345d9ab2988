"""The Compare page's sentence, against scores by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.traces import small_trace, text_piece

from memviz.figures.ladder import Rung
from memviz.tasks.ladder import Axis
from memviz.ui.compare.answer import answer_of

WRITTEN = {0: (3, 4, 2), 1: (2, 4, 3), 2: (2, 4, 4), 3: (2, 3, 4)}
"""Hits of the truth 2 3 4 -> a generation with so many."""


def said(axis: Axis, *hits: int | None) -> str:
    """Of models a, b, c, ... with so many hits of three; None has no run."""
    rungs = []
    for name, n in zip("abcd", hits, strict=False):
        trace = None if n is None else replace(small_trace(), generated_ids=np.array([WRITTEN[n]]))
        rungs.append(Rung(name, name, "", lambda i: text_piece(str(i)), trace))
    return answer_of(rungs, axis)


@pytest.mark.parametrize(
    ("axis", "hits", "expected"),
    [
        ("size", (None, 2), "b (M = 0.67) is the only one computed so far."),
        ("size", (0, 2, 1), "None of 3 recites it whole; b (M = 0.67) comes nearest."),
        ("step", (0, 2, 1), "None of 3 recites it whole by c; b (M = 0.67) comes nearest."),
        ("size", (3, 3), "All 2 recite it whole, from a on."),
        ("size", (0, 2, 3), "Only the largest, c, recites it whole; the next, b (M = 0.67), does not."),
        ("step", (3, 1, 3, 3), "Recited whole from c on, among these steps; before it, b (M = 0.33)."),
        ("size", (3, 1, 3), "2 of 3 recite it whole: a, c; b (M = 0.33) does not."),
        ("hand", (3, 1), "1 of 2 recite it whole: a; b (M = 0.33) does not."),
    ],
)
def test_it_says_who_recites(axis: Axis, hits: tuple[int | None, ...], expected: str) -> None:
    said_plainly = said(axis, *hits).replace("\\", "")
    assert said_plainly == expected
