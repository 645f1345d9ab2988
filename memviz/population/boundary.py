"""Entropy and n-gram frequency around the start of a continuation, by group, against what selection alone would give.

measures.md, rule 1: a group chosen by its hits is also chosen by what makes hits easy. Every figure carries the null
band of selection alone, the moved edge, and the difference from all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.population.aligned import GROUPS, HIT_SHARE, TABLE_GROUPS, Aligned, bins_of, members
from memviz.population.intervals import N_RESAMPLES, drawn_sums, percentiles
from memviz.population.selection import Selected, at_hits_and_misses, band, coded, hit_rates, mixed
from memviz.population.summed import ALL, Curves, Expected, Jumps, Summed, jumps_of
from memviz.sweeps.sums import EDGE

_NULL = ("null", "null_low", "null_high", "null_mean_low", "null_mean_high", "detectable")
_DETECTED = (NormalDist().inv_cdf(0.8) + NormalDist().inv_cdf(0.975)) / NormalDist().inv_cdf(0.975)
"""A shift of so many half widths of a 95 % band lies beyond it in 80 % of samples."""


def boundary_curves(
    aligned: Aligned | Summed, quantity: str, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One line a group (and "all") and index: the figure of one model and quantity.

    Columns: group, index (0 at the first context token), t (index - k), n, n_units, mean, low, high, null (expected of
    a group by selection alone), null_low, null_high, all_rows. NaN where undefined; null NaN for "all".
    """
    found = (
        aligned.curves(quantity, seed) if isinstance(aligned, Summed) else _curves(aligned, quantity, n_resamples, seed)
    )
    k, at, p, means = aligned.k, slice(aligned.k, aligned.k + aligned.m), len(found.known), {}
    for name, part in found.sums.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            means[name] = np.where(found.known, part[:, :-1] / part[:, -1:], np.nan)
    tables = []
    for name, n_units in found.n_units.items():
        low, high = percentiles(means[name][1:])
        null = null_low = null_high = np.full(p, np.nan)
        if name in found.expected:
            anywhere = np.broadcast_to(found.variance, means[ALL].shape)  # outside, any rows will do
            expected = Selected(means[ALL].copy(), anywhere.copy())
            expected.mean[:, at], expected.variance[:, at] = mixed(found.expected[name], HIT_SHARE[name])
            null, (null_low, null_high) = expected.mean[0], band(expected, n_units, found.n_units[ALL], seed)
        columns_of = {"index": np.arange(p), "t": np.arange(p) - k, "n": found.n[name], "n_units": n_units}
        columns_of |= {"mean": means[name][0], "low": low, "high": high}
        columns_of |= {"null": null, "null_low": null_low, "null_high": null_high, "all_rows": means[ALL][0]}
        tables.append(pd.DataFrame({"group": name, **columns_of}))
    return pd.concat(tables, ignore_index=True)


def _curves(aligned: Aligned, quantity: str, n_resamples: int, seed: int) -> Curves:
    values, k, m = aligned.of(quantity), aligned.k, aligned.m
    known = ~np.isnan(values).any(axis=0)
    shown = np.where(known, values, 0)
    member = {ALL: np.ones(len(values), bool)} | {name: members(aligned, name) for name in GROUPS}
    columns = [np.column_stack([mask[:, None] * shown, mask]) for mask in member.values()]
    drawn = drawn_sums(np.concatenate(columns, axis=1), aligned.units, n_resamples, seed)
    expected = {}
    if (raw := bins_of(aligned, quantity, 0)) is not None:
        hits = _Hits(raw, aligned.match[:, :m], aligned.units)
        unseen = None if aligned.unseen is None else _hits_of(aligned.unseen, quantity, 0, m)
        expected = _expected(shown[:, k : k + m], hits, unseen, n_resamples, seed)
    return Curves(
        known,
        dict(zip(member, np.split(drawn, len(member), axis=1), strict=True)),
        {name: int(mask.sum()) for name, mask in member.items()},
        {name: len(np.unique(aligned.units[mask])) for name, mask in member.items()},
        shown.var(axis=0),
        expected,
    )


class _Hits(NamedTuple):
    """What decides groups: n rows at t positions."""

    bins: np.ndarray
    """(n, t) as `bins_of` gives them."""
    match: np.ndarray
    """(n, t) bool."""
    units: np.ndarray

    def first(self) -> _Hits:
        """The first position alone."""
        return _Hits(self.bins[:, :1], self.match[:, :1], self.units)

    def twice(self) -> _Hits:
        """Every position twice over."""
        return _Hits(np.repeat(self.bins, 2, axis=1), np.repeat(self.match, 2, axis=1), self.units)


