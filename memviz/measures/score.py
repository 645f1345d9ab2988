"""Generated against true tokens, position by position: the memorization score and what goes with it."""

from __future__ import annotations

import numpy as np

from memviz.measures.registry import measure, true_ids
from memviz.records import Trace

CHEN = "Chen, Han and Miyao 2024, arXiv 2405.11577"

LEVELS = ("very low", "low", "medium", "high", "very high")
"""Names of the levels [0,.2), [.2,.4), [.4,.6), [.6,.8), [.8,1] of the memorization score."""

RESYNC_RUN = 3
"""Matches in a row that count as re-synchronised; one or two alone are often frequent tokens met by chance."""


def hits(trace: Trace) -> np.ndarray:
    """(n, m) bool: the generated token equals the true one. Raises ValueError without truth."""
    return trace.generated_ids == true_ids(trace)


def level_of(n_hits: np.ndarray | int, n_positions: int) -> np.ndarray:
    """Level 0..4 (see `LEVELS`) for a number of hits among n_positions, in integers so that no border is rounded."""
    return np.minimum(4, 5 * np.asarray(n_hits) // n_positions)


def first_divergence(trace: Trace) -> np.ndarray:
    """(n,) int: first position where generated and true tokens differ, -1 where none does."""
    miss = ~hits(trace)
    return np.where(miss.any(axis=1), miss.argmax(axis=1), -1)


def memorized_run(trace: Trace) -> np.ndarray:
    """(n, 2) int: the positions [start, stop) reproduced from the start; start is 0, stop the longest common prefix."""
    first = first_divergence(trace)
    stop = np.where(first < 0, trace.n_continuation, first)
    return np.stack([np.zeros_like(stop), stop], axis=1)


def resynchronisation(trace: Trace, run: int = RESYNC_RUN) -> np.ndarray:
    """(n,) int: after the first divergence, the first position that starts `run` matches in a row; -1 where none does.

    Position by position: a passage reproduced with a shift does not count. Free-running.
    """
    hit = hits(trace)
    m = hit.shape[1]
    if run < 1:
        raise ValueError(f"run: got {run}, expected at least 1 match in a row")
    if run > m:
        return np.full(len(hit), -1)
    starts = np.lib.stride_tricks.sliding_window_view(hit, run, axis=1).all(axis=2)
    first = first_divergence(trace)
    starts &= (np.arange(m - run + 1) > first[:, None]) & (first >= 0)[:, None]
    return np.where(starts.any(axis=1), starts.argmax(axis=1), -1)


def _or_nan(positions: np.ndarray) -> np.ndarray:
    return np.where(positions < 0, np.nan, positions)


@measure("memorization_score", label="Memorization score M", unit="share", source=CHEN)
def memorization_score(trace: Trace) -> np.ndarray:
    """Share of continuation positions at which the generated token equals the true one; matches after a miss count.

    0 to 1. Under greedy decoding M = 1 is "memorized" (k-extractable) and M = 0 "unmemorized".
    """
    return hits(trace).mean(axis=1)


@measure("level", label="Level", unit="level", source=CHEN)
def level(trace: Trace) -> np.ndarray:
    """Fifth of the memorization score: 0 very low [0,.2), 1 low, 2 medium [.4,.6), 3 high, 4 very high [.8,1]."""
    return level_of(hits(trace).sum(axis=1), trace.n_continuation)


@measure("longest_common_prefix", label="Longest common prefix", unit="tokens", source="memviz")
def longest_common_prefix(trace: Trace) -> np.ndarray:
    """Number of tokens reproduced from the first on, before the first difference; m where there is none."""
    return memorized_run(trace)[:, 1]


@measure("first_divergence", label="First divergence", unit="position", source="memviz")
def first_divergence_or_nan(trace: Trace) -> np.ndarray:
    """First position t (from 0) at which the generated token differs from the true one; undefined where none does."""
    return _or_nan(first_divergence(trace))


@measure("resynchronisation", label="Re-synchronised at", unit="position", source="memviz")
def resynchronisation_or_nan(trace: Trace) -> np.ndarray:
    """After the first divergence, the first position t that starts three matches in a row; undefined where none does.

    Position by position: text reproduced with a shift does not count.
    """
    return _or_nan(resynchronisation(trace))


@measure("hits_after_divergence", label="Matches after divergence", unit="tokens", source="memviz")
def hits_after_divergence(trace: Trace) -> np.ndarray:
    """Number of matching positions after the first divergence: what the score counts beyond the common prefix."""
    return hits(trace).sum(axis=1) - longest_common_prefix(trace)


@measure("n_fragile", label="Fragile positions", unit="tokens", source="memviz", needs_truth=False)
def n_fragile(trace: Trace) -> np.ndarray:
    """Generated positions whose margin (top-1 minus top-2 logit) is below twice the numerical noise of this model,
    dtype and device: computed another way, such a token, and all after it, may differ.
    """
    return trace.fragile.sum(axis=1)
