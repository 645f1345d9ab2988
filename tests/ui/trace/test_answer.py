"""The Trace page's sentence, against traces by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.traces import small_trace

from memviz.measures import compute_all
from memviz.records import Decoding, Run, Trace
from memviz.tasks.trace import TraceTask
from memviz.ui.trace.answer import answer_of


def said(trace: Trace, **asked: Any) -> str:
    truth = None if trace.continuation_ids is None else tuple(trace.continuation_ids[0].tolist())
    task = TraceTask("a_b", (0, 1), truth, trace.n_continuation, **asked)
    values = {
        name: float(found[0]) for name, found in compute_all(trace, None if truth is None else [b"a text"]).items()
    }
    return answer_of(Run(trace, {}), task, values)


def writing(*ids: int) -> Trace:
    """The small trace, whose truth is 2 3 4, with another generation and no near-tie."""
    return replace(small_trace(), generated_ids=np.array([ids]), logit_noise=np.float32(0))


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (writing(2, 3, 4), r"a\_b recites all 3 tokens of the text: M = 1.00."),
        (writing(3, 4, 2), r"a\_b recites none of the 3 tokens of the text: M = 0.00."),
        (
            writing(2, 4, 4),
            r"a\_b recites 1 token and leaves the text at index 3; 1 later token matches after that: M = 0.67.",
        ),
        (writing(3, 3, 4), r"a\_b leaves the text at once at index 2; 2 later tokens match after that: M = 0.67."),
        (writing(2, 4, 3), r"a\_b recites 1 token and leaves the text at index 3; none matches after that: M = 0.33."),
    ],
)
def test_it_says_where_the_model_leaves_the_text(trace: Trace, expected: str) -> None:
    assert said(trace) == expected


def test_a_near_tie_and_a_single_sample_are_hedged() -> None:
    assert "so near a tie that another machine may write it otherwise" in said(small_trace())  # margin .01, noise .01
    sampled = said(writing(2, 3, 4), decoding=Decoding(temperature=0.5, seed=3))
    assert sampled.endswith("M = 1.00 in this one sample.")


def test_without_a_truth_nothing_is_claimed() -> None:
    mean = (0.5 + 1.5 + 9) / 3
    assert said(small_trace(has_truth=False)).endswith(f"goes on with. Mean entropy {mean:.2f} nats.")