def _hits_of(aligned: Aligned, quantity: str, start: int, m: int) -> _Hits | None:
    bins = bins_of(aligned, quantity, start)
    return None if bins is None else _Hits(bins, aligned.match[:, start : start + m], aligned.units)


def _expected(
    values: np.ndarray, hits: _Hits, unseen: _Hits | None, n_resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Group -> `at_hits_and_misses` of (n, t) values.

    M = 0 takes its hit rates from rows that the weights have not learnt, where such are known: among recited rows hits
    no longer depend on how easy a token is, and what selects M = 0 would be missed.
    """
    near, codes = coded(hits.bins, *([] if unseen is None else [unseen.bins]))
    rates = hit_rates(codes[0], hits.match, near, hits.units, n_resamples, seed)
    found = dict.fromkeys(TABLE_GROUPS, at_hits_and_misses(values, codes[0], rates, hits.units, n_resamples, seed))
    if unseen is not None:
        rates = hit_rates(codes[1], unseen.match, near, unseen.units, n_resamples, seed + 1)
        found["unmemorized"] = at_hits_and_misses(values, codes[0], rates, hits.units, n_resamples, seed)
    return found


def jumps_above(
    aligned: Aligned, quantity: str, group: str, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> np.ndarray:
    """(1 + n_resamples,) jump of a group minus that of all rows, the sample's own first. Raises InputError.

    Models that were asked about the same rows have the same resamples: their differences are paired.
    """
    found = _jumps(aligned, quantity, 0)
    if found is None:
        raise InputError(f"{quantity} is unknown at the boundary for k = {aligned.k}: take a longer context")
    return _jump_of(found, group, n_resamples, seed)[1]


class _Jumps(NamedTuple):
    """n pairs of a row and a condition: what stands at the boundary, and what decides the group."""

    at: np.ndarray
    """(n,) value at index k."""
    before: np.ndarray
    """(n,) value at index k - 1."""
    units: np.ndarray
    match: np.ndarray
    """(n, m) bool."""
    member: dict[str, np.ndarray]
    hits: _Hits | None
    """At the first position; None where the bins are unknown."""
    unseen: _Hits | None
    """The same of rows that the weights have not learnt."""


def _jumps(aligned: Aligned, quantity: str, start: int) -> _Jumps | None:
    """The boundary, or the edge moved by `start` positions; None where too few were decoded for it."""
    edge, values = aligned.k + start, aligned.of(quantity)
    if aligned.match.shape[1] < start + aligned.m or np.isnan(values[:, edge - 1 : edge + 1]).any() or not edge:
        return None
    member = {name: members(aligned, name, start) for name in TABLE_GROUPS}
    hits = _hits_of(aligned, quantity, start, aligned.m)
    unseen = None if aligned.unseen is None else _hits_of(aligned.unseen, quantity, start, aligned.m)
    return _Jumps(
        values[:, edge],
        values[:, edge - 1],
        aligned.units,
        aligned.match[:, start : start + aligned.m],
        member,
        hits and hits.first(),
        unseen and unseen.first(),
    )


def _pooled(parts: Sequence[_Jumps | None]) -> _Jumps | None:
    """Several conditions as one, where all have it."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    member = {name: np.concatenate([part.member[name] for part in known]) for name in TABLE_GROUPS}
    at, before, units, match = (
        np.concatenate([getattr(part, name) for part in known]) for name in ("at", "before", "units", "match")
    )
    hits, unseen = (_together([getattr(part, name) for part in known]) for name in ("hits", "unseen"))
    return _Jumps(at, before, units, match, member, hits, unseen)


def _together(parts: Sequence[_Hits | None]) -> _Hits | None:
    known = [part for part in parts if part is not None]
    return None if len(known) < len(parts) else _Hits(*(np.concatenate(each) for each in zip(*known, strict=True)))


def boundary_differences(
    aligned: Sequence[Aligned | Summed], quantity: str, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Index k minus k - 1, one line a group: of one condition, or of several k of one model, pooled, clustered by row.

    Columns: model, k ("32" or "8+16+32"), group, n (row and k pairs), n_units, jump, jump_low, jump_high, all_rows,
    above, above_low, above_high (jump minus all rows), null, null_low, null_high (of `above` in a group of this size,
    by selection alone), null_mean_low, null_mean_high (of the null's expectation alone), detectable (shift beyond the
    null that 80 % of samples would show), n_unseen (units whose hit rates the null of M = 0 takes; 0: those of all),
    edge, edge_low, edge_high (jump at k + 8 of the group chosen on positions 8 to m + 7; NaN where too few decoded),
    edge_above, edge_above_low, edge_above_high (that minus all rows there), n_edge (its pairs),
    fall, fall_low, fall_high (jump minus edge). Raises InputError for what cannot be pooled.
    """
    if len({(each.model, each.mode, each.m) for each in aligned}) != 1:
        raise InputError(f"{len(aligned)} conditions of several models, modes or m cannot be pooled: take one model")
    summed = [each for each in aligned if isinstance(each, Summed)]
    rows = [each for each in aligned if isinstance(each, Aligned)]
    here, moved = (
        jumps_of(summed, quantity, start, seed) if summed else _jumps_of(rows, quantity, start, n_resamples, seed)
        for start in (0, EDGE)
    )
    if here is None:
        raise InputError(f"{quantity} is unknown at the boundary for k = {aligned[0].k}: take a longer context")
    lines = []
    for group in TABLE_GROUPS:
        jump, above = here.drawn[group]
        nothing = np.full_like(jump, np.nan)
        edge, edge_above = (nothing, nothing) if moved is None else moved.drawn[group]
        line: dict[str, object] = {"model": aligned[0].model, "k": "+".join(str(each.k) for each in aligned)}
        line |= {"group": group, "n": here.n[group], "n_units": here.n_units[group]}
        line |= {"n_edge": 0 if moved is None else moved.n[group], "all_rows": jump[0] - above[0]}
        line["n_unseen"] = here.n_unseen
        spans = {"jump": jump, "above": above, "edge": edge, "edge_above": edge_above, "fall": jump - edge}
        for name, drawn in spans.items():
            low, high = percentiles(drawn[1:])
            line |= {name: drawn[0], f"{name}_low": low, f"{name}_high": high}
        lines.append(line | _null_line(here, group, seed))
    return pd.DataFrame(lines)


def _jumps_of(aligned: Sequence[Aligned], quantity: str, start: int, n_resamples: int, seed: int) -> Jumps | None:
    """The boundary of conditions of one model, pooled; None where not all have it."""
    found = _pooled([_jumps(each, quantity, start) for each in aligned])
    if found is None:
        return None
    everyone = np.ones(len(found.units), bool)
    member = found.member | {ALL: everyone}
    return Jumps(
        {group: _jump_of(found, group, n_resamples, seed) for group in found.member},
        {group: int(mask.sum()) for group, mask in member.items()},
        {group: len(np.unique(found.units[mask])) for group, mask in member.items()},
        {group: float(found.match[mask].mean()) if mask.any() else math.nan for group, mask in member.items()},
        0 if found.unseen is None else len(np.unique(found.unseen.units)),
        None if start else _null_of(found, n_resamples, seed),
    )


def _jump_of(jumps: _Jumps, group: str, n_resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(1 + n_resamples,) each, the sample's own first: the group's mean jump, and that minus the mean jump of all."""
    jump, mask = jumps.at - jumps.before, jumps.member[group]
    columns = np.stack([mask * jump, mask, jump, np.ones(len(jump))], axis=1)
    drawn = drawn_sums(columns, jumps.units, n_resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = drawn[:, 0] / drawn[:, 1]
        return mean, mean - drawn[:, 2] / drawn[:, 3]


def _null_of(jumps: _Jumps, n_resamples: int, seed: int) -> Expected | None:
    if jumps.hits is None:
        return None
    # both values are chosen by the hit at the boundary, so the one hit rate serves both
    hits, unseen = jumps.hits.twice(), jumps.unseen and jumps.unseen.twice()
    found = _expected(np.stack([jumps.at, jumps.at - jumps.before], axis=1), hits, unseen, n_resamples, seed)
    every = drawn_sums(np.stack([jumps.at, np.ones(len(jumps.at))], axis=1), jumps.units, n_resamples, seed)
    return Expected(found, every[:, :1] / every[:, 1:])


def _null_line(jumps: Jumps, group: str, seed: int) -> dict[str, float]:
    """What selection alone would give for `above`, in a group of so many units."""
    expected = jumps.expected
    if expected is None or (group not in HIT_SHARE and not jumps.n[group]):
        return dict.fromkeys(_NULL, float("nan"))
    share = HIT_SHARE[group] if group in HIT_SHARE else jumps.hits[group]
    at, difference = (Selected(*(each[:, [i]] for each in mixed(expected.found[group], share))) for i in range(2))
    above = Selected(at.mean - expected.every, difference.variance)
    low, high = band(above, jumps.n_units[group], jumps.n_units[ALL], seed)
    mean_low, mean_high = percentiles(above.mean[1:, 0])
    shift = _DETECTED * (high[0] - low[0]) / 2
    ends = zip(_NULL, (above.mean[0, 0], low[0], high[0], mean_low, mean_high, shift), strict=True)
    return {name: float(end) for name, end in ends}
