"""One prompt under several models: what their traces say side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memviz.measures.score import first_divergence, longest_common_prefix, memorization_score
from memviz.records import Piece, Scores, Trace

Mode = Literal["free_running", "teacher_forced"]
Metric = Literal["p", "entropy"]


@dataclass(frozen=True)
class Ladder:
    """r models on one prompt of k + m tokens, all split alike."""

    true_ids: np.ndarray
    """(m,) int64."""
    shown_ids: dict[Mode, np.ndarray]
    """(r, m) int64: generated, or teacher-forced the most likely tokens."""
    logprob: dict[Mode, np.ndarray]
    """(r, m) float32 nats, of the true tokens."""
    entropy: dict[Mode, np.ndarray]
    """(r, k + m) float32 nats; NaN at index 0."""
    score: np.ndarray
    """(r,) memorization score M, free-running."""
    prefix: np.ndarray
    """(r,) tokens, longest common prefix."""
    divergence: np.ndarray
    """(r,) first position t that differs, -1 where none does."""

    @property
    def n_context(self) -> int:
        return self.entropy["free_running"].shape[1] - len(self.true_ids)

    def match(self, mode: Mode) -> np.ndarray:
        """(r, m) bool: the shown token is the true one."""
        return self.shown_ids[mode] == self.true_ids

    def apart(self, mode: Mode) -> np.ndarray:
        """(r, m) bool: free-running, after the row's first divergence, where its context is no longer the text."""
        t = np.arange(len(self.true_ids))
        later = (t > self.divergence[:, None]) & (self.divergence[:, None] >= 0)
        return later if mode == "free_running" else np.zeros_like(later)

    def values(self, mode: Mode, metric: Metric) -> np.ndarray:
        """(r, m): p(true), or the entropy in nats, at each position of the continuation."""
        return np.exp(self.logprob[mode]) if metric == "p" else self.entropy[mode][:, self.n_context :]

    def differences(self, mode: Mode, metric: Metric, baseline: int) -> np.ndarray:
        """(r, m): each row's values minus the baseline row's."""
        values = self.values(mode, metric)
        return values - values[baseline]

    def differing(self, mode: Mode) -> np.ndarray:
        """(m,) bool: positions at which not all rows show the same token."""
        shown = self.shown_ids[mode]
        return (shown != shown[:1]).any(axis=0)


def ladder_of(traces: Sequence[Trace]) -> Ladder:
    """Traces of one prompt, one a model. Raises ValueError where they are not of one prompt with truth."""
    first = traces[0]
    for trace in traces:
        if trace.continuation_ids is None or trace.free_running_true is None or trace.teacher_forced is None:
            raise ValueError("a trace without a true continuation cannot be compared: trace the prompt with one")
        for name in ("context_ids", "continuation_ids"):
            if not np.array_equal(getattr(trace, name), getattr(first, name)):
                raise ValueError(f"{name} differ between the traces: compare them by characters")
    after: dict[Mode, list[Scores | None]] = {
        "free_running": [trace.free_running for trace in traces],
        "teacher_forced": [trace.teacher_forced for trace in traces],
    }
    forced = after["teacher_forced"]
    true = [trace.free_running_true for trace in traces]
    context = np.concatenate([trace.context.entropy for trace in traces])
    return Ladder(
        true_ids=np.asarray(first.continuation_ids)[0],
        shown_ids={
            "free_running": np.concatenate([trace.generated_ids for trace in traces]),
            "teacher_forced": np.concatenate([scores.argmax_ids for scores in forced if scores]).astype(np.int64),
        },
        logprob={
            "free_running": np.concatenate([target.logprob for target in true if target]),
            "teacher_forced": np.concatenate([scores.logprob for scores in forced if scores]),
        },
        entropy={
            mode: np.concatenate([context, np.concatenate([s.entropy for s in scores if s])], axis=1)
            for mode, scores in after.items()
        },
        score=np.concatenate([memorization_score(trace) for trace in traces]),
        prefix=np.concatenate([longest_common_prefix(trace) for trace in traces]),
        divergence=np.concatenate([first_divergence(trace) for trace in traces]),
    )


def character_spans(pieces: Sequence[Piece]) -> np.ndarray:
    """(t, 2) int: the characters [start, stop) of which each token holds a byte; empty for a special token.

    A character whose bytes are spread over several tokens is in the span of each.
    """
    spans, n_begun = [], 0
    for piece in pieces:
        raw = b"" if piece.special else piece.raw
        starts = [byte & 0xC0 != 0x80 for byte in raw]  # UTF-8: 10xxxxxx goes on with a character
        goes_on = bool(raw) and not starts[0] and n_begun > 0
        spans.append((n_begun - goes_on, n_begun + sum(starts)))
        n_begun += sum(starts)
    return np.array(spans, np.int64).reshape(-1, 2)
