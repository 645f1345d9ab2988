"""Traces made by hand from small arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from memviz.records import Scores, Target, Trace


def make_scores(logprob: Any, **given: Any) -> Scores:
    """Scores of (n, p) log-probabilities; every other field is a plain filler unless given."""
    logprob = np.asarray(logprob, dtype=np.float32)
    shape = logprob.shape
    filler: dict[str, Any] = {
        "logit": logprob,
        "rank": np.ones(shape, np.int32),
        "entropy": np.ones(shape, np.float32),
        "second_moment": np.full(shape, 2, np.float32),
        "margin": np.ones(shape, np.float32),
        "argmax_ids": np.zeros(shape, np.int32),
        "top_ids": np.zeros((*shape, 2), np.int32),
        "top_logprobs": np.full((*shape, 2), -1, np.float32),
    }
    filler |= {name: np.asarray(value) for name, value in given.items()}
    return Scores(logprob=logprob, **filler)


def make_trace(
    generated: Any,
    true: Any = None,
    *,
    k: int = 3,
    context_entropy: Any = None,
    free_running: dict[str, Any] | None = None,
    teacher_forced: dict[str, Any] | None = None,
    logit_noise: float = 0.0,
) -> Trace:
    """A trace of (n, m) generated and, unless None, true ids; scores are fillers unless given (see `make_scores`)."""
    generated_ids = np.asarray(generated, dtype=np.int64)
    n, m = generated_ids.shape
    true_ids = None if true is None else np.asarray(true, dtype=np.int64)
    entropy = np.ones((n, k), np.float32) if context_entropy is None else np.asarray(context_entropy, np.float32)
    entropy[:, 0] = np.nan
    ones = np.full((n, m), -1.0)
    return Trace(
        context_ids=np.zeros(entropy.shape, np.int64),
        continuation_ids=true_ids,
        generated_ids=generated_ids,
        context=make_scores(np.full(entropy.shape, -1.0), entropy=entropy),
        free_running=make_scores(**({"logprob": ones} | (free_running or {}))),
        free_running_true=None if true is None else Target(ones, ones, np.ones((n, m), np.int32)),
        teacher_forced=None if true is None else make_scores(**({"logprob": ones} | (teacher_forced or {}))),
        logit_noise=np.float32(logit_noise),
    )


@pytest.fixture(name="make_trace", scope="session")
def _make_trace() -> Callable[..., Trace]:
    return make_trace
