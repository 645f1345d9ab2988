"""Traces for the figures' tests and bench: one small by hand, and random ones of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from memviz.figures.linked import Marks, Pieces
from memviz.records import Piece, Scores, Target, Trace

WORDS = [" the", " of", ",", " people", "ility", "\n", " establish", " Constitution", " order", "ings", " to", "."]
NAN = float("nan")
TEXTS = ["<bos>", " a", " b", "c", "\n"]
"""Of the ids of `small_trace`."""
MARKS = Marks(first_divergence=3, resynchronised=4, change_points=(2,), memorized_end=3)
"""Its own."""


def text_piece(text: str) -> Piece:
    return Piece(text.encode(), False, text)


def scores(**fields: Any) -> Scores:
    """One row of scores from plain lists; the row axis is put in front."""
    kinds = {"rank": np.int32, "argmax_ids": np.int32, "top_ids": np.int32}
    return Scores(**{name: np.array([values], kinds.get(name, np.float32)) for name, values in fields.items()})


def small_trace(has_truth: bool = True) -> Trace:
    """k = 2, m = 3 over ids 0 to 4: truth 2 3 4, generated 2 4 4, so the divergence is at index 3, again right at 4."""
    context = scores(
        logit=[NAN, 1], logprob=[NAN, -0.5], rank=[0, 2], entropy=[NAN, 1.25], second_moment=[NAN, 1],
        margin=[NAN, 0.75], argmax_ids=[-1, 3], top_ids=[[-1, -1], [3, 1]], top_logprobs=[[NAN, NAN], [-0.25, -0.5]],
    )  # fmt: skip
    free = scores(
        logit=[3, 2, 1], logprob=[-0.125, -0.75, -0.25], rank=[1, 1, 1], entropy=[0.5, 1.5, 9], second_moment=[1, 1, 1],
        margin=[4, 0.01, 2], argmax_ids=[2, 4, 4], top_ids=[[2, 3], [4, 3], [4, 0]],
        top_logprobs=[[-0.125, -3], [-0.75, -1], [-0.25, -float("inf")]],
    )  # fmt: skip
    forced = scores(
        logit=[3, 2, 1], logprob=[-0.125, -1, -2], rank=[1, 2, 7], entropy=[0.5, 1.5, 2.5], second_moment=[1, 1, 1],
        margin=[4, 0.01, 3], argmax_ids=[2, 4, 0], top_ids=[[2, 3], [4, 3], [0, 3]],
        top_logprobs=[[-0.125, -3], [-0.75, -1], [-0.5, -1.5]],
    )  # fmt: skip
    target = Target(
        np.array([[3, 1.75, 1]], np.float32),
        np.array([[-0.125, -1, -0.25]], np.float32),
        np.array([[1, 2, 1]], np.int32),
    )
    return Trace(
        context_ids=np.array([[0, 1]]),
        continuation_ids=np.array([[2, 3, 4]]) if has_truth else None,
        generated_ids=np.array([[2, 4, 4]]),
        context=context,
        free_running=free,
        free_running_true=target if has_truth else None,
        teacher_forced=forced if has_truth else None,
        logit_noise=np.float32(0.01),
    )


def random_trace(k: int, m: int, n_vocabulary: int = 4000, seed: int = 0) -> Trace:
    """A trace of the right shapes and plausible sizes; about four in five generated tokens are the true ones."""
    rng = np.random.default_rng(seed)

    def random_scores(ids: np.ndarray) -> Scores:
        p = len(ids)
        top_ids = (n_vocabulary ** rng.random((p, 64))).astype(int)  # a few tokens often, many seldom, as in text
        top_ids[:, 0] = ids
        surprisals = np.sort(rng.exponential(3, (p, 64)), axis=1)
        return scores(
            logit=rng.normal(size=p), logprob=-surprisals[:, 0], rank=np.ones(p), entropy=rng.exponential(1.2, p),
            second_moment=np.ones(p), margin=rng.exponential(2, p), argmax_ids=ids, top_ids=top_ids,
            top_logprobs=-surprisals,
        )  # fmt: skip

    context, true = rng.integers(0, n_vocabulary, k), rng.integers(0, n_vocabulary, m)
    generated = np.where(rng.random(m) < 0.8, true, rng.integers(0, n_vocabulary, m))
    free = random_scores(generated)
    return Trace(
        context_ids=context[None],
        continuation_ids=true[None],
        generated_ids=generated[None],
        context=random_scores(context),
        free_running=free,
        free_running_true=Target(free.logit, free.logprob, free.rank),
        teacher_forced=random_scores(true),
        logit_noise=np.float32(0.01),
    )


def pieces_of(trace: Trace, texts: Sequence[str] | None = None) -> Pieces:
    """Pieces for row 0: id i is texts[i], or one of WORDS with a number."""

    def piece(i: int) -> Piece:
        return text_piece(texts[i] if texts else WORDS[i % len(WORDS)] + (str(i) if i % 3 == 0 else ""))

    stretches = (trace.context, trace.free_running, trace.teacher_forced)
    tops = {int(i) for s in stretches if s is not None for i in s.top_ids[0].ravel() if i >= 0}
    pieces: Pieces = {
        "context": [piece(int(i)) for i in trace.context_ids[0]],
        "generated": [piece(int(i)) for i in trace.generated_ids[0]],
        "alternatives": {i: piece(i) for i in tops},
    }
    if trace.continuation_ids is not None:
        pieces["true"] = [piece(int(i)) for i in trace.continuation_ids[0]]
    return pieces
