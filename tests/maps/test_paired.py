"""The same rows under two weights: cosines against loops over pairs, paired differences, which rows are meant."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.maps import PairedTask, Scope, paired_numbers, paired_tables
from memviz.maps.paired import paired_states
from memviz.population.intervals import resampled_sums

RNG = np.random.default_rng(5)
N, S = 20, 3
MEMORIZED = np.arange(N) < 8
BEFORE = RNG.normal(size=(S, N, 5)).astype(np.float32)
LATER = RNG.normal(size=(S, N, 7)).astype(np.float32)
LATER[1:, MEMORIZED, 0] += 4
ROWS = np.arange(100, 100 + N)


@pytest.fixture(scope="module")
def found():
    return paired_states(LATER, BEFORE, MEMORIZED, np.arange(N), ROWS)


def by_loop(points: np.ndarray, weights: np.ndarray) -> list[float]:
    """Mean cosine within memorized, within unmemorized, between."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    sums = {}
    for i, j in itertools.permutations(range(N), 2):
        kind = int(MEMORIZED[i]) + int(MEMORIZED[j])
        total, weight = sums.get(kind, (0.0, 0.0))
        both = weights[i] * weights[j]
        sums[kind] = (total + both * (unit[i] @ unit[j]), weight + both)
    return [sums[kind][0] / sums[kind][1] for kind in (2, 0, 1)]


def test_cosines_are_those_of_a_loop_over_pairs(found) -> None:
    for w, states in enumerate((LATER, BEFORE)):
        for s in range(S):
            assert found.value[w, :, s] == pytest.approx(by_loop(states[s], np.ones(N)), abs=1e-5)
    assert found.step.tolist() == [-1, 0, 1] and (found.low < found.value).all() and (found.value < found.high).all()


def test_both_weights_have_the_same_resamples(found) -> None:
    drawn = resampled_sums(np.eye(N), np.arange(N), 1000, 0)
    for line in (1, 400):
        expected = []
        for states in (LATER, BEFORE):
            each = [by_loop(states[s], drawn[line - 1]) for s in (1, 2)]
            expected.append(np.mean([(within + others) / 2 - between for within, others, between in each]))
        assert found.apart[line] == pytest.approx(expected, abs=1e-5)


def test_groups_that_reading_moved_apart_lie_farther_apart_than_before(found) -> None:
    numbers = paired_numbers(found).set_index("quantity")
    assert (numbers["low"] > 0).all()
    assert numbers["difference"].to_numpy() == pytest.approx((numbers["now"] - numbers["before"]).to_numpy(), abs=1e-6)
    same = paired_numbers(paired_states(LATER, LATER, MEMORIZED, np.arange(N), ROWS))
    assert same[["difference", "low", "high"]].to_numpy() == pytest.approx(np.zeros((2, 3)), abs=1e-6)


def test_tables_have_a_line_a_step_and_pair(found) -> None:
    tables = paired_tables(found, ("now", "then"))
    assert list(tables) == ["now", "then"] and len(tables["then"]) == 3 * S
    line = tables["then"].query("step == 1 and a == 'memorized' and b == 'unmemorized'")
    assert line["value"].item() == found.value[1, 2, 2] and (line["n_a"].item(), line["n_b"].item()) == (8, 12)


def test_rows_are_those_that_only_the_later_had_read(tmp_path: Path, monkeypatch, made_sweep, asked) -> None:
    hits = np.zeros((6, 32), bool)
    hits[[0, 1, 2]] = True
    hits[5, :9] = True  # of neither group
    ids = np.arange(6 * 128).reshape(6, 128)
    sweep = made_sweep(ids=ids, asked=[asked("end", hits), asked("mid", ~hits)], n_parameters={"end": 9, "mid": 9})
    for about, step in zip(sweep.manifest["models"], (10, 4), strict=True):
        about |= {"size": "s", "step": step}
    first = pd.Series({0: 2, 1: 5, 2: 6, 3: 7, 4: 8, 5: 9})  # the checkpoint of step 4 has read row 0 alone
    monkeypatch.setattr("memviz.maps.paired.first_steps", lambda data: first)
    monkeypatch.setattr(Scope, "sweep", lambda self: sweep)
    task = PairedTask(("end", "mid"), Scope(str(sweep.folder), free_running=False))
    later, before = task._chosen()
    assert later.rows.tolist() == before.rows.tolist() == [1, 2, 3, 4]
    assert later.group.tolist() == [0, 0, 2, 2]  # by the hits of the later weights
    first[[1, 2]] = 1
    with pytest.raises(InputError, match="0 are memorized and 2 unmemorized"):
        task._chosen()
    with pytest.raises(InputError, match="teacher-forced"):
        PairedTask(("end", "mid"), Scope(str(sweep.folder)))
