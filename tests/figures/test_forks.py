"""A fork under the strip: its own entropy behind the other token, and where the text is taken up again."""

from __future__ import annotations

import numpy as np

from memviz.figures.forks import fork_track
from memviz.figures.tracks import drawn_track

WORDS = ["a", "X", "c", "d"]


def test_a_row_of_cells_by_hand() -> None:
    """Two context tokens; the second of four written ones is another, and from the fourth on it is the text again."""
    written, truth = np.array([5, 9, 7, 8]), np.array([5, 6, 1, 8])
    track = fork_track(WORDS, written, np.array([2.5, 0.25]), 1, truth, 3, n_context=2)
    assert track["label"] == "entropy of the fork “X” at 3, back in the text from 5 on"
    values, border = (each["values"] for each in track["series"])
    assert values == [None, None, None, None, 2.5, 0.25]
    assert border == [None, None, None, None, 0.0, 1.0], "solid where it wrote the true token"
    assert list(track["texts"]) == [
        None, None, None, "fork at 3: “X”, the fork", "fork at 3: “c”, 2.50 nats",
        "fork at 3: “d”, 0.25 nats, back in the text from here on",
    ]  # fmt: skip
    assert drawn_track(track, 6)["domain"] == [0.0, 8.0]


def test_without_truth_there_is_no_border() -> None:
    track = fork_track(WORDS, np.array([5, 9, 7, 8]), np.array([1.0, 1.0]), 1, None, None, n_context=0)
    assert len(track["series"]) == 1 and "back" not in track["label"]
    assert track["series"][0]["values"] == [None, None, 1.0, 1.0]
