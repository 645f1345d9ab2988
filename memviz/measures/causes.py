"""What made a recitation come out: the context's tokens, the heads, the states, what each layer wrote. Arrays only.

Throughout, k context tokens without leading ones, m continuation tokens, p tokens of the whole row with leading ones.
A match is a position whose argmax, after context and truth, is the true token: leading matches are what greedy decoding
reproduces, for up to there it reads the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS_RESTORED = ("state", "attention", "mlp")
"""What noise recovery restores, in the order of its axis."""


ADD_UP, APART, NONE = "add up", "do not add up", "none"
"""What an examination finds of a model's attention heads."""


def why_no_heads(model: str, said: str | None) -> str | None:
    """Why no head of a model can be silenced, by what was found of them; None where they can, or nothing was found."""
    if said == NONE:
        return f"{model} has no attention heads that memviz can find, so none can be silenced"
    if said == APART:
        return (
            f"the attention heads of {model} do not add up to what their layer gives, so silencing one would be "
            "silencing something else"
        )
    return None


def prefix(match: np.ndarray) -> np.ndarray:
    """Leading matches (...) int64 of (..., m)."""
    return np.logical_and.accumulate(match, axis=-1).sum(axis=-1)


@dataclass(frozen=True)
class Occlusion:
    """Each context token replaced or dropped in turn, and the least of the context that keeps the recitation."""

    true_ids: np.ndarray
    """(m,) int64."""
    whole_logprob: np.ndarray
    """(m,) float32 nats of the true tokens, nothing changed."""
    whole_match: np.ndarray
    """(m,) bool."""
    replaced_logprob: np.ndarray
    """(k, S, m) float32, with S other tokens in the place of each."""
    replaced_match: np.ndarray
    """(k, S, m) bool."""
    dropped_logprob: np.ndarray
    """(k, m) float32, the row shorter by one token; NaN for an only token."""
    dropped_match: np.ndarray
    """(k, m) bool."""
    kept: np.ndarray
    """(k,) bool, the tokens that were left when dropping any more, in the order tried, shortened the prefix."""

    def __post_init__(self) -> None:
        k, _, m = self.replaced_logprob.shape
        for name, shape in (("dropped_logprob", (k, m)), ("whole_logprob", (m,)), ("kept", (k,))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"Occlusion.{name}: got shape {getattr(self, name).shape}, expected {shape}")

    def drop(self, way: str) -> np.ndarray:
        """(k, m) fall of log p(true) in nats, mean over the S tokens where `way` is "replaced"."""
        changed = self.replaced_logprob.mean(axis=1, dtype=np.float64) if way == "replaced" else self.dropped_logprob
        return self.whole_logprob - changed

    def probability(self, way: str) -> np.ndarray:
        """(k, m) p(true) with each token changed, mean over the S tokens where `way` is "replaced"."""
        if way == "replaced":
            return np.exp(self.replaced_logprob, dtype=np.float64).mean(axis=1)
        return np.exp(self.dropped_logprob, dtype=np.float64)

    def prefix_drop(self, way: str) -> np.ndarray:
        """(k,) fall of the number of leading matches, as `drop`."""
        changed = prefix(self.replaced_match).mean(axis=1) if way == "replaced" else prefix(self.dropped_match)
        return prefix(self.whole_match) - changed


