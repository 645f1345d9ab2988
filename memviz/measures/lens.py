"""What every layer would say through the model's own last steps (the logit lens), and from where on it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_LISTED = 5
"""Tokens kept a cell, the likeliest ones."""
NEVER = -1


@dataclass(frozen=True)
class LensScores:
    """What each layer's state says of m positions of one row; layer 0 is the embedding, the last one the model itself.

    nostalgebraist 2020, "interpreting GPT: the logit lens". Position t is the token being predicted.
    """

    rank: np.ndarray
    """(l, m) int32 from 1, of the true token; ties go to the lowest id."""
    logprob: np.ndarray
    """(l, m) float32 nats, of the true token."""
    entropy: np.ndarray
    """(l, m) float32 nats, over the whole vocabulary."""
    top_ids: np.ndarray
    """(l, m, K) int32 by falling probability, then rising id; the first is the argmax."""
    top_logprobs: np.ndarray
    """(l, m, K) float32 nats."""

    def __post_init__(self) -> None:
        shape = self.rank.shape
        for name in ("logprob", "entropy", "top_ids", "top_logprobs"):
            if getattr(self, name).shape[:2] != shape:
                raise ValueError(f"LensScores.{name}: got shape {getattr(self, name).shape}, expected {shape} in front")

    @property
    def probability(self) -> np.ndarray:
        """(l, m) float32 of the true token."""
        return np.exp(self.logprob)

    @property
    def commit(self) -> np.ndarray:
        """(m,) int64 commit layer of each position, `NEVER` where the last layer is wrong."""
        return commit_layers(self.rank == 1)

    @property
    def depth(self) -> np.ndarray:
        """(l,) relative depth of the layers: 0 is the embedding, 1 the last layer."""
        return np.arange(len(self.rank)) / max(1, len(self.rank) - 1)


@dataclass(frozen=True)
class LensReading:
    """Both ways of reading one prompt: m positions, l layers; targets are the true tokens in both."""

    true_ids: np.ndarray
    """(m,) int64."""
    generated_ids: np.ndarray
    """(m,) int64, greedily."""
    teacher_forced: LensScores
    """The model reads context and truth."""
    free_running: LensScores
    """The model reads context and what it generated; its last layer's argmax is the generated token."""


def commit_layers(right: np.ndarray) -> np.ndarray:
    """(m,) int64: first layer from which `right` (l, m) holds up to the last one; `NEVER` where the last is wrong."""
    held = np.logical_and.accumulate(right[::-1], axis=0).sum(axis=0)
    return np.where(held > 0, len(right) - held, NEVER)
