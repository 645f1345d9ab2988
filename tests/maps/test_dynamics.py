"""Decoding dynamics against loops over pairs, and the draws behind their intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.tasks import CPU

from memviz.errors import InputError
from memviz.maps import (
    GROUPS,
    MEASURES,
    PAIRS,
    STATES,
    VARIANTS,
    DynamicsTask,
    dynamics_table,
)
from memviz.maps import dynamics as module
from memviz.maps.dynamics import dynamics_of
from memviz.maps.gathering import KeptStates
from memviz.maps.pairs import course
from memviz.population.intervals import resampled_sums
from memviz.tasks.base import stored, task_from

RNG = np.random.default_rng(11)
N, S, D = 24, 4, 6
HIDDEN = RNG.normal(size=(2, S, N, D)).astype(np.float16)
SCALE = np.where(RNG.random((2, N)) < 0.2, 2.0, 1.0).astype(np.float32)
GROUP, LOOP = np.tile([0, 2, 1, 3, 0, 2], 4), np.repeat([0, 0, 1], 8)
HIDDEN[:, 1:, GROUP == 0] += 1


@pytest.fixture(scope="module")
def found():
    return dynamics_of(KeptStates(HIDDEN, SCALE), 2 * GROUP + LOOP, np.arange(N), 99)


def states(a: int, s: int) -> np.ndarray:
    return HIDDEN[a, s].astype(np.float64) * SCALE[a, :, None]


def inside(variant: str, group: str) -> np.ndarray:
    chosen = np.ones(N, bool) if group == "all" else GROUPS.index(group) == GROUP
    return chosen & {"all": LOOP >= 0, "without loops": LOOP == 0, "loops": LOOP == 1}[variant]


def by_loop(points: np.ndarray, variant: str, pair: tuple[str, str], weights: np.ndarray) -> dict[str, float]:
    """Weighted means over pairs of different rows, one pair at a time."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    centred = points - points.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)

    def mean(of, variant: str, groups: tuple[str, str]) -> float:
        a, b = (inside(variant, group) for group in groups)
        pairs = [(i, j) for i, j in itertools.permutations(range(N), 2) if a[i] and b[j]]
        both = [weights[i] * weights[j] for i, j in pairs]
        return float(np.average([of(i, j) for i, j in pairs], weights=both)) if sum(both) else float("nan")

    found = {}
    for name, of in (
        ("cosine", lambda i, j: unit[i] @ unit[j]),
        ("cosine_centred", lambda i, j: centred[i] @ centred[j]),
        ("distance", lambda i, j: np.linalg.norm(points[i] - points[j])),
    ):
        found[name] = mean(of, variant, pair)
        if name != "cosine_centred":
            found[f"{name}_ratio"] = found[name] / mean(of, "all", ("all", "all"))
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pair", [("memorized",) * 2, ("memorized", "unmemorized"), ("all", "all")])
def test_means_are_those_of_a_loop_over_pairs(found, variant: str, pair: tuple[str, str]) -> None:
    v, q = VARIANTS.index(variant), PAIRS.index(pair)
    for a, s in ((0, 0), (1, 2)):
        expected = by_loop(states(a, s), variant, pair, np.ones(N))
        got = {name: found.value[u, a, v, q, s] for u, name in enumerate(MEASURES)}
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True)


def test_draws_are_means_over_steps_of_resampled_rows(found) -> None:
    u, q = MEASURES.index("cosine"), PAIRS.index(("memorized", "unmemorized"))
    drawn = resampled_sums(np.eye(N), np.arange(N), 1000, 0)
    for line in (0, 7, 500):
        weights = np.ones(N) if not line else drawn[line - 1]
        steps = [by_loop(states(0, s), "all", PAIRS[q], weights)["cosine"] for s in range(1, S)]
        assert found.over_steps[line, u, 0, q] == pytest.approx(np.mean(steps), abs=1e-5)
    u = MEASURES.index("distance")
    ends = np.quantile([by_loop(states(0, 2), "all", PAIRS[q], w)["distance"] for w in drawn[:60]], [0, 1])
    assert found.low[u, 0, 0, q, 2] < found.value[u, 0, 0, q, 2] < found.high[u, 0, 0, q, 2]
    assert ends[0] < found.value[u, 0, 0, q, 2] < ends[1]


def test_norms_and_numbers_of_rows(found) -> None:
    for v, variant in enumerate(VARIANTS):
        for g, group in enumerate((*GROUPS, "all")):
            rows = inside(variant, group)
            assert found.n_rows[v, g] == rows.sum()
            expected = np.linalg.norm(states(1, 3)[rows], axis=1).mean()
            assert found.norm[1, v, g, 3] == pytest.approx(expected, rel=1e-5)
    assert (found.n_passing, found.n_units, found.width) == (99, N, D)
    assert found.step.tolist() == [-1, 0, 1, 2]


def test_groups_that_were_moved_lie_apart_and_shuffled_ones_do_not(found) -> None:
    one = found.separation
    cosine = found.value[MEASURES.index("cosine"), 0, 0, :, 1:].mean(axis=1)
    within, others, between = (cosine[PAIRS.index(p)] for p in (PAIRS[0], PAIRS[2], PAIRS[4]))
    assert one.apart[0, 0] == pytest.approx((within + others) / 2 - between, abs=1e-5)
    assert one.apart[0, 0] > np.quantile(one.apart_null[:, 0], 0.999)
    assert abs(one.apart_null[:, 0].mean()) < 0.02
    curves = found.value[MEASURES.index("cosine"), 0, 0, :, 1:]
    difference = curves[0] - curves[2]
    assert one.course[0, 0] == pytest.approx(difference.std(), abs=1e-5) and one.course_null.shape == (1000, 3)


def test_parallel_courses_do_not_differ() -> None:
    rising = np.array([0.1, 0.2, 0.4])
    assert course((rising + 0.3) - rising) == pytest.approx(0)
    assert course(np.array([1.0, -1.0])) == pytest.approx(1)


def test_table_has_a_line_for_everything(found) -> None:
    table = dynamics_table(found)
    n_lines = len(MEASURES) * len(STATES) * len(VARIANTS) * len(PAIRS) + len(STATES) * len(VARIANTS) * 4
    assert len(table) == n_lines * S
    line = table[(table["measure"] == "distance") & (table["state"] == STATES[1]) & (table["step"] == 2)]
    line = line[(line["variant"] == "loops") & (line["a"] == "memorized") & (line["b"] == "unmemorized")]
    assert line["value"].item() == found.value[2, 1, 2, 4, 3]
    assert (line["n_a"].item(), line["n_b"].item()) == (found.n_rows[2, 0], found.n_rows[2, 2])


def test_a_tiny_models_dynamics_are_kept(swept, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, _, scope = swept
    task = DynamicsTask("tiny", scope)
    assert task_from(task.request()) == task
    seen: list[tuple[int, int]] = []
    key, found, was_stored = lab.answer(task, report=lambda *pair: seen.append(pair))
    assert not was_stored and key == task.key([], CPU) and seen[-1] == (9, 9)
    assert found.n_rows[0, 3] == 40 and found.width == 32 and len(found.step) == 9
    again = stored(task, lab.context())
    assert again is not None
    np.testing.assert_array_equal(again.value, found.value)
    assert found.norm[0, 0, 3, 0] != pytest.approx(found.norm[1, 0, 3, 0])  # before the norm, and after it
    with pytest.raises(InputError, match="at most 3,000 are compared"):
        DynamicsTask("tiny", type(scope)(scope.folder, n_rows=module.MOST_ROWS + 1))
