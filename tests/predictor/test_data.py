"""What a predictor is fitted on: one split by group, states and labels of the very rows, rows drawn by a hash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.corpus import exposed
from support.sweeps import Lab

from memviz.engine.states import read_states
from memviz.errors import InputError
from memviz.predictor import data as prediction_data
from memviz.predictor.data import PARTS, SHARES, part_of, parts_of, read_data, units_of
from memviz.sweeps import RowSet, Sweep, SweepTask
from memviz.sweeps.states import states_of, texts_of
from memviz.tasks.base import ready
from memviz.weights import depth_and_width

K, M = 8, 16


def read(lab: Lab, sweep: Sweep, model: str = "tiny", **options):
    return read_data(sweep, model, K, M, lab.context(), **options)


def test_a_group_is_in_one_part_and_parts_have_their_shares() -> None:
    units = np.arange(20_000)
    part = part_of(units)
    np.testing.assert_allclose(np.bincount(part) / len(part), SHARES, atol=0.01)
    twice = part_of(np.repeat(units, 2))
    np.testing.assert_array_equal(twice, np.repeat(part, 2))
    np.testing.assert_array_equal(part_of(units[::-1]), part[::-1])  # decided by the number alone, not by the order
    assert (part_of(units, seed=1) != part).any()


def test_every_model_has_the_same_split(lab: Lab, sweep: Sweep) -> None:
    a, b = read(lab, sweep), read(lab, sweep, "twin")
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.part, b.part)
    assert {PARTS[place] for place in a.part.tolist()} == set(PARTS)


def test_parts_are_said_of_the_rows_that_a_fit_reads(lab: Lab, sweep: Sweep) -> None:
    for n_rows in (None, 30):
        found = read(lab, sweep, n_rows=n_rows)
        expected = dict(zip(found.rows.tolist(), (PARTS[place] for place in found.part), strict=True))
        assert parts_of(sweep, n_rows) == expected


def test_near_duplicates_are_not_parted(lab: Lab, rows: list[list[int]]) -> None:
    doubled = rows[:30] + [[*row[:-1], 7] for row in rows[:30]]  # each shares 16 tokens and more with its original
    source = lab.jsonl(doubled, "doubled.jsonl")
    task = SweepTask(("tiny",), RowSet(source), contexts=(), continuations=(M,), context_at=K)
    found = read(lab, lab.sweep(task, "doubled"))
    assert len(np.unique(found.units)) == 30
    np.testing.assert_array_equal(found.part[:30], found.part[30:])


def test_documents_that_a_group_joins_are_in_one_part(lab: Lab, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 0, 1 are of document a; 2, 3 of b, 2 a near-duplicate of 1; the others of documents of two rows each."""
    with pytest.raises(InputError, match="do not say which document"):
        read(lab, sweep, split="document")
    whole = Sweep.read

    def told(self: Sweep, table: str, *asked: Any) -> pd.DataFrame:
        found = whole(self, table, *asked)
        if table == "rows" and not asked:
            found = found.assign(document=[f"document {row // 2}" for row in found["row"]])
            found.loc[found["row"] == 2, "group"] = found.loc[found["row"] == 1, "group"].iloc[0]
        return found

    monkeypatch.setattr(Sweep, "read", told)
    units = units_of(sweep, "document")
    together = [set(rows) for _, rows in units.groupby(units).groups.items()]
    n = len(units)
    assert {0, 1, 2, 3} in together
    assert sorted(map(tuple, map(sorted, together))) == [(0, 1, 2, 3), *((row, row + 1) for row in range(4, n, 2))]
    found = read(lab, sweep, split="document")
    assert all(len(set(found.part[found.units == unit])) == 1 for unit in found.units)
    assert parts_of(sweep, None, "document") == {
        row: PARTS[part] for row, part in zip(found.rows.tolist(), found.part.tolist(), strict=True)
    }


