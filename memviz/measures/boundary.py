"""The boundary effect: how a quantity jumps where the context ends and the continuation begins."""

from __future__ import annotations

from typing import Literal

import numpy as np

from memviz.measures.registry import measure, teacher_forced
from memviz.measures.score import CHEN
from memviz.records import Trace

WINDOW = 4
"""Indices averaged on either side of the boundary by the windowed measures."""


def boundary_effect(context: np.ndarray, continuation: np.ndarray, window: int = 1) -> np.ndarray:
    """(n,): mean of (n, m) continuation over [k, k+window) minus mean of (n, k) context over [k-window, k).

    window = 1 is the value at index k minus that at k-1. In the unit of the values. NaN where either side is shorter
    than the window or holds NaN (index 0 has no distribution). Raises ValueError for a window below 1.
    """
    if window < 1:
        raise ValueError(f"window: got {window}, expected at least 1 index on either side of the boundary")
    if min(context.shape[1], continuation.shape[1]) < window:
        return np.full(len(context), np.nan)
    before = context[:, -window:].mean(axis=1, dtype=np.float64)
    return continuation[:, :window].mean(axis=1, dtype=np.float64) - before


def entropy_curve(trace: Trace, mode: Literal["free_running", "teacher_forced"]) -> np.ndarray:
    """(n, k+m) nats: entropy at every index of the row, NaN at index 0. Raises ValueError for a mode without scores."""
    scores = teacher_forced(trace) if mode == "teacher_forced" else trace.free_running
    return np.concatenate([trace.context.entropy, scores.entropy], axis=1)


@measure("entropy_jump", label="Entropy jump", unit="nats", source=CHEN, needs_truth=False)
def entropy_jump(trace: Trace) -> np.ndarray:
    """Entropy at index k (the first continuation token) minus entropy at index k-1 (the last context token).

    Free-running and teacher-forced agree there: both have read the context only. Undefined for a context of one token.
    """
    return boundary_effect(trace.context.entropy, trace.free_running.entropy)


@measure(
    "entropy_jump_w4_free_running",
    label="Entropy jump, 4 tokens, free-running",
    unit="nats",
    source=CHEN,
    needs_truth=False,
)
def entropy_jump_w4_free_running(trace: Trace) -> np.ndarray:
    """Mean entropy of the first four continuation indices minus that of the last four context indices, the model
    reading its own output. Undefined below five context or four continuation tokens.
    """
    return boundary_effect(trace.context.entropy, trace.free_running.entropy, WINDOW)


@measure("entropy_jump_w4_teacher_forced", label="Entropy jump, 4 tokens, teacher-forced", unit="nats", source=CHEN)
def entropy_jump_w4_teacher_forced(trace: Trace) -> np.ndarray:
    """Mean entropy of the first four continuation indices minus that of the last four context indices, the model
    reading the truth. Undefined below five context or four continuation tokens.
    """
    return boundary_effect(trace.context.entropy, teacher_forced(trace).entropy, WINDOW)
