"""Which tokens are context and which are truth, worked out by hand."""

from __future__ import annotations

import numpy as np

from memviz.sweeps import SweepTask
from memviz.sweeps.plan import Curve, Skipped, n_needed, plan


def conditions(task: SweepTask, lengths: dict[int, int]) -> dict[tuple[str, int], tuple[int, tuple[int, ...]]]:
    """(mode, k) -> start of the context, sizes of the continuation."""
    return {(c.mode, c.k): (c.start, c.lengths) for c in plan(task, lengths).conditions}


def test_rows_of_128_take_every_size_of_the_defaults() -> None:
    task = SweepTask(("a",), context_modes=("sliding", "anchored"))
    assert n_needed(task) == 128
    assert conditions(task, {128: 10}) == {
        ("sliding", 8): (0, (32,)),
        ("sliding", 16): (0, (32,)),
        ("sliding", 32): (0, (16, 32, 48, 64, 96)),  # one decode for both curves
        ("sliding", 64): (0, (32,)),
        ("sliding", 96): (0, (32,)),
        # the target is tokens 96 to 127 throughout, and the context grows to the left
        ("anchored", 8): (88, (32,)),
        ("anchored", 16): (80, (32,)),
        ("anchored", 32): (64, (32,)),
        ("anchored", 64): (32, (32,)),
        ("anchored", 96): (0, (32,)),
    }
    found = plan(task, {128: 10})
    assert found.skipped == ()
    assert found.curves == (
        Curve("context_sliding", "sliding", (8, 16, 32, 64, 96), (32,), 10),
        Curve("context_anchored", "anchored", (8, 16, 32, 64, 96), (32,), 10),
        Curve("continuation", "sliding", (32,), (16, 32, 48, 64, 96), 10),
    )


def test_rows_of_100_skip_what_is_longer_and_anchor_at_the_largest_context_left() -> None:
    task = SweepTask(("a",), context_modes=("sliding", "anchored"))
    found = plan(task, {100: 7})
    assert found.skipped == (
        Skipped("sliding", 96, 32, 7),
        Skipped("anchored", 96, 32, 7),
        Skipped("sliding", 32, 96, 7),
    )
    assert conditions(task, {100: 7})[("anchored", 64)] == (0, (32,))  # target 64 to 95
    assert conditions(task, {100: 7})[("anchored", 8)] == (56, (32,))
    assert conditions(task, {100: 7})[("sliding", 32)] == (0, (16, 32, 48, 64))
    assert ("anchored", 96) not in conditions(task, {100: 7})


def test_a_curve_is_drawn_from_rows_long_enough_for_all_of_it() -> None:
    task = SweepTask(("a",), contexts=(4, 8), continuation_at=6, continuations=(4, 12), context_at=8)
    found = plan(task, {9: 3, 14: 5, 20: 2})
    by_name = {curve.name: curve for curve in found.curves}
    assert by_name["context_sliding"].n_rows == 7  # 8 + 6 = 14
    assert by_name["continuation"].n_rows == 2  # 8 + 12 = 20
    assert found.skipped == (
        Skipped("sliding", 4, 6, 3),  # 4 + 6 > 9
        Skipped("sliding", 8, 6, 3),
        Skipped("sliding", 8, 4, 3),  # 8 + 4 > 9
        Skipped("sliding", 8, 12, 8),
    )
    eight = next(c for c in found.conditions if c.k == 8)
    assert (eight.context_tokens, eight.continuation_tokens) == (14, 20)
    assert eight.lengths == (4, 6, 12)
    assert eight.longest(np.array([11, 12, 13, 14, 19, 20, 30])).tolist() == [0, 4, 4, 6, 6, 12, 12]


def test_rows_too_short_for_everything_leave_nothing() -> None:
    found = plan(SweepTask(("a",)), {20: 4})
    assert found.conditions == () and all(curve.n_rows == 0 for curve in found.curves)
    assert len(found.skipped) == 9  # 5 contexts and 5 continuations, (32, 32) once


def test_one_curve_alone() -> None:
    only_context = plan(SweepTask(("a",), continuations=()), {128: 1})
    assert [curve.name for curve in only_context.curves] == ["context_sliding"]
    assert all(c.continuation_tokens is None for c in only_context.conditions)
    only_continuation = plan(SweepTask(("a",), contexts=(), context_at=50, continuations=(50,)), {100: 1})
    assert [(c.k, c.lengths, c.context_tokens) for c in only_continuation.conditions] == [(50, (50,), None)]
