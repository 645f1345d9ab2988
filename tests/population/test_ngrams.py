from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.corpus import exposed

from memviz.errors import InputError
from memviz.population import Frequencies, FrequencyTask, align
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Context, answer, stored

GENERATOR = np.random.default_rng(0)
IDS = GENERATOR.integers(0, 6, (3, 128))
STREAM = exposed([row.tolist() for row in IDS], [(0, None), (1, 40), (1, None), (2, None)])


@pytest.fixture
def corpus(tmp_path: Path):
    return STREAM.corpus(tmp_path / "index")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Without an engine: nothing here needs one."""
    return Context(Settings(cache=tmp_path), Store(tmp_path / "store", 10**9), start=lambda: pytest.fail("an engine"))


def frequencies(sweep, corpus, context: Context, **asked) -> Frequencies:
    return answer(FrequencyTask(sweep, corpus, **asked), context).result


@pytest.fixture
def sweep(made_sweep, asked):
    match = GENERATOR.random((3, 96)) < 0.5
    return made_sweep(ids=IDS, asked=[asked("a", match)], n_parameters={"a": 5})


def test_counts_are_those_of_looking_everywhere(sweep, corpus, context) -> None:
    found = frequencies(sweep, corpus, context)
    n_tokens = 4 * 128
    for row in range(3):
        for j in (0, 5, 31, 32, 127):
            for n in (1, 2):
                value = found.of(n, np.array([row]))[0, j]
                if j < n - 1:
                    assert np.isnan(value)
                else:
                    ngram = IDS[row, j - n + 1 : j + 1].tolist()
                    assert value * n_tokens == pytest.approx(STREAM.count(ngram, "other", own=[row]))
    stream = frequencies(sweep, corpus, context, copies="stream").of(1, np.array([1]))
    assert stream[0, 0] * n_tokens == pytest.approx(STREAM.count([int(IDS[1, 0])], "stream"))
    assert found.n_tokens == n_tokens and found.index == "test"


def test_counted_once_then_read(sweep, corpus, context, monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = FrequencyTask(sweep, corpus), []
    assert stored(task, context) is None
    first = answer(task, context.telling(lambda done, total: seen.append((done, total)))).result
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    monkeypatch.setattr(corpus, "counts", None)
    for again in (frequencies(sweep, corpus, context), stored(task, context)):
        np.testing.assert_array_equal(again.counts, first.counts)
    assert stored(FrequencyTask(sweep, corpus, "rows"), context) is None
    assert stored(FrequencyTask(sweep, corpus, until_step=1), context) is None


def test_a_checkpoint_knows_what_it_has_seen(sweep, corpus, context) -> None:
    found = frequencies(sweep, corpus, context, copies="stream", until_step=0)
    assert found.counts[0, 0, 0] == STREAM.count([int(IDS[0, 0])], "stream", until=0)
    assert found.n_tokens == 128


def test_generated_tokens_are_counted_without_the_row_s_own_copies(sweep, corpus, context) -> None:
    found = frequencies(sweep, corpus, context, generated=("a", "sliding", 32))
    sequences = sweep.sequences.set_index("row")
    text = [*IDS[2, :32].tolist(), *sequences.loc[2, "generated_ids"].tolist()]
    for j in (3, 32, 40, 127):
        expected = STREAM.count(text[j - 1 : j + 1], "other", own=[2])
        assert found.counts[2, 1, j] == expected
    aligned = align(sweep, "a", frequencies=frequencies(sweep, corpus, context), generated=found, entropy=False)
    np.testing.assert_array_equal(aligned.of("frequency_1")[:, :32], aligned.of("frequency_1_generated")[:, :32])
    with pytest.raises(InputError, match="has not kept what a wrote at k = 8"):
        frequencies(sweep, corpus, context, generated=("a", "sliding", 8))
    with pytest.raises(InputError, match="not of a at k = 32"):
        align(sweep, "a", frequencies=found, entropy=False)


def test_an_anchored_context_begins_later(made_sweep, asked, corpus, context) -> None:
    sweep = made_sweep(
        ids=IDS, asked=[asked("a", np.ones((3, 32), bool), k=8, start=88, mode="anchored")], n_parameters={"a": 5}
    )
    found = frequencies(sweep, corpus, context)
    aligned = align(sweep, "a", k=8, mode="anchored", frequencies=found, entropy=False)
    np.testing.assert_array_equal(aligned.of("frequency_2"), found.of(2, np.arange(3))[:, 88:])
    assert aligned.match.all() and aligned.match.shape == (3, 32)


def test_strangers_are_named(sweep, corpus, context) -> None:
    found = frequencies(sweep, corpus, context, orders=(1,))
    with pytest.raises(InputError, match="row 7 were not counted"):
        found.of(1, np.array([0, 7]))
    with pytest.raises(InputError, match="counted are n = 1"):
        found.of(2, np.array([0]))


def test_entropies_come_in_their_places(made_sweep, asked) -> None:
    entropy = GENERATOR.random((3, 128)).astype(np.float32)
    match = GENERATOR.random((3, 96)) < 0.5
    found = made_sweep(ids=IDS, asked=[asked("a", match, entropy=entropy)], n_parameters={"a": 5})
    aligned = align(found, "a")
    np.testing.assert_array_equal(aligned.of("entropy_teacher_forced"), entropy)
    np.testing.assert_array_equal(aligned.match, match)
    kept = aligned.where(np.array([False, True, False]))
    assert kept.rows.tolist() == [1] and kept.of("entropy_free_running").shape == (1, 128)
    edges = align(found, "a", entropy=False).of("entropy_free_running")
    np.testing.assert_array_equal(edges[:, 31:33], entropy[:, 31:33])
    assert np.isnan(edges[:, :31]).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"k": 9}, "no rows of a at k = 9"), ({"m": 97}, "with m = 97"), ({}, "--positions")],
)
def test_what_the_sweep_lacks_is_named(sweep, options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        align(sweep, "a", **options)
