"""Maps of a tiny model's states."""

from __future__ import annotations

import numpy as np
import pytest

from memviz.engine.states import read_states
from memviz.maps import MapTask, map_key, map_task_from, stored_map
from memviz.records import BEFORE_NORM
from memviz.tasks import InputError


def test_points_are_the_states_of_the_very_tokens(swept) -> None:
    lab, _, scope = swept
    task = MapTask("tiny", scope, layer=1, steps=(3, -1))
    key, found, was_stored = task.run(lab.backend, lab.store, lambda *_: None, lambda _: None)
    assert not was_stored and found.steps == [-1, 3] and found.n_rows == 40
    rows = {row: ids for row, ids in zip(*_rows(swept), strict=True)}
    for point in range(0, len(found.row), 7):
        ids = rows[int(found.row[point])]
        written = ids[:8] + lab.generate("tiny", ids[:8], 8)
        states = read_states(lab.loaded("tiny"), np.array([written]), (1,)).of_layer(1)[0, 8 + found.step[point]]
        expected = found.basis.project(states[None])[0, :2]
        np.testing.assert_allclose(found.xy[point], expected, rtol=2e-3, atol=2e-3)
        assert found.hits[point] == sum(a == b for a, b in zip(written[8:], ids[8:16], strict=True))
        step = found.step[point]
        assert found.match[point] == (step < 0 or written[8 + step] == ids[8 + step])
    again = task.run(lab.backend, lab.store, lambda *_: None, lambda _: None)
    assert again[0] == key and again[2]
    np.testing.assert_array_equal(again[1].xy, found.xy)


def _rows(swept) -> tuple[list[int], list[list[int]]]:
    table = swept.sweep.rows
    return table["row"].tolist(), [list(map(int, ids)) for ids in table["ids"]]
