"""The aligned view: one token put in is one edit, and no text of a token becomes HTML."""

from __future__ import annotations

from memviz.figures.aligned import LEFT_OUT, OTHER, PUT_IN, SAME, aligned_html, mark_of
from memviz.measures.similarity import alignment
from memviz.records import Piece


def marks(generated: list[int], true: list[int]) -> str:
    return "".join(mark_of(pair, generated, true) for pair in alignment(generated, true))


def test_one_token_put_in_leaves_the_rest_the_same() -> None:
    true = list(range(8))
    assert marks([0, 1, 99, 2, 3, 4, 5, 6], true) == SAME * 2 + PUT_IN + SAME * 5 + LEFT_OUT
    assert marks(true, true) == SAME * 8
    assert marks([0, 9, 2], [0, 1, 2]) == SAME + OTHER + SAME


def test_every_token_stands_once_and_in_order() -> None:
    pairs = alignment([5, 1, 2, 9, 3], [1, 2, 3, 4, 5])
    assert [i for i, _ in pairs if i is not None] == [0, 1, 2, 3, 4]
    assert [j for _, j in pairs if j is not None] == [0, 1, 2, 3, 4]


def test_tokens_are_escaped_and_gaps_are_drawn() -> None:
    hostile = Piece(b"<img src=x onerror=alert(1)>", False, "x")
    html = aligned_html([(0, None), (None, 0)], [1], [2], [(hostile, None), (None, Piece(b" a", False, "a"))])
    assert "<img" not in html and "&lt;img" in html
    assert html.count(f"<b>{PUT_IN}</b>") == html.count(f"<b>{LEFT_OUT}</b>") == 1
    assert "<i>·</i>a" in html
