"""Attention heads over many rows: which each row hangs on most, and whether rows hang on the same. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_DRAWS = 999
SHARE = 0.1
"""Of the heads of a model, those that count as a row's strongest; at least one."""


@dataclass(frozen=True)
class RowHeads:
    """Every head silenced in turn (zero) on n rows; h heads of the blocks that have any, in order."""

    rows: np.ndarray
    """(n,) int64 numbers in their source."""
    n_matches: np.ndarray
    """(n,) int32 of m, free-running."""
    m: np.ndarray
    """() int32."""
    layer: np.ndarray
    """(h,) int32 from 1."""
    number: np.ndarray
    """(h,) int32 from 0, in its layer."""
    whole_logprob: np.ndarray
    """(n,) float32 nats a true token, nothing silenced."""
    drop: np.ndarray
    """(n, h) float32, fall of it when a head is silenced."""

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.layer))
        if self.drop.shape != shape:
            raise ValueError(f"RowHeads.drop: got shape {self.drop.shape}, expected {shape}")

    @property
    def memorized(self) -> np.ndarray:
        """(n,) bool, M = 1; the others have M = 0."""
        return self.n_matches == self.m

    @property
    def n_strongest(self) -> int:
        return max(1, round(SHARE * len(self.layer)))


@dataclass(frozen=True)
class Overlap:
    """How many of their strongest heads two rows share, beside chance."""

    which: str
    value: float
    """Mean over pairs of rows of the share, 0 to 1; of `apart` a difference of such means."""
    low: float
    high: float
    """95 % of draws without what is asked about."""
    p: float
    """Share of draws, and the value itself, that are at least as large."""


def strongest(drop: np.ndarray, n_strongest: int) -> np.ndarray:
    """(n, h) bool, the heads whose silence costs a row most; ties go to the first."""
    order = np.argsort(-drop, axis=1, kind="stable")[:, :n_strongest]
    found = np.zeros(drop.shape, bool)
    np.put_along_axis(found, order, True, axis=1)
    return found


def shared(one: np.ndarray, other: np.ndarray | None = None) -> float:
    """Mean share of heads in common, of all pairs of rows (n, h) bool with equally many, or of pairs across two groups.

    NaN where there is no pair.
    """
    n, own = len(one), one.sum(axis=0, dtype=np.float64)
    if other is not None:
        pairs, common = n * len(other), float((own * other.sum(axis=0)).sum())
    else:
        pairs, common = n * (n - 1), float((own * (own - 1)).sum())
    return common / (pairs * int(one[0].sum())) if pairs else float("nan")


def overlaps(found: RowHeads, n_draws: int = N_DRAWS, seed: int = 0) -> list[Overlap]:
    """Within memorized rows, within unmemorized ones, across; then `apart`: the mean of the first two less the third.

    Chance of the first three: each row's strongest heads drawn anew among those of their layer, so that which layers
    matter is no finding. Chance of the last: which rows are memorized drawn anew.
    """
    rng, chosen = np.random.default_rng(seed), strongest(found.drop, found.n_strongest)
    layers = [np.flatnonzero(found.layer == each) for each in np.unique(found.layer)]

    def of(chosen: np.ndarray, memorized: np.ndarray) -> np.ndarray:
        one, other = chosen[memorized], chosen[~memorized]
        return np.array([shared(one), shared(other), shared(one, other)])

    def apart(values: np.ndarray) -> float:
        return float(values[:2].mean() - values[2])

    real = of(chosen, found.memorized)
    chance, labels = [], []
    for _ in range(n_draws):
        drawn = chosen.copy()
        for each in layers:
            drawn[:, each] = rng.permuted(chosen[:, each], axis=1)
        chance.append(of(drawn, found.memorized))
        labels.append(apart(of(chosen, rng.permutation(found.memorized))))
    values = np.column_stack([np.array(chance), labels])
    names = ("memorized", "unmemorized", "across", "apart")
    return [_judged(*each) for each in zip(names, [*real, apart(real)], values.T, strict=True)]


def _judged(which: str, value: float, drawn: np.ndarray) -> Overlap:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Overlap(which, float(value), float(low), float(high), float((1 + (drawn >= value).sum()) / (1 + len(drawn))))
