"""Hidden states of many rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memviz.records.arrays import expect

BEFORE_NORM = -1  # among layers: the last layer's state before the final norm


@dataclass(frozen=True)
class Points:
    """Reading states of n rows at s indices alone: what maps draw."""

    layers: np.ndarray
    """(l,) int32, as in `States`."""
    index: np.ndarray
    """(s,) int32, indices of the row."""
    hidden: np.ndarray
    """(n, s, l, d) float16; times `scale` it is the state after reading the token at the index."""
    scale: np.ndarray
    """(n, l) float32 powers of two, 1 unless float16 would overflow."""
    entropy: np.ndarray | None
    """(n, s) float32 nats, of the distribution that predicts the token at the index; NaN at index 0. None: not asked
    for, so that no output layer was needed."""

    def __post_init__(self) -> None:
        n = len(self.scale)
        expect(self, "hidden", (n, len(self.index), len(self.layers), np.shape(self.hidden)[-1]))
        expect(self, "scale", (n, len(self.layers)))
        if self.entropy is not None:
            expect(self, "entropy", (n, len(self.index)))

    def of_layer(self, layer: int) -> np.ndarray:
        """(n, s, d) float32 of one layer; only these leave float16."""
        at = int(np.flatnonzero(self.layers == layer)[0])
        return self.hidden[:, :, at].astype(np.float32) * self.scale[:, at, None, None]


@dataclass(frozen=True)
class States:
    """Reading states of n rows of p tokens, and how the model predicted each token: what maps and predictors read.

    2 l d bytes a token for the states, 12 for the rest. At index 0 nothing is predicted: floats are NaN.
    """

    layers: np.ndarray
    """(l,) int32: 0 is the embedding, the largest the last layer after the final norm, `BEFORE_NORM` before it."""
    hidden: np.ndarray
    """(n, p, l, d) float16; times `scale` it is the state after reading token j."""
    scale: np.ndarray
    """(n, l) float32 powers of two, 1 unless float16 would overflow."""
    entropy: np.ndarray
    """(n, p) float32 nats, of the distribution that predicts token j."""
    margin: np.ndarray
    """(n, p) float32 logit units, its top-1 minus top-2."""
    logprob: np.ndarray
    """(n, p) float32 nats, its log-probability of token j."""

    def __post_init__(self) -> None:
        shape = np.shape(self.entropy)
        for name in ("margin", "logprob"):
            expect(self, name, shape)
        expect(self, "hidden", (*shape, len(self.layers), np.shape(self.hidden)[-1]))
        expect(self, "scale", (shape[0], len(self.layers)))

    def of_layer(self, layer: int) -> np.ndarray:
        """(n, p, d) float32 reading states of one layer. Raises ValueError where it was not kept."""
        if layer not in self.layers:
            raise ValueError(f"layer {layer} was not kept; kept are {self.layers.tolist()}")
        place = int(np.flatnonzero(self.layers == layer)[0])
        return self.hidden[:, :, place].astype(np.float32) * self.scale[:, None, place, None]

    def rows(self, which: np.ndarray, first: int = 0) -> States:
        """Some of the rows, from index `first` on."""
        names = ("hidden", "entropy", "margin", "logprob")
        cut = {name: getattr(self, name)[which, first:] for name in names}
        return States(layers=self.layers, scale=self.scale[which], **cut)
