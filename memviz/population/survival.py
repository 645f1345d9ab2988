"""Where recitation breaks off: the hazard of the first miss at a position, given that all before it were right.

It needs no groups (measures.md, rule 1): every row is at risk until it misses, whatever its score.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.population.aligned import Aligned
from memviz.population.intervals import N_RESAMPLES, drawn_sums, percentiles, wilson
from memviz.population.summed import Summed
from memviz.sweeps.sums import BINNED, ENTROPY_BIN

MOST_EXPOSURES = 5
"""Lines of rows that were seen in training, by how often: more are not told apart."""
STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Positions from which a new bin of positions begins: the first miss is the rarer the further on."""
ENTROPY_EDGES = (0.25, 1.0, 2.0, 4.0)
"""nats."""
SPLITS = {"entropy": "entropy", "frequency": "n-gram frequency", "exposures": "exposures"}


def at_risk(match: np.ndarray) -> np.ndarray:
    """(n, m) bool: every position before is a hit, from (n, m) hits."""
    before = np.logical_and.accumulate(match, axis=1)
    return np.concatenate([np.ones((len(match), 1), bool), before[:, :-1]], axis=1)


def hazards(
    match: np.ndarray,
    units: np.ndarray,
    codes: np.ndarray,
    labels: Sequence[str],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """One line a label and bin of positions that any row reaches, of (n, m) hits of rows of (n,) units.

    codes: (n,) or (n, m) places in `labels`, -1 for none of them. Columns: of, positions ("4–7"), t (the first), n (row
    and position pairs at risk), n_rows, n_units, n_events, hazard (events by pairs), hazard_low, hazard_high
    (percentile bootstrap over units; Wilson where no pair or every pair is an event).
    """
    n, m = match.shape
    risk = at_risk(match)
    event = risk & ~match
    codes = np.broadcast_to(codes[:, None] if codes.ndim == 1 else codes, (n, m))
    cells: list[dict[str, Any]] = []
    columns = []
    for place, label in enumerate(labels):
        mine = codes == place
        for name, first, end in _steps(m):
            at, missed = ((each & mine)[:, first:end].sum(axis=1) for each in (risk, event))
            if at.any():
                n_rows = int((at > 0).sum())
                about = {"of": label, "positions": name, "t": first, "n": int(at.sum()), "n_rows": n_rows}
                cells.append(about | {"n_units": len(np.unique(units[at > 0])), "n_events": int(missed.sum())})
                columns += [missed, at]
    if not cells:
        raise InputError("no row is of any of these kinds: choose others")
    return _hazards(cells, drawn_sums(np.stack(columns, axis=1).astype(np.float64), units, n_resamples, seed))


def _hazards(cells: Sequence[dict[str, Any]], drawn: np.ndarray) -> pd.DataFrame:
    """The table of c cells with what (b, 2 c) drawn sums of events and of pairs say of each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = drawn[:, 0::2] / drawn[:, 1::2]
    low, high = percentiles(hazard[1:])
    value, pairs = hazard[0], np.array([cell["n"] for cell in cells], np.float64)
    certain = (value == 0) | (value == 1)
    ends = wilson(value, pairs)
    low, high = np.where(certain, ends[0], low), np.where(certain, ends[1], high)
    return pd.DataFrame(cells).assign(hazard=value, hazard_low=low, hazard_high=high)


def summed_hazards(summed: Summed, split: str, seed: int = 0) -> pd.DataFrame:
    """The same of sums, split by entropy, by exposures, or, "size", not at all; `of` is the model then.

    n_rows is the largest number at risk at one position, n_units are those of all rows. Raises InputError.
    """
    risk, missed = (summed.bins[..., BINNED.index(name)].astype(np.float64) for name in ("at_risk", "missed"))
    which: list[tuple[Any, Any]]
    if split == "entropy":
        labels = _entropy_words()
        bins = np.searchsorted(ENTROPY_EDGES, np.arange(risk.shape[2]) * ENTROPY_BIN, side="right")
        which = [(slice(None), bins == place) for place in range(len(labels))]
    elif split == "exposures":
        codes, labels = exposure_codes(summed.bucket)
        which = [(codes == place, slice(None)) for place in range(len(labels))]
    else:
        labels, which = [summed.model], [(slice(None), slice(None))]
    steps, cells, columns = _steps(summed.m), [], []
    for label, (parts, bins) in zip(labels, which, strict=True):
        at, gone = np.zeros(risk.shape[:2]), np.zeros(risk.shape[:2])
        at[parts], gone[parts] = (each[parts][:, :, bins].sum(axis=2) for each in (risk, missed))
        for name, first, end in steps:
            if n := int(at[:, first:end].sum()):
                about = {"of": label, "positions": name, "t": first, "n": n}
                about["n_rows"] = int(at[:, first:end].sum(axis=0).max())
                cells.append(about | {"n_units": summed.n_units, "n_events": int(gone[:, first:end].sum())})
                columns += [gone[:, first:end].sum(axis=1), at[:, first:end].sum(axis=1)]
    return _hazards(cells, summed.part_sums(np.stack(columns, axis=1), seed))


def _steps(m: int) -> list[tuple[str, int, int]]:
    """Name, first and end of each bin of m positions."""
    edges = [step for step in STEPS if step < m] + [m]
    pairs = itertools.pairwise(edges)
    return [(f"{first}" if end == first + 1 else f"{first}–{end - 1}", first, end) for first, end in pairs]


def entropy_codes(aligned: Aligned) -> tuple[np.ndarray, list[str]]:
    """(n, m) bins of the entropy before each token, as long as the prefix is intact the same in both ways of reading.

    Raises InputError where it was not kept by position.
    """
    value = aligned.of("entropy_teacher_forced")[:, aligned.k : aligned.k + aligned.m]
    return np.where(np.isnan(value), -1, np.searchsorted(ENTROPY_EDGES, value, side="right")), _entropy_words()


def _entropy_words() -> list[str]:
    inner = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(ENTROPY_EDGES)]
    words = [f"below {ENTROPY_EDGES[0]:g}", *inner, f"{ENTROPY_EDGES[-1]:g} and more"]
    return [f"{each} nats" for each in words]


def frequency_codes(aligned: Aligned, quantity: str) -> tuple[np.ndarray, list[str]]:
    """(n, m) decades of the frequency of the n-gram that ends at each true token; what never occurs is one of its own.

    Raises InputError where it was not counted.
    """
    value = aligned.of(quantity)[:, aligned.k : aligned.k + aligned.m]
    with np.errstate(divide="ignore"):
        decade = np.floor(np.log10(value))
    levels = np.unique(decade[~np.isnan(decade)])
    codes = np.where(np.isnan(decade), -1, np.searchsorted(levels, decade))
    return codes, ["never" if np.isneginf(level) else f"from 1e{level:.0f}" for level in levels]


def exposure_codes(bucket: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(n,) places of (n,) planned exposures, NaN where unknown: held out, and further levels in five runs at most.

    Raises InputError where none is known.
    """
    known = ~np.isnan(bucket)
    if not known.any():
        raise InputError("how often these rows were seen in training is not known: split by something else")
    levels = np.unique(bucket[known])
    parts = [levels[levels == 0], *np.array_split(levels[levels > 0], MOST_EXPOSURES)]
    ends = [(part[0], part[-1]) for part in parts if len(part)]
    codes = np.where(known, np.searchsorted([last for _, last in ends], bucket), -1)
    return codes, ["held out" if not b else f"{a:g}" if a == b else f"{a:g} to {b:g}" for a, b in ends]
