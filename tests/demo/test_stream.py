"""Rows, buckets and the stream, held against brute force on small texts and on what ships."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer

from memviz.demo.index import suite_shards
from memviz.demo.recipe import ROW, SEQUENCE, SHIPPED, SMOKE, WINDOW
from memviz.demo.stream import TrainingData, assign, make, passages, unlike_rows
from memviz.demo.suite import SUITE_FOLDER, read_data, write_data
from memviz.gallery import GALLERY


@pytest.fixture(scope="module")
def small(texts: Path) -> TrainingData:
    return make(SMOKE, texts)[0]


@pytest.fixture(scope="module")
def shipped() -> TrainingData:
    return read_data()


def share_a_window(one: np.ndarray, other: np.ndarray, window: int) -> bool:
    spans = range(len(one) - window + 1)
    return any((one[a : a + window] == other[b : b + window]).all() for a in spans for b in spans)


def test_kept_rows_share_no_window_and_each_dropped_one_shares_with_a_kept_one() -> None:
    ids = np.random.default_rng(0).integers(0, 2, (60, 12)).astype(np.uint16)
    keep = unlike_rows(ids, window=6)
    assert 1 < keep.sum() < 60
    assert not any(share_a_window(ids[a], ids[b], 6) for a, b in combinations(np.flatnonzero(keep), 2))
    for dropped in np.flatnonzero(~keep):
        assert any(share_a_window(ids[dropped], ids[a], 6) for a in np.flatnonzero(keep) if a < dropped)


def test_passages_are_the_text_cut_at_line_ends() -> None:
    text = "one\ntwo three\n\nfour\nfive"
    pieces = passages(text, 5)
    assert "".join(pieces) == text
    assert pieces == ["one\ntwo three\n", "\nfour\n", "five"]


def test_buckets_get_their_rows_by_domain_and_held_out_rows_come_from_the_pool() -> None:
    domain = np.array(["a"] * 60 + ["b"] * 40)
    pool = np.arange(100) % 2 == 0
    bucket = assign(domain, pool, {0: 10, 4: 5, 8: 20}, np.random.default_rng(0))
    found = pd.crosstab(domain, bucket)
    assert found.loc["a"].to_dict() == {-1: 39, 0: 6, 4: 3, 8: 12}
    assert found.loc["b"].to_dict() == {-1: 26, 0: 4, 4: 2, 8: 8}
    assert pool[bucket == 0].all()
    with pytest.raises(ValueError, match=r"bucket 0 needs 36 rows of a, 30 are free"):
        assign(domain, pool, {0: 60}, np.random.default_rng(0))


def test_assignment_is_random_and_decided_by_its_seed(small: TrainingData, texts: Path) -> None:
    again, other = make(SMOKE, texts)[0], make(replace(SMOKE, assignment_seed=1), texts)[0]
    assert (again.order == small.order).all() and (again.bucket == small.bucket).all()
    assert len(other.order) == len(small.order) and (other.order != small.order).any()


def test_every_exposure_stands_where_the_table_says(small: TrainingData) -> None:
    flat = small.sequences.reshape(-1).astype(np.int64)
    table = small.exposures()
    assert len(table) == small.bucket.sum()
    for n, line in enumerate(table.itertuples()):
        start = line.sequence * SEQUENCE + line.offset
        assert flat[start - 1] == 0
        assert (flat[start : start + ROW] == small.ids[line.row]).all()
        assert line.step == line.sequence // small.batch
        assert line.left_row == (table["row"][n - 1] if n else -1)
    assert (np.bincount(table["row"], minlength=len(small.ids)) == small.bucket).all()
    assert len(set(table["offset"])) > 100, "a row's copies start at many places of a sequence"


def test_segments_are_what_stands_whole_in_one_sequence(small: TrainingData) -> None:
    expected = []
    for sequence, ids in enumerate(small.sequences.astype(np.int64)):
        for piece in np.split(ids, np.flatnonzero(ids == 0)):
            if len(piece[piece > 0]):
                expected.append((piece[piece > 0].tolist(), sequence // small.batch))
    found = [
        (small.ids[s.row, s.row_offset : s.row_offset + s.n_tokens].tolist(), s.step)
        for s in small.segments().itertuples()
    ]
    assert found == expected


def test_the_index_reads_the_same_segments(small: TrainingData) -> None:
    segments, n = small.segments(), 0
    for shard in suite_shards(small, shard_steps=5):
        ends = np.cumsum(shard.n_tokens)
        for i, end in enumerate(ends):
            s = segments.iloc[n]
            tokens = shard.tokens[end - shard.n_tokens[i] : end]
            assert (tokens == small.ids[s.row, s.row_offset : s.row_offset + s.n_tokens]).all()
            assert (shard.row[i], shard.row_offset[i], shard.step[i]) == (s.row, s.row_offset, s.step)
            n += 1
    assert n == len(segments)


def test_files_give_back_the_same_data(small: TrainingData, tmp_path: Path) -> None:
    write_data(small, tmp_path)
    back = read_data(tmp_path)
    for name in ("ids", "bucket", "background", "document", "order"):
        assert (getattr(back, name) == getattr(small, name)).all(), name
    assert (back.sequences == small.sequences).all()
    assert back.documents.equals(small.documents)
    columns = pd.read_parquet(tmp_path / "exposures.parquet")
    assert columns.equals(small.exposures())


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.wide)], ids=["kept", "trained"])
def test_what_ships_is_what_the_recipe_makes(
    shipped: TrainingData, trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tokenizer that ships, and with one trained again."""
    if not trained:
        kept = Tokenizer.from_file(str(SUITE_FOLDER / "corpus" / "tokenizer.json"))
        monkeypatch.setattr("memviz.demo.stream.train_tokenizer", lambda texts, n_vocabulary: kept)
    made, tokenizer = make(SHIPPED)
    assert (made.ids == shipped.ids).all()
    assert (made.bucket == shipped.bucket).all()
    assert (made.order == shipped.order).all()
    text = "In the beginning God created the heaven and the earth.\n"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_shipped_rows_share_no_window(shipped: TrainingData) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(shipped.ids, WINDOW, axis=1)
    owner: dict[bytes, int] = {}
    for row, of_row in enumerate(windows):
        for window in of_row:
            assert owner.setdefault(window.tobytes(), row) == row


def test_shipped_corpus_is_what_was_asked_for(shipped: TrainingData) -> None:
    assert 1_500_000 <= shipped.ids.size <= 3_000_000
    assert len(set(shipped.domain)) >= 4
    in_buckets = pd.Series(shipped.bucket[~shipped.background]).value_counts()
    assert in_buckets.to_dict() == SHIPPED.buckets
    assert shipped.background.sum() > 5_000
    assert not np.isin(np.flatnonzero(shipped.bucket == 0), shipped.order).any()
    assert shipped.documents["licence"].notna().all()


def test_the_suite_and_its_texts_stay_within_62_mb() -> None:
    """The gallery, whose results are no part of it, has a limit of its own."""
    files = [path for path in SUITE_FOLDER.parent.rglob("*") if path.is_file() and path.suffix != ".py"]
    files = [path for path in files if GALLERY not in path.parents]
    assert sum(path.stat().st_size for path in files) <= 62_000_000