@dataclass(frozen=True)
class Heads:
    """Every attention head silenced in turn, and several together; h heads of the blocks that have any, in order.

    A head is silenced at every position: its share of what the output projection is given becomes zero, or its own mean
    over the p positions of this row.
    """

    true_ids: np.ndarray
    """(m,) int64."""
    layer: np.ndarray
    """(h,) int32 from 1."""
    number: np.ndarray
    """(h,) int32 from 0, in its layer."""
    whole_logprob: np.ndarray
    """(m,) float32 nats."""
    whole_match: np.ndarray
    """(m,) bool."""
    zero_logprob: np.ndarray
    """(h, m) float32."""
    zero_match: np.ndarray
    """(h, m) bool."""
    mean_logprob: np.ndarray
    """(h, m) float32."""
    mean_match: np.ndarray
    """(h, m) bool."""
    n_silenced: np.ndarray
    """(c,) int32: heads set to zero together, 1, 2, 4, ... and all."""
    strongest_logprob: np.ndarray
    """(c, m) float32, those whose own silence costs most first."""
    strongest_match: np.ndarray
    """(c, m) bool."""
    random_logprob: np.ndarray
    """(c, r, m) float32, in r random orders."""
    random_match: np.ndarray
    """(c, r, m) bool."""
    attention: np.ndarray | None = None
    """(h, m, p) float16: of the position that predicts each continuation token, to every token; None: not given."""

    def drop(self, way: str) -> np.ndarray:
        """(h,) fall of mean log p(true) in nats a token; `way` is "zero" or "mean"."""
        return (self.whole_logprob - getattr(self, f"{way}_logprob")).mean(axis=1, dtype=np.float64)

    @property
    def n_for_half(self) -> int | None:
        """Heads silenced together, the strongest first, with which half of the leading matches are gone; None: never.

        One of `n_silenced`, so the first power of two that is enough.
        """
        whole = int(prefix(self.whole_match))
        gone = np.flatnonzero((prefix(self.strongest_match) <= whole / 2) & (whole > 0))
        return int(self.n_silenced[gone[0]]) if len(gone) else None

    def prefix_drop(self, way: str) -> np.ndarray:
        """(h,) fall of the number of leading matches."""
        return prefix(self.whole_match) - prefix(getattr(self, f"{way}_match"))


@dataclass(frozen=True)
class Recovery:
    """Context embeddings with noise, and one state restored at a time. Meng et al. 2022 (causal tracing), by layer."""

    true_ids: np.ndarray
    """(m,) int64."""
    whole_logprob: np.ndarray
    """(m,) float32 nats without noise."""
    noisy_logprob: np.ndarray
    """(r, m) float32, one row a draw of noise."""
    restored_logprob: np.ndarray
    """(kinds, layers, k, m) float32, mean over the draws; kinds as `KINDS_RESTORED`, layers from 1. NaN: not known."""

    @property
    def share(self) -> np.ndarray:
        """(kinds, layers, k) of the fall of mean log p(true) that comes back; NaN where the noise cost nothing."""
        noisy = float(self.noisy_logprob.mean(dtype=np.float64))
        lost = float(self.whole_logprob.mean(dtype=np.float64)) - noisy
        back = self.restored_logprob.mean(axis=-1, dtype=np.float64) - noisy
        return back / lost if lost > 0 else np.full(back.shape, np.nan)


@dataclass(frozen=True)
class Contributions:
    """What each layer added to the logit of the true token against the likeliest other one, read after the truth.

    The final norm is taken as linear at the scale it has there, so parts add up; `residual` is what they miss.
    """

    true_ids: np.ndarray
    """(m,) int64."""
    other_ids: np.ndarray
    """(m,) int64, the likeliest of the others at each position."""
    difference: np.ndarray
    """(m,) float32 logits: true minus other, as the model has it."""
    start: np.ndarray
    """(m,) float32, of the state that the first block is given."""
    layer: np.ndarray
    """(layers, m) float32, of all that a block added."""
    attention: np.ndarray
    """(layers, m) float32, of its attention; NaN where attention and the rest do not add up to what it added."""
    constant: np.ndarray
    """(m,) float32, of biases, and of what was added behind the last block."""

    @property
    def mlp(self) -> np.ndarray:
        """(layers, m) float32, of what is not attention."""
        return self.layer - self.attention

    @property
    def residual(self) -> np.ndarray:
        """(m,) float32 logits between the real difference and the sum of the parts."""
        return self.difference - (self.start + self.layer.sum(axis=0) + self.constant)
