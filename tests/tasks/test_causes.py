"""The tasks of Causes: what they refuse, and that a stored request makes an equal one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memviz.errors import InputError
from memviz.tasks.base import task_from
from memviz.tasks.causes import ContributionsTask, HeadsTask, OcclusionTask, RecoveryTask

PROMPT: dict[str, Any] = {"model": "m", "context_ids": (1, 2, 3), "n_leading": 1, "continuation_ids": (4, 5)}
TASKS = (
    OcclusionTask(**PROMPT, dtype="float32", replacement_ids=(7, 8, 9, 6), seed=3),
    HeadsTask(**PROMPT, dtype="float32", seed=1),
    RecoveryTask(**PROMPT, dtype="float32", sigma=2.5, n_draws=4),
    ContributionsTask(**PROMPT, dtype="bfloat16"),
)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_a_stored_request_makes_an_equal_task(task: Any) -> None:
    again = task_from(json.loads(json.dumps(task.request())))
    assert again == task and again.hash == task.hash
    assert task.whole.context_ids == (1, 2, 3) and task.text_ids == (2, 3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: HeadsTask(**{**PROMPT, "n_leading": 3}, dtype="float32"), "leave at least 1 other"),
        (lambda: OcclusionTask(**PROMPT, dtype="float32", replacement_ids=(7, 8, 9)), "3 replacements are given for 2"),
        (lambda: OcclusionTask(**PROMPT, dtype="float32"), "0 replacements"),
        (lambda: RecoveryTask(**PROMPT, dtype="float32", sigma=0.0), "the noise is 0 deviations"),
        (lambda: RecoveryTask(**PROMPT, dtype="float32", sigma=float("nan")), "the noise is nan deviations"),
        (lambda: RecoveryTask(**PROMPT, dtype="float32", n_draws=0), "0 draws"),
        (lambda: ContributionsTask(**{**PROMPT, "continuation_ids": ()}, dtype="float32"), "0 tokens"),
        (lambda: ContributionsTask(**PROMPT, dtype="int8"), "dtype 'int8' is unknown"),
    ],
)
def test_what_is_of_no_use_is_refused(make: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()
