"""Maps side by side, trajectories, and the agreement of two models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from memviz.engine.tracing import trace
from memviz.errors import InputError
from memviz.maps import (
    MapTask,
    SimilarityTask,
    place,
    register,
    trajectory,
)
from memviz.measures.geometry import knn_overlap, linear_cka
from memviz.records import Decoding, Hidden, Prompts
from memviz.tasks.base import stored, task_from


def run(swept, task):
    return swept.lab.answer(task).result


@pytest.fixture(scope="module")
def found(swept):
    return run(swept, MapTask("tiny", swept.scope, steps=(-1, 0, 4, 7)))


def test_a_trajectory_is_the_engines_states(swept, found) -> None:
    lab = swept.lab
    ids = np.array([list(map(int, swept.sweep.rows["ids"].iloc[3]))[:16]], np.int64)
    run_of = trace(lab.loaded("tiny"), Prompts(ids[:, :8], ids[:, 8:]), 8, Decoding(), 0.0)
    assert run_of.hidden is not None
    path = trajectory(found, run_of.hidden)
    assert path.shape == (16, 2)
    with torch.inference_mode():
        whole = torch.from_numpy(np.concatenate([ids[:, :8], run_of.generated_ids], axis=1))
        plain = lab.loaded("tiny").model(whole, output_hidden_states=True).hidden_states[-1][0].numpy()
    np.testing.assert_allclose(path, found.basis.project(plain)[:, :2], atol=1e-3)
    row = int(swept.sweep.rows["row"].iloc[3])
    for step in (-1, 0, 4, 7):  # the row is on the map: its trajectory passes through its points
        (at,) = np.flatnonzero((found.row == row) & (found.step == step))
        np.testing.assert_allclose(path[8 + step], found.xy[at], atol=0.02)
    forced = trajectory(found, run_of.hidden, free_running=False)
    np.testing.assert_array_equal(forced[:8], path[:8])


def test_a_trajectory_needs_the_maps_layer_and_width(found) -> None:
    none = np.zeros((1, 2, 1, 32), np.float32)
    with pytest.raises(InputError, match="keeps layers 1, the map shows layer 2"):
        trajectory(found, Hidden(np.array([1]), none, none, None))
    with pytest.raises(InputError, match="no true continuation"):
        trajectory(found, Hidden(np.array([2]), none, none, None), free_running=False)
    with pytest.raises(InputError, match="width 5, the map's 32"):
        place(found, np.zeros((1, 5)))


def test_a_turned_map_is_turned_back_by_the_points_that_both_have(found) -> None:
    turn = np.array([[0, -2], [2, 0]], np.float32)
    some = found.step < 7
    values = {name: getattr(found, name)[some] for name in ("row", "step", "hits", "match", "entropy", "loop")}
    moved = replace(found, **values, xy=found.xy[some] @ turn + 1)
    registration = register(moved, found)
    assert registration.n == some.sum() and registration.residual == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(registration.apply(moved.xy), found.xy[some], atol=1e-3)
    other = replace(found, row=found.row + 1000)
    with pytest.raises(InputError, match="0 points are shared"):
        register(other, found)


def test_two_models_are_compared_on_the_same_rows(swept) -> None:
    task = SimilarityTask(("tiny", "twin"), swept.scope, steps=(0, 7))
    assert task_from(task.request()) == task
    found = run(swept, task)
    maps = [run(swept, MapTask(model, swept.scope, steps=(7,))) for model in task.models]
    np.testing.assert_array_equal(maps[0].row, maps[1].row)
    # all components kept: along them the rows lie as in full space
    a, b = (each.basis.project(_states(swept, model)) for each, model in zip(maps, task.models, strict=True))
    assert found.cka.value[1] == pytest.approx(linear_cka(a, b, 1).value, abs=1e-3)
    assert found.knn_overlap.value[1] == pytest.approx(knn_overlap(a, b, 15, 1).value, abs=0.02)
    assert int(found.n) == 40 and found.rsa.value.shape == (2,)
    assert stored(task, swept.lab.context()) is not None
    same = run(swept, SimilarityTask(("tiny", "tiny"), swept.scope, steps=(7,)))
    assert same.cka.value[0] == pytest.approx(1) and same.knn_ceiling[0] == pytest.approx(1)
    assert same.knn_overlap.value[0] == pytest.approx(1)
    assert same.cka.null_high[0] < 0.9


def _states(swept, model: str) -> np.ndarray:
    lab, parts = swept.lab, []
    for ids in swept.sweep.rows.sort_values("row")["ids"]:
        context = list(map(int, ids))[:8]
        whole = torch.tensor([context + lab.generate(model, context, 8)])
        with torch.inference_mode():
            parts.append(lab.loaded(model).model(whole, output_hidden_states=True).hidden_states[-1][0, -1].numpy())
    return np.stack(parts)
