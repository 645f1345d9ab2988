"""n-gram counts as tracks: their values, words and axes."""

from __future__ import annotations

import numpy as np
import pytest
from support.traces import pieces_of, small_trace, text_piece

from memviz.figures.linked import linked_data
from memviz.figures.ngrams import N_SPELLED, count_domain, ngram_tracks, spelled

PIECES = [text_piece(text) for text in (" In", " the", "\n", "<b>", "\u200b")]
NAN = float("nan")


def test_tracks_say_the_ngram_the_count_and_the_index() -> None:
    counts, suffix = np.array([NAN, 0, 12, 3400, 1]), np.array([1, 0, 2, 3, 1])
    first, second = ngram_tracks(counts, suffix, 2, PIECES, "suite", 5_900_000, "other rows", counts + 2)
    assert first["texts"][0] is None  # type: ignore[index]
    assert first["texts"][2] == "“·the↵” · 12 in other rows · suite, exact · 14 with own copies"  # type: ignore[index]
    assert first["texts"][4] == "“<b>⟨ZWSP⟩” · 1 in other rows · suite, exact · 3 with own copies"  # type: ignore[index]
    assert [series["style"] for series in first["series"]] == ["main", "faint"]
    assert first["unit"] == "exposures"
    assert second["texts"][1] == "this token does not stand in other rows · suite, exact"  # type: ignore[index]
    assert second["texts"][2] == "“·the↵” · 2 tokens in other rows · suite, exact"  # type: ignore[index]
    assert second["texts"][4] == "“⟨ZWSP⟩” · 1 token in other rows · suite, exact"  # type: ignore[index]
    rows, _ = ngram_tracks(counts, suffix, 2, PIECES, "suite", 10, "distinct rows")
    assert rows["unit"] == "rows" and len(rows["series"]) == 1


def test_long_suffixes_are_spelled_by_their_end() -> None:
    pieces = [text_piece(str(i % 10)) for i in range(40)]
    _, track = ngram_tracks(np.ones(40), np.arange(1, 41), 1, pieces, "i", 10, "stream")
    assert track["texts"][39].startswith("“…" + spelled(pieces[-N_SPELLED:]) + "” · 40 tokens")  # type: ignore[index,union-attr]


@pytest.mark.parametrize(("n_tokens", "top"), [(0, 10), (10, 10), (11, 100), (5_900_000, 1e7)])
def test_the_axis_is_that_of_the_corpus(n_tokens: int, top: float) -> None:
    assert count_domain(n_tokens) == (0.5, top)


def test_tracks_change_without_the_rest() -> None:
    trace = small_trace()
    pieces = pieces_of(trace, ["<bos>", " a", " b", "c", "\n"])
    made = [
        linked_data(trace, 0, pieces, tracks=ngram_tracks(np.full(5, n), np.ones(5), 1, PIECES, "i", 10, "stream"))
        for n in (1, 2)
    ]
    assert made[0]["id"] == made[1]["id"] == linked_data(trace, 0, pieces)["id"]
    assert made[0]["tracks_id"] != made[1]["tracks_id"]
    assert [track["id"] for track in made[0]["tracks"]] == ["entropy", "ngrams", "suffix"]
