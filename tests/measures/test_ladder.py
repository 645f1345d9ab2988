"""The arrays of a ladder, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.traces import small_trace

from memviz.measures.ladder import Ladder, character_spans, ladder_of
from memviz.records import Piece, Trace


def with_generated(ids: list[int]) -> Trace:
    return replace(small_trace(), generated_ids=np.array([ids]))


@pytest.fixture
def ladder() -> Ladder:
    """Truth 2 3 4; the rows write 2 4 4, 2 3 4 and 0 3 4."""
    return ladder_of([small_trace(), with_generated([2, 3, 4]), with_generated([0, 3, 4])])


def test_scores_prefixes_and_divergences(ladder: Ladder) -> None:
    assert ladder.n_context == 2
    assert ladder.score.tolist() == pytest.approx([2 / 3, 1, 2 / 3])
    assert ladder.prefix.tolist() == [1, 3, 0]
    assert ladder.divergence.tolist() == [1, -1, 0]


def test_matches_by_both_ways_of_reading(ladder: Ladder) -> None:
    assert ladder.match("free_running").tolist() == [[True, False, True], [True] * 3, [False, True, True]]
    assert ladder.match("teacher_forced").tolist() == [[True, False, False]] * 3  # the argmax is 2 4 0


def test_what_follows_a_divergence_stands_apart_where_the_model_reads_its_own_text(ladder: Ladder) -> None:
    assert ladder.apart("free_running").tolist() == [[False, False, True], [False] * 3, [False, True, True]]
    assert not ladder.apart("teacher_forced").any()


def test_columns_that_differ(ladder: Ladder) -> None:
    assert ladder.differing("free_running").tolist() == [True, True, False]
    assert ladder.differing("teacher_forced").tolist() == [False, False, False]


def test_differences_from_a_baseline() -> None:
    first, second = small_trace(), small_trace()
    assert second.teacher_forced is not None
    likelier = replace(second.teacher_forced, logprob=np.log(np.array([[0.5, 0.25, 1]], np.float32)))
    calmer = replace(second.free_running, entropy=np.array([[0.25, 1.5, 8]], np.float32))
    ladder = ladder_of([first, replace(second, teacher_forced=likelier, free_running=calmer)])
    p = np.exp([-0.125, -1, -2])
    assert ladder.differences("teacher_forced", "p", 0)[0].tolist() == [0, 0, 0]
    assert ladder.differences("teacher_forced", "p", 0)[1] == pytest.approx([0.5 - p[0], 0.25 - p[1], 1 - p[2]])
    assert ladder.differences("free_running", "entropy", 1)[0] == pytest.approx([0.25, 0, 1])
    assert np.isnan(ladder.entropy["free_running"][0, 0]) and ladder.entropy["free_running"].shape == (2, 5)


def test_traces_of_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="context_ids differ between the traces: compare them by characters"):
        ladder_of([small_trace(), replace(small_trace(), context_ids=np.array([[0, 3]]))])
    with pytest.raises(ValueError, match="without a true continuation"):
        ladder_of([small_trace(has_truth=False)])


def pieces(*raw: bytes) -> list[Piece]:
    return [Piece(part, part.startswith(b"<"), "") for part in raw]


@pytest.mark.parametrize(
    ("parts", "spans"),
    [
        ((b"ab", b"c"), [(0, 2), (2, 3)]),
        ((b"<s>", b"a"), [(0, 0), (0, 1)]),
        ((b"\xc3", b"\xa9x"), [(0, 1), (0, 2)]),  # é over two tokens: it is in the span of both
        ((b"a\xe2", b"\x82", b"\xac!"), [(0, 2), (1, 2), (1, 3)]),  # € over three
        ((), []),
    ],
)
def test_spans_of_characters(parts: tuple[bytes, ...], spans: list[tuple[int, int]]) -> None:
    assert character_spans(pieces(*parts)).tolist() == [list(span) for span in spans]


def test_spans_of_two_tokenizers_lie_over_the_same_text() -> None:
    text = "Ça va · très bien"
    ways = [[text.encode()[i : i + n] for i in range(0, len(text.encode()), n)] for n in (1, 3)]
    for way in ways:
        spans = character_spans(pieces(*way))
        assert spans[0, 0] == 0 and spans[-1, 1] == len(text)
        for (start, stop), raw in zip(spans.tolist(), way, strict=True):
            assert raw in text[start:stop].encode() and len(text[start:stop].encode()) < len(raw) + 4
