"""What a corpus holds of a prompt, against counts made by hand and by looking at every place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.corpus import Stream, exposed
from support.traces import random_trace

from memviz.corpus import Corpus, Span
from memviz.corpus.attribution import Counts, counts_of, is_foreign, own_rows, places, row_of, span_at, when
from memviz.records import Trace

TEXT = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2]  # 18 tokens
OTHER = [9, 1, 2, 3, 4, 9]


@pytest.fixture(scope="module")
def stream() -> Stream:
    """A text seen three times (once cut in two) and another row seen twice; the third row is held out."""
    return exposed([TEXT, OTHER, [9] * 6], [(0, None), (1, None), (0, 5), (1, None), (0, None)])


@pytest.fixture(scope="module")
def corpus(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return stream.corpus(tmp_path_factory.mktemp("index") / "test", borders=(2,))


def trace_of(context: list[int], truth: list[int] | None, generated: list[int]) -> Trace:
    made = random_trace(len(context), len(generated))
    found = None if truth is None else np.array([truth])
    return replace(made, context_ids=np.array([context]), continuation_ids=found, generated_ids=np.array([generated]))


def test_rows_of_a_trace() -> None:
    trace = trace_of([1, 2], [3, 4, 5], [6, 7, 8])
    assert row_of(trace, "true").tolist() == [1, 2, 3, 4, 5]
    assert row_of(trace, "generated").tolist() == [1, 2, 6, 7, 8]
    with pytest.raises(ValueError, match="ask for the generated tokens"):
        row_of(trace_of([1, 2], None, [6, 7, 8]), "true")


@pytest.mark.parametrize("kind", ["stream", "rows", "other"])
@pytest.mark.parametrize("until", [None, 1])
def test_counts_are_those_of_every_place(corpus: Corpus, stream: Stream, kind: str, until: int | None) -> None:
    ids = np.array(TEXT)
    own = corpus.own_rows(ids)
    assert own.tolist() == [0]
    found = counts_of(corpus, ids, kind, until, own)  # type: ignore[arg-type]
    for n in found.order:
        expected = [np.nan] * (n - 1) + [
            stream.count(TEXT[end - n : end], kind, until, own.tolist()) for end in range(n, len(TEXT) + 1)
        ]
        np.testing.assert_array_equal(found.of(n), expected)
    without = own.tolist() if kind == "other" else []
    assert found.suffix.tolist() == stream.longest(TEXT, until, without)


def test_boundary_differences() -> None:
    counts = Counts((1, 2), np.array([[5, 6, 7, 40], [-1, 3, 2, 9]]), np.zeros(4, np.int64))
    assert counts.boundary(1, 3) == 33
    assert counts.boundary(2, 2) == -1
    assert np.isnan(counts.boundary(2, 1)), "no 2-gram ends at index 0"


def test_own_rows_are_those_of_the_prompt_whatever_was_generated(corpus: Corpus) -> None:
    assert own_rows(corpus, trace_of(TEXT[:15], TEXT[15:18], [9, 9, 9])).tolist() == [0]
    assert own_rows(corpus, trace_of([9] * 15, [9, 9, 9], TEXT[:3])).tolist() == []


def test_texts_that_are_not_from_the_corpus(corpus: Corpus) -> None:
    own = corpus.own_rows(TEXT)
    assert not is_foreign(corpus, np.array(TEXT), own)
    assert is_foreign(corpus, np.array([9, 9, 9, 9, 1, 2, 3, 9, 9] * 3), own[:0])
    assert not is_foreign(corpus, np.array([9, 9, *TEXT[:8], 9]), own[:0]), "eight tokens are enough"


def test_the_longest_span_through_a_token() -> None:
    spans = [Span(start, n, 1, np.zeros(1, np.int64)) for start, n in ((0, 4), (2, 6), (5, 6), (20, 3))]
    assert span_at(spans, 3) is spans[1]
    assert span_at(spans, 9) is spans[2]
    assert span_at(spans, None) is spans[1], "the first of equally long ones"
    assert span_at(spans, 15) is None


def test_places_of_a_span(corpus: Corpus) -> None:
    found, n_places, n_seen = places(corpus, np.array([1, 2, 3, 4]), np.array([0, 1]), None, 10)
    assert (n_places, n_seen) == (3, 8)
    assert [{**place, "steps": place["steps"].tolist()} for place in found] == [
        {"row": 0, "domain": "prose", "position": 0, "seen": 3, "steps": [0, 2, 4]},
        {"row": 0, "domain": "prose", "position": 8, "seen": 3, "steps": [0, 2, 4]},
        {"row": 1, "domain": "prose", "position": 1, "seen": 2, "steps": [1, 3]},
    ]
    found, n_places, n_seen = places(corpus, np.array([1, 2, 3, 4]), np.array([1]), 2, 10)
    assert ([place["row"] for place in found], n_places, n_seen) == ([1], 1, 1)


def test_when_is_drawn_on_the_axis_of_steps() -> None:
    drawn = when(np.array([0, 1, 2, 63, 32]), 64)
    assert len(drawn) == 32
    assert drawn[0] == "█" and drawn[1] == drawn[16] == drawn[31] != "▁"
    assert set(drawn[2:16] + drawn[17:31]) == {"▁"}
