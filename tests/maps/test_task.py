"""Maps of a tiny model's states."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score
from support.tasks import CPU

from memviz.engine.states import read_states
from memviz.errors import InputError
from memviz.maps import MapTask, PlacedPoints, loops, place, spread_steps, table_of
from memviz.maps import task as maps
from memviz.maps.task import silhouettes
from memviz.records import BEFORE_NORM
from memviz.tasks.base import answer, stored, task_from


def test_points_are_the_states_of_the_very_tokens(swept) -> None:
    lab, _, scope = swept
    task = MapTask("tiny", scope, layer=1, steps=(3, -1))
    key, found, was_stored = lab.answer(task)
    assert not was_stored and found.steps == [-1, 3] and found.n_rows == 40
    rows = dict(zip(*_rows(swept), strict=True))
    for point in range(0, len(found.row), 7):
        ids = rows[int(found.row[point])]
        written = ids[:8] + lab.generate("tiny", ids[:8], 8)
        states = read_states(lab.loaded("tiny"), np.array([written]), (1,)).of_layer(1)[0, 8 + found.step[point]]
        expected = found.basis.project(states[None])[0, :2]
        np.testing.assert_allclose(found.xy[point], expected, rtol=2e-3, atol=2e-3)
        assert found.hits[point] == sum(a == b for a, b in zip(written[8:], ids[8:16], strict=True))
        step = found.step[point]
        assert found.match[point] == (step < 0 or written[8 + step] == ids[8 + step])
    again = lab.answer(task)
    assert again[0] == key and again[2]
    np.testing.assert_array_equal(again[1].xy, found.xy)


@pytest.mark.parametrize(
    ("name", "stage"), [("quality", "judging the map"), ("silhouettes", "comparing groups in full space")]
)
def test_a_job_reports_while_its_map_is_judged(swept, monkeypatch: pytest.MonkeyPatch, name: str, stage: str) -> None:
    lab, _, scope = swept
    said, told, judged = [], threading.Event(), getattr(maps, name)

    def slow(*given: object) -> object:
        assert told.wait(20), "nobody was told meanwhile"
        return judged(*given)

    def report(done: int, total: int) -> None:
        if said[-1] == stage:
            told.set()

    monkeypatch.setattr(maps, name, slow)
    task = MapTask("tiny", replace(scope, n_rows=9, seed=len(name)), steps=(0, 2))
    assert not lab.answer(task, report=report, say=said.append)[2]


def _rows(swept) -> tuple[list[int], list[list[int]]]:
    table = swept.sweep.rows
    return table["row"].tolist(), [list(map(int, ids)) for ids in table["ids"]]


def test_rows_are_the_same_for_every_model_and_follow_the_seed(swept) -> None:
    lab, _, scope = swept
    some = replace(scope, n_rows=10)
    rows = {}
    for model, seed in (("tiny", 0), ("twin", 0), ("tiny", 1)):
        _, found, _ = lab.answer(MapTask(model, replace(some, seed=seed), steps=(0, 1)))
        rows[model, seed] = found.row[:10].tolist()
        assert found.n_rows == 10 and int(found.n_passing) == 40
    assert rows["tiny", 0] == rows["twin", 0] != rows["tiny", 1]


def test_a_request_makes_an_equal_task_and_its_key_needs_no_model(swept) -> None:
    lab, _, scope = swept
    task = MapTask("tiny", scope, BEFORE_NORM, (3, 1, 1), "umap", 4, 9)
    assert task_from(task.request(), MapTask) == task and task.steps == (1, 3)
    assert task.key([], CPU) == replace(task, scope=replace(scope)).key([], CPU)
    changed = [replace(task, layer=2), replace(task, seed=5), replace(task, model="twin"), replace(task, steps=(1,))]
    changed.append(replace(task, scope=replace(scope, free_running=False)))
    assert len({each.key([], CPU) for each in (task, *changed)}) == 6
    assert stored(task, lab.context()) is None
    assert MapTask("tiny", scope, seed=3) == MapTask("tiny", scope)  # PCA has nothing random
    with pytest.raises(InputError, match=r"cannot be read by this version of memviz \('scope'\)"):
        task_from({"task": "map", "model": "tiny"})


def test_silhouettes_are_those_of_full_space(swept) -> None:
    lab, sweep, scope = swept
    _, found, _ = lab.answer(MapTask("tiny", scope, steps=(0, 7)))
    table = table_of(found, sweep)
    at = (table["step"] == 7) & (table["group"] != "none")
    full = found.basis.project(_full(swept, found, at.to_numpy()))
    counts = table.loc[at, "group"].value_counts()
    at_least_two = table.loc[at, "group"].isin(counts[counts > 1].index).to_numpy()
    expected = silhouette_score(full[at_least_two], table.loc[at, "group"][at_least_two])
    assert found.silhouettes.value[1] == pytest.approx(expected, abs=1e-3)
    assert found.silhouettes.n[1] == at_least_two.sum()


def test_silhouettes_leave_near_duplicates_out_and_know_when_there_are_none() -> None:
    rng = np.random.default_rng(0)
    states, group = rng.normal(size=(2, 40, 3)), np.repeat([0, 2], 20)
    units = np.arange(40)
    units[[5, 9, 30]] = [2, 2, 25]
    found = silhouettes(states, np.array([0, 1]), group, units)
    once = np.setdiff1d(np.arange(40), [5, 9, 30])
    assert found.n.tolist() == [37, 37] and found.known
    expected = [silhouette_score(each[once], group[once]) for each in states]
    np.testing.assert_allclose(found.value, expected, atol=1e-6)
    assert not silhouettes(states, np.array([0, 1]), np.zeros(40, int), units).known


def test_loops_are_generations_that_end_in_copies() -> None:
    tokens = np.array([[1, 2, 3, 4, 5, 4, 5, 4], [1, 2, 3, 4, 5, 6, 7, 8], [9] * 8])
    assert loops(tokens).tolist() == [True, False, True]
    assert loops(np.zeros((3, 1), int)).tolist() == [False] * 3


def test_other_weights_are_refused(swept) -> None:
    lab, sweep, scope = swept
    moved = lab.folder / "moved"
    shutil.copytree(sweep.folder, moved)
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["models"][0]["weights"] = "another"
    (moved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="tiny has other weights than when"):
        lab.answer(MapTask("tiny", replace(scope, folder=str(moved))))


def test_cancelling_stops_while_states_are_read(swept) -> None:
    lab, _, scope = swept

    class GivenUp(Exception):
        pass

    def give_up(done: int, total: int) -> None:
        raise GivenUp

    task = MapTask("twin", scope, layer=0, steps=(5,))
    with pytest.raises(GivenUp):
        lab.answer(task, report=give_up)
    assert stored(task, lab.context()) is None


def test_points_are_shown_as_they_are_read(swept, monkeypatch) -> None:
    monkeypatch.setattr("memviz.sweeps.states.FEW", 16)
    lab, sweep, scope = swept
    shown: list[PlacedPoints] = []
    task = MapTask("tiny", replace(scope, seed=7), layer=1, steps=(0, 7))
    found = answer(task, replace(lab.context(), show=shown.append)).result
    assert [each.n_rows for each in shown] == [16, 32, 40]
    whole = table_of(found, sweep).set_index(["row", "step"])
    for each in shown:
        part = table_of(each, sweep).set_index(["row", "step"])
        same = ["hits", "match", "entropy", "loop"]
        pd.testing.assert_frame_equal(part[same], whole.loc[part.index, same])
    first, second = (table_of(each, sweep).set_index(["row", "step"])[["x", "y"]] for each in shown[:2])
    np.testing.assert_allclose(second.loc[first.index], first, atol=1e-4)  # the axes stay while points come


def test_steps_are_spread_evenly() -> None:
    assert spread_steps(32) == (0, 4, 9, 13, 18, 22, 27, 31)
    assert spread_steps(3) == (0, 1, 2) and spread_steps(1) == (0,)


@pytest.mark.slow
def test_umap_keeps_its_points_when_others_come(swept) -> None:
    lab, _, scope = swept
    task = MapTask("tiny", scope, steps=(0, 7), reducer="umap", seed=1, n_neighbours=10)
    _, found, _ = lab.answer(task)
    assert not found.exact and found.reduced is not None
    again = stored(task, lab.context())
    assert again is not None
    states = _full(swept, found, found.step == 7)
    np.testing.assert_allclose(place(again, states), found.xy[found.step == 7], atol=0.2)
    np.testing.assert_array_equal(again.xy, found.xy)


def _full(swept, found, which: np.ndarray) -> np.ndarray:
    """Last layer's states of some points, one row at a time."""
    rows, parts = dict(zip(*_rows(swept), strict=True)), []
    for point in np.flatnonzero(which):
        context = rows[int(found.row[point])][:8]
        whole = np.array([context + swept.lab.generate("tiny", context, 8)])
        states = read_states(swept.lab.loaded("tiny"), whole, (2,)).of_layer(2)
        parts.append(states[0, 8 + found.step[point]])
    return np.stack(parts)
