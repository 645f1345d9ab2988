"""A context changed: kept only in part, with tokens dropped, replaced or put in front, and what is still reproduced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Operation = Literal["suffix", "drop", "replace", "prepend"]
MAX_SCANNED = 128
"""Variants of one scan; of a longer context, evenly spaced ones."""


@dataclass(frozen=True)
class Variant:
    """One changed context."""

    at: int
    """suffix: tokens kept; prepend: tokens put in front; else index, in the text, of the first token changed."""
    context_ids: tuple[int, ...]


def variants(
    operation: Operation,
    context_ids: Sequence[int],
    n_leading: int = 0,
    width: int = 1,
    filler_ids: Sequence[int] = (),
    longest: int | None = None,
) -> list[Variant]:
    """Every changed context of one scan, by `at`; the leading tokens of the tokenizer stay in front of each.

    suffix keeps the last tokens; drop and replace change `width` tokens from each index on, prepend puts the first
    1, 2, 4, ... and all filler tokens in front. A filler shorter than the text is repeated in place. Contexts of more
    than `longest` tokens are left out. Raises ValueError where width or filler do not fit.
    """
    leading, text = tuple(context_ids[:n_leading]), tuple(context_ids[n_leading:])
    if operation in ("replace", "prepend") and not filler_ids:
        raise ValueError(f"{operation} needs tokens to put in: the filler has 0")
    if operation in ("drop", "replace") and not 1 <= width <= len(text):
        raise ValueError(f"{width} tokens cannot be changed at once: the context has {len(text)}")
    filler = tuple(filler_ids)
    found: list[Variant] = []
    if operation == "suffix":
        found = [Variant(n, leading + text[len(text) - n :]) for n in _spaced(0 if leading else 1, len(text))]
    elif operation == "prepend":
        sizes = sorted({2**i for i in range(len(filler).bit_length())} | {len(filler)})
        found = [Variant(n, leading + filler[:n] + text) for n in sizes if n <= len(filler)]
    else:
        repeated = (filler * (len(text) // max(1, len(filler)) + 1))[: len(text)]
        for start in _spaced(0, len(text) - width):
            put = repeated[start : start + width] if operation == "replace" else ()
            found.append(Variant(start, leading + text[:start] + put + text[start + width :]))
    return [one for one in found if one.context_ids and (longest is None or len(one.context_ids) <= longest)]


def _spaced(first: int, last: int) -> list[int]:
    """All whole numbers from first to last, or `MAX_SCANNED` evenly spaced ones with both ends."""
    n = last - first + 1
    return np.unique(np.linspace(first, last, min(n, MAX_SCANNED)).round().astype(int)).tolist()


def random_ids(allowed: Sequence[int], n: int, seed: int) -> tuple[int, ...]:
    """n ids drawn evenly, with repetition, from those allowed."""
    return tuple(np.random.default_rng(seed).choice(np.asarray(allowed, np.int64), n).tolist())


@dataclass(frozen=True)
class Perturbed:
    """What a model wrote after v changed contexts, greedily, and how likely the true continuation was after each."""

    at: np.ndarray
    """(v,) int64, as in `Variant`."""
    generated_ids: np.ndarray
    """(v, m) int32."""
    logprob: np.ndarray
    """(v, m) float32 nats, of the true tokens, teacher-forced."""
    true_ids: np.ndarray
    """(m,) int64."""
    whole_ids: np.ndarray
    """(m,) int32, generated after the unchanged context."""
    whole_logprob: np.ndarray
    """(m,) float32 nats, after the unchanged context."""

    @property
    def score(self) -> np.ndarray:
        """(v,) memorization score M of each variant."""
        return (self.generated_ids == self.true_ids).mean(axis=1)

    @property
    def whole_score(self) -> float:
        """M with the unchanged context."""
        return float((self.whole_ids == self.true_ids).mean())

    @property
    def mean_logprob(self) -> np.ndarray:
        """(v,) nats a token."""
        return self.logprob.mean(axis=1, dtype=np.float64)


def shortest(at: np.ndarray, score: np.ndarray, goal: float) -> tuple[int | None, np.ndarray]:
    """The least number of tokens kept that reaches the goal, and the greater ones scanned that do not.

    Reaching it is not monotone in the length, so nothing is inferred between or beyond what was scanned.
    """
    reached = score >= goal
    if not reached.any():
        return None, np.zeros(0, np.int64)
    least = int(at[reached].min())
    return least, at[(at > least) & ~reached]
