"""A short job runs in the breaks of a long one, on the same model: neither changes a number of the other."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB

from memviz.engine.fixed import Steps
from memviz.engine.loading import Loaded
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts, to_arrays


def same(one: Any, other: Any) -> None:
    first, second = to_arrays(one), to_arrays(other)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.parametrize("steps", ["dynamic", "fixed"])
def test_a_trace_in_every_report_of_another_job(family: Loaded, steps: Steps) -> None:
    rng = np.random.default_rng(3)
    rows, another, one = (Prompts(rng.integers(0, VOCAB, (n, 9)), rng.integers(0, VOCAB, (n, 7))) for n in (5, 1, 1))
    sweep = partial(survey, family, rows, 1e-4, steps=steps)
    long, short = (partial(trace, family, each, 7, Decoding(), 1e-4, steps=steps) for each in (another, one))
    alone, before = short(), torch.get_rng_state()
    for job in (sweep, long):
        within: list[Any] = []

        def report(done: int, total: int, found: list[Any] = within) -> None:
            thread = threading.Thread(target=lambda: found.append(short()))
            thread.start()
            thread.join()

        same(job(report=report), job())
        assert len(within) > 3 and torch.equal(torch.get_rng_state(), before)
        for found in within:
            same(found, alone)