def test_a_document_has_the_same_number_in_another_sweep(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = Sweep.read, 0

    def told(self: Sweep, table: str, *asked: Any) -> pd.DataFrame:
        found = whole(self, table, *asked)
        if table == "rows" and not asked:
            found = found.assign(document=7 + found["row"] // 2, group=found["row"].replace(9, 11))
            found = found[found["row"] >= first]
        return found

    monkeypatch.setattr(Sweep, "read", told)
    every = units_of(sweep, "document")
    assert every.loc[[8, 9, 10, 11, 12]].tolist() == [11, 11, 11, 11, 13], "the smaller of two that a group joins"
    first = 6
    fewer = units_of(sweep, "document")
    assert fewer.equals(every.loc[fewer.index]) and len(fewer) < len(every)


def test_states_statistics_and_labels_are_those_of_the_sweep(lab: Lab, sweep: Sweep, rows: list[list[int]]) -> None:
    found, texts = read(lab, sweep), texts_of(sweep, "tiny", K, M)
    ((places, states),) = states_of(texts, np.arange(len(rows)), (2,), "float32", lab.context())
    np.testing.assert_array_equal(found.rows, texts.rows[places])
    assert found.inputs.hidden is not None
    np.testing.assert_array_equal(found.inputs.hidden, states.hidden[:, :, 0])
    for column, name in enumerate(("entropy", "margin", "logprob")):
        np.testing.assert_array_equal(found.inputs.statistics[..., column], getattr(states, name))
    written = [lab.generate("tiny", row[:K], M) for row in rows[:5]]
    expected = [[a == b for a, b in zip(row[K:], own, strict=True)] for row, own in zip(rows, written, strict=False)]
    assert found.match[:5].tolist() == expected
    assert 0.2 < found.match.mean() < 0.9


def test_ranks_are_for_the_oracle_and_say_one_where_nothing_was_missed_before(lab: Lab, sweep: Sweep) -> None:
    found = read(lab, sweep)
    assert found.rank is not None
    until_miss = np.cumprod(found.match, axis=1).astype(bool)
    assert (found.rank[until_miss] == 1).all() and (found.rank >= 1).all()


def test_ranks_of_some_positions_alone_are_none(lab: Lab, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Sweep.read

    def slim(self: Sweep, table: str, *asked: Any) -> pd.DataFrame:
        found = whole(self, table, *asked)
        return found[found["index"] < K + M - 1] if table == "positions" else found

    monkeypatch.setattr(Sweep, "read", slim)
    assert read(lab, sweep).rank is None


def test_rows_are_drawn_by_a_hash_and_parts_can_be_left_out(lab: Lab, sweep: Sweep) -> None:
    whole, some, fewer = read(lab, sweep), read(lab, sweep, n_rows=50), read(lab, sweep, n_rows=30)
    assert len(some.rows) == 50 and set(fewer.rows) < set(some.rows) < set(whole.rows)
    test = read(lab, sweep, parts=("test",), hidden=False)
    np.testing.assert_array_equal(test.rows, whole.rows[whole.places("test")])
    assert test.inputs.hidden is None and len(test.inputs.statistics) == len(test.rows)


@pytest.mark.parametrize("step", [None, 60])
def test_ngrams_are_those_of_looking_everywhere(
    lab: Lab, sweep: Sweep, rows: list[list[int]], monkeypatch: pytest.MonkeyPatch, step: int | None
) -> None:
    stream = exposed(rows, [(row, None) for row in range(len(rows))] + [(row, None) for row in range(40)])
    corpus = stream.corpus(lab.folder / "index", vocab_size=10**4)
    monkeypatch.setattr(prediction_data, "index_of", lambda *asked: corpus)
    model = prediction_data.find_model("tiny", lab.backend.settings)
    checkpoint = replace(model, step=step, n_steps=200)
    monkeypatch.setattr(prediction_data, "find_model", lambda *asked: checkpoint)
    found = read(lab, sweep, ngrams=True, n_rows=20)
    assert found.inputs.statistics.shape == (20, K + M, 5)
    until = None if step is None else step - 1
    for place in range(4):
        row = rows[found.rows[place]]
        text, own = [*row[:K], *lab.generate("tiny", row[:K], M)], stream.own_rows(row)
        for n in (1, 2):
            counts = [stream.count(text[j - n + 1 : j + 1], "other", until, own) for j in range(n - 1, K + M)]
            np.testing.assert_allclose(
                found.inputs.statistics[place, n - 1 :, 2 + n], np.log1p(counts).astype(np.float32), rtol=1e-6
            )
        assert found.inputs.statistics[place, 0, 4] == 0, "no 2-gram ends at the first token"


def test_further_windows_are_other_contexts_of_training_rows(lab: Lab, rows: list[list[int]]) -> None:
    """Of rows of three lengths, each window decoded by plain transformers; the last one ends with the row."""
    short = [row[: K + M] for row in rows]
    long = [[*row, *other[: 2 * (i % 3)]] for i, (row, other) in enumerate(zip(short[:40], short[40:80], strict=True))]
    source, contexts = RowSet(lab.jsonl(long, "long.jsonl")), (K, K + 4)
    sizes = {"contexts": contexts, "continuations": (M,), "context_at": K, "continuation_at": M}
    task = SweepTask(("tiny",), source, positions=True, **sizes)
    with pytest.raises(InputError, match="no further windows"):
        read(lab, lab.sweep(replace(task, contexts=()), "cut"), windows=3)
    sweep = lab.sweep(task, "long")
    own, found = read(lab, sweep), read(lab, sweep, windows=3)
    n, lengths = len(own.rows), [len(row) for row in long]
    for name in ("rows", "units", "part", "match"):
        np.testing.assert_array_equal(getattr(found, name)[:n], getattr(own, name))
    expected = []
    for window in (1, 2):
        for row in own.rows[own.places("train")].tolist():
            room = lengths[row] - K - M
            start, before = (int(np.rint(each * room / 2)) for each in (window, window - 1))
            if start > before:
                expected.append((row, start))
    assert found.rows[n:].tolist() == [row for row, _ in expected] and expected
    assert {PARTS[place] for place in found.part[n:].tolist()} == {"train"}
    loaded = lab.backend.load(ready("tiny", lab.context()), "float32")
    for place, (row, start) in enumerate(expected[:8], n):
        true = long[row][start : start + K + M]
        written = lab.generate("tiny", true[:K], M)
        assert found.match[place].tolist() == [a == b for a, b in zip(true[K:], written, strict=True)]
        assert found.inputs.hidden is not None
        alone = read_states(loaded, np.array([[*true[:K], *written]]), (2,))
        np.testing.assert_allclose(found.inputs.hidden[place], alone.hidden[0, :, 0], atol=2e-3)
        np.testing.assert_allclose(found.inputs.statistics[place, 1:, 0], alone.entropy[0, 1:], atol=1e-4)
    assert found.rank is not None
    until_miss = np.cumprod(found.match, axis=1).astype(bool)
    assert (found.rank[until_miss] == 1).all()


def test_no_model_is_loaded_for_states_that_are_kept(lab: Lab, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(lab, sweep)
    monkeypatch.setattr(type(lab.backend), "load", lambda *_: pytest.fail("loaded to learn its depth and width"))
    np.testing.assert_array_equal(read(lab, sweep).inputs.statistics, first.inputs.statistics)
    card = ready("tiny", lab.context())
    assert depth_and_width(Path(card.folder)) == (2, 32)


def test_what_cannot_be_read_is_said(lab: Lab, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_data, "MOST_BYTES", 20 * 2 * (K + M) * 32)
    with pytest.raises(InputError, match=r"120 rows need .* ask for at most 20 rows"):
        read(lab, sweep)
    assert len(read(lab, sweep, n_rows=20).rows) == 20
    with pytest.raises(InputError, match="has no model 'tiny-bos': it has tiny, twin"):
        sweep.weights_of("tiny-bos")
    models = [about | {"weights": "others"} for about in sweep.manifest["models"]]
    other = replace(sweep, manifest=sweep.manifest | {"models": models})
    with pytest.raises(InputError, match="other weights of tiny than those of now"):
        read(lab, other)
    with pytest.raises(InputError, match="n-gram features need the index"):
        read(lab, sweep, ngrams=True, n_rows=20)
