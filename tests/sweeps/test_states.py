"""Hidden states of a sweep's rows against reading the same tokens again; what is kept is not computed twice."""

from __future__ import annotations

import numpy as np
import pytest
from support.sweeps import Lab

from memviz.engine import states as engine_states
from memviz.engine.states import read_states
from memviz.errors import InputError
from memviz.sweeps import RowSet, SweepTask, states
from memviz.sweeps.states import points_of, states_of, texts_of


@pytest.mark.parametrize(("model", "leading"), [("tiny", []), ("tiny-bos", [1])])
@pytest.mark.parametrize("free_running", [True, False])
def test_they_are_those_of_the_very_tokens(lab: Lab, model: str, leading: list[int], free_running: bool) -> None:
    rows = lab.rows(9, (30, 20), model, leading)
    task = SweepTask((model,), RowSet(lab.jsonl(rows)), contexts=(), continuations=(6, 16), context_at=8)
    texts = texts_of(lab.sweep(task), model, k=8, m=16)
    assert texts.rows.tolist() == [0, 2, 4, 6, 8]  # the others are too short for m = 16
    for place, row in enumerate(texts.rows):
        assert texts.true_ids[place].tolist() == rows[row][:24]
        assert texts.generated_ids[place, 8:].tolist() == lab.generate(model, leading + rows[row][:8], 16)
    ids = texts.generated_ids if free_running else texts.true_ids
    (found,) = states_of(texts, np.array([3, 1]), (1, 2), "float32", lab.context(), free_running)
    assert found[0].tolist() == [1, 3]
    prefix = np.tile(np.array(leading, np.int64), (2, 1))
    alone = read_states(lab.loaded(model), np.concatenate([prefix, ids[[1, 3]]], axis=1), (1, 2))
    np.testing.assert_allclose(found[1].of_layer(2), alone.of_layer(2)[:, len(leading) :], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found[1].logprob, alone.logprob[:, len(leading) :], atol=1e-4)


def test_batches_are_kept_whole_and_asked_for_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "BATCH", 4)
    task = SweepTask(("tiny",), RowSet(lab.jsonl(lab.rows(10))), contexts=(), continuations=(8,), context_at=8)
    texts = texts_of(lab.sweep(task), "tiny", 8, 8)
    seen: list[tuple[int, int]] = []
    context = lab.context(report=lambda done, total: seen.append((done, total)))
    first = list(states_of(texts, np.arange(10), (2,), "float32", context))
    assert [places.tolist() for places, _ in first] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [pair for pair in seen if pair[1]] == [(4, 10), (8, 10), (10, 10)]

    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(engine_states, "read_states", never)
    (again,) = states_of(texts, np.array([6, 5]), (2,), "float32", lab.context())
    assert again[0].tolist() == [5, 6]
    np.testing.assert_array_equal(again[1].of_layer(2), first[1][1].of_layer(2)[1:3])


def test_points_of_the_rows_drawn_alone_are_read_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "FEW", 2)
    rows = lab.rows(10, (30,), "tiny-bos", [1])
    task = SweepTask(("tiny-bos",), RowSet(lab.jsonl(rows)), contexts=(), continuations=(8,), context_at=8)
    texts = texts_of(lab.sweep(task), "tiny-bos", 8, 8)
    places, index, read = np.array([1, 4, 7]), np.array([7, 15]), []
    real = engine_states.read_points

    def counted(loaded, ids, *further):
        read.append(ids.shape)
        return real(loaded, ids, *further)

    monkeypatch.setattr(engine_states, "read_points", counted)
    found = list(points_of(texts, places, (2,), index, "float32", lab.context(), with_entropy=True))
    assert read == [(2, 17), (1, 17)] and sorted(np.concatenate([part for part, _ in found]).tolist()) == [0, 1, 2]
    (whole,) = states_of(texts, places, (2,), "float32", lab.context())
    for part, points in found:
        np.testing.assert_allclose(points.of_layer(2), whole[1].of_layer(2)[part][:, index], rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(points.entropy, whole[1].entropy[part][:, index], atol=1e-4)
    list(points_of(texts, places, (2,), index, "float32", lab.context(), with_entropy=True))
    assert len(read) == 2


def test_a_condition_that_was_not_swept_is_named(lab: Lab) -> None:
    task = SweepTask(("tiny",), RowSet(lab.jsonl(lab.rows(3))), contexts=(), continuations=(8,), context_at=8)
    sweep = lab.sweep(task)
    with pytest.raises(InputError, match="no rows of tiny at k = 8, sliding, with m = 9 or more"):
        texts_of(sweep, "tiny", 8, 9)
