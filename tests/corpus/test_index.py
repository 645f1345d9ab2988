"""Every answer of an index against looking at every place, and a stream small enough to count by hand."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corpus import Stream, exposed, random_stream

from memviz.corpus import Corpus
from memviz.errors import InputError

KINDS = ("stream", "rows", "other")
# a row seen whole, then cut, then whole; another that shares "2 3 4"; a third that nobody saw
HAND = exposed([[1, 2, 3, 4, 5], [9, 2, 3, 4], [7, 7, 7]], [(0, None), (0, 3), (1, None), (0, None)])


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return HAND.corpus(tmp_path_factory.mktemp("hand"))


def test_three_kinds_by_hand(hand: Corpus) -> None:
    ids = [1, 2, 3, 4]
    assert hand.own_rows(ids).tolist() == [0]
    counts = {kind: hand.counts(ids, (1, 2, 3, 4), kind).tolist() for kind in KINDS}
    assert counts["stream"] == [[3, 4, 4, 4], [-1, 3, 4, 3], [-1, -1, 3, 3], [-1, -1, -1, 2]]
    assert counts["rows"] == [[1, 2, 2, 2], [-1, 1, 2, 2], [-1, -1, 1, 2], [-1, -1, -1, 1]]
    assert counts["other"] == [[0, 1, 1, 1], [-1, 0, 1, 1], [-1, -1, 0, 1], [-1, -1, -1, 0]]


def test_until_step_by_hand(hand: Corpus) -> None:
    counted = [hand.counts([3, 4], (2,), "stream", until_step=step)[0, 1] for step in (-1, 0, 1, 2, 3, 99)]
    assert counted == [0, 1, 1, 2, 3, 3]  # the exposure of step 1 is cut between 3 and 4


def test_a_cut_exposure_hides_what_it_cuts(hand: Corpus) -> None:
    found = hand.occurrences([3, 4])
    assert [(o.row, o.position, o.n_exposures, o.steps.tolist()) for o in found.listed] == [
        (0, 2, 2, [0, 3]),
        (1, 2, 1, [2]),
    ]
    assert (found.n_places, found.n_rows, found.n_exposures) == (2, 2, 3)


def test_the_longest_suffix_and_the_spans_by_hand(hand: Corpus) -> None:
    ids = [8, 1, 2, 3, 4, 9, 2, 3]
    assert hand.longest_suffix(ids, "stream").tolist() == [0, 1, 2, 3, 4, 1, 2, 3]
    spans = [(span.start, span.n_tokens, span.count, span.rows.tolist()) for span in hand.spans(ids, n_min=2)]
    assert spans == [(1, 4, 2, [0]), (5, 3, 1, [1])]
    spans = [(span.start, span.n_tokens, span.rows.tolist()) for span in hand.spans(ids, 2, without_rows=[0])]
    assert spans == [(2, 3, [1]), (5, 3, [1])]


def test_nothing_crosses_from_row_to_row(hand: Corpus) -> None:
    assert hand.counts([5, 9], (2,), "stream")[0, 1] == 0 and hand.counts([4, 1], (2,), "stream")[0, 1] == 0


def test_rows_and_their_ids(hand: Corpus) -> None:
    assert hand.row_ids(0).tolist() == [1, 2, 3, 4, 5] and hand.rows.column_names == ["domain"]
    with pytest.raises(InputError, match="row 2 is not in the index test in full"):
        hand.row_ids(2)


def test_a_row_shown_only_in_parts(tmp_path: Path) -> None:
    stream = exposed([[1, 2, 3, 4]], [(0, 2)])
    corpus = stream.corpus(tmp_path / "a")
    assert corpus.row_ids(0).tolist() == [1, 2, 3, 4]
    half = Stream(stream.rows, stream.segments[:1]).corpus(tmp_path / "b")
    with pytest.raises(InputError, match="row 0"):
        half.row_ids(0)


def check(stream: Stream, corpus: Corpus, ids: list[int], until: int | None) -> None:
    orders = tuple(range(1, 9))
    own = stream.own_rows(ids)
    assert corpus.own_rows(ids).tolist() == own
    for kind in KINDS:
        found = corpus.counts(ids, orders, kind, until)
        for (place, n), end in itertools.product(enumerate(orders), range(len(ids))):
            expected = stream.count(ids[end - n + 1 : end + 1], kind, until, own) if end >= n - 1 else -1
            assert found[place, end] == expected, (kind, n, end)
    assert corpus.longest_suffix(ids, "stream", until).tolist() == stream.longest(ids, until)
    assert corpus.longest_suffix(ids, "other", until).tolist() == stream.longest(ids, until, own)
    check_spans(stream, corpus, ids, until, [])
    check_spans(stream, corpus, ids, until, own[:1])


def check_spans(stream: Stream, corpus: Corpus, ids: list[int], until: int | None, without: list[int]) -> None:
    def held(a: int, b: int) -> list[int]:
        return [row for row, _, _ in stream.places(ids[a:b], until) if row not in without]

    inside = [(a, b) for a in range(len(ids)) for b in range(a + 1, len(ids) + 1) if held(a, b)]
    kept = set(inside)
    maximal = [(a, b) for a, b in inside if (a - 1, b) not in kept and (a, b + 1) not in kept and b - a >= 2]
    found = corpus.spans(ids, 2, until, without)
    assert [(span.start, span.start + span.n_tokens) for span in found] == maximal
    for span, (a, b) in zip(found, maximal, strict=True):
        assert (span.count, span.rows.tolist()) == (len(held(a, b)), sorted(set(held(a, b))))


@pytest.mark.parametrize("borders", [(), (10,), (1, 2, 30, 31, 47)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_against_every_place(tmp_path: Path, seed: int, borders: tuple[int, ...]) -> None:
    stream = random_stream(seed)
    corpus = stream.corpus(tmp_path, borders)
    generator = np.random.default_rng(seed)
    texts = [stream.rows[0], stream.rows[3] + stream.rows[4], stream.rows[-1], generator.integers(0, 8, 30).tolist()]
    for ids, until in zip(texts, (None, 20, 49, 3), strict=True):
        check(stream, corpus, ids, until)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=4),
    schedule=st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(1, 8)), min_size=1, max_size=12),
    text=st.lists(st.integers(0, 5), max_size=12),
    cuts=st.sets(st.integers(1, 11), max_size=3),
    until=st.none() | st.integers(-1, 12),
)
def test_against_every_place_of_any_stream(
    rows: list[list[int]],
    schedule: list[tuple[int, int | None]],
    text: list[int],
    cuts: set[int],
    until: int | None,
) -> None:
    stream = exposed(rows, [(row % len(rows), cut) for row, cut in schedule])
    with TemporaryDirectory() as folder:
        corpus = stream.corpus(Path(folder), sorted(cut for cut in cuts if cut < len(stream.segments)), vocab_size=4)
        check(stream, corpus, text, until)
        for n in range(1, min(len(text), 4) + 1):
            places = sorted(stream.places(text[:n], until))
            found = corpus.occurrences(text[:n], None, until)
            listed = [(o.row, o.position, step) for o in found.listed for step in o.steps.tolist()]
            assert listed == places and found.n_exposures == len(places)
            assert found.n_rows == len({row for row, _, _ in places})


@pytest.mark.parametrize("vocab_size", [5, 256, 65535, 65536, 2**18])
def test_ids_of_every_width(tmp_path: Path, vocab_size: int) -> None:
    generator = np.random.default_rng(0)
    ids = np.array([0, 1, 2, vocab_size - 2, vocab_size - 1])
    rows = [ids[generator.integers(0, 5, 20)].tolist() for _ in range(6)]
    stream = exposed(rows, [(row, None) for row in (0, 1, 2, 3, 4, 0, 1, 0)])
    corpus = stream.corpus(tmp_path, (3,), vocab_size)
    assert corpus.manifest.dtype == ("uint16" if vocab_size < 2**16 else "uint32")
    check(stream, corpus, rows[0], None)
    check(stream, corpus, [*rows[5][:8], vocab_size, vocab_size + 1, 2**40], 5)


def test_long_texts_and_long_matches(tmp_path: Path) -> None:
    rows = [np.random.default_rng(0).integers(0, 4, 300).tolist()]
    corpus = exposed(rows, [(0, None), (0, 150)]).corpus(tmp_path)
    ids = [9, *rows[0], 9]
    assert corpus.longest_suffix(ids, "stream").tolist() == [0, *range(1, 301), 0]
    assert [(s.start, s.n_tokens, s.count) for s in corpus.spans(ids)] == [(1, 300, 1)]


def test_limits_are_stated(hand: Corpus) -> None:
    found = hand.occurrences([3], limit=1)
    assert len(found.listed) == 1 and (found.n_places, found.n_rows, found.n_exposures) == (2, 2, 4)
    assert hand.occurrences([8]).listed == ()


def test_own_rows_may_be_given(hand: Corpus) -> None:
    assert hand.counts([2, 3], (2,), own_rows=[0, 1])[0, 1] == 0
    assert hand.counts([2, 3], (2,), own_rows=[1])[0, 1] == 3
    assert hand.counts([2, 3], (2,), own_rows=[])[0, 1] == 4
    assert hand.counts([2, 3], (2,), own_rows=[77])[0, 1] == 4


def test_an_empty_text(hand: Corpus) -> None:
    assert hand.counts([]).shape == (5, 0) and hand.longest_suffix([]).shape == (0,)
    assert hand.own_rows([]).tolist() == [] and hand.spans([]) == []


def test_eight_threads(tmp_path: Path) -> None:
    stream = random_stream(5)
    corpus = stream.corpus(tmp_path, (9, 33))
    texts = [row for row in stream.rows if len(row) > 4] * 8

    def ask(ids: list[int]) -> tuple[list[list[int]], list[int], list[int]]:
        spans = [span.start for span in corpus.spans(ids, 3)]
        return corpus.counts(ids).tolist(), corpus.longest_suffix(ids).tolist(), spans

    alone = [ask(ids) for ids in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, texts)) == alone


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        (lambda c: c.counts([1], kind="all"), "kind 'all' is unknown: use one of stream, rows, other"),
        (lambda c: c.counts([1], orders=(0,)), r"orders \(0,\) cannot be counted"),
        (lambda c: c.counts([1], orders=(2, 2)), r"orders \(2, 2\) cannot be counted"),
        (lambda c: c.counts([1], orders=()), r"orders \(\) cannot be counted"),
        (lambda c: c.counts([1, -1]), "token id -1 is below 0"),
        (lambda c: c.counts([[1]]), r"the text is int64 of shape \(1, 1\): give a row of whole numbers"),
        (lambda c: c.counts([1.5]), r"the text is float64 of shape \(1,\): give a row of whole numbers"),
        (lambda c: c.spans([1], n_min=0), "spans of 0 tokens cannot be looked for"),
        (lambda c: c.occurrences([]), "the n-gram has 0 tokens"),
    ],
)
def test_questions_that_cannot_be_answered(hand: Corpus, question: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        question(hand)  # type: ignore[operator]


def test_places_that_do_not_fit_into_memory(hand: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 10

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    with pytest.raises(InputError, match=r"4 places need about 0\.0 GB to be listed; 0\.0 GB are free"):
        hand.occurrences([3])
