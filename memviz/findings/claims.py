"""The claims of docs/claims.toml, and how one is decided."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from scipy.stats import false_discovery_control, norm

from memviz.errors import InputError
from memviz.population.intervals import LEVEL, Estimate

SIGNS = {"positive": 1, "negative": -1}


class Quality(StrEnum):
    """What a claim's outcome is worth: only that of a CLAIM is evidence."""

    CLAIM = "claim"
    DESIGN = "design"
    MECHANICAL = "mechanical"
    AFTERWARDS = "afterwards"


class Outcome(StrEnum):
    """What the data say of a claim."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """One claim, as it was written down before the final run."""

    id: str
    finding: int
    kind: Quality
    claim: str
    statistic: str
    sign: int
    """1 or -1."""
    min_n: int
    null: str | None = None
    note: str = ""
    """What one must know to read the outcome."""
    unit: str = ""
    """Of the statistic; empty: none."""
    seeds: bool = False
    """Whether every training seed of a size enters, where there are several."""


@dataclass(frozen=True)
class Null:
    """What the null alone gives for a statistic."""

    expected: float
    low: float
    high: float
    """95 % band of a group of this size."""
    mean_low: float = float("nan")
    mean_high: float = float("nan")
    """95 % band of the expectation alone: narrower, for it leaves out how much a group of this size varies."""


@dataclass(frozen=True)
class Verdict:
    """A claim, its statistic, and what follows."""

    claim: Claim
    found: Estimate | None
    null: Null | None
    outcome: Outcome
    reason: str
    """Why it is undecided; empty where it is decided."""
    by_seed: Mapping[int, float] = field(default_factory=dict)
    """Training seed -> the statistic; empty where there is one, or it is of one size."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Training seed -> why the statistic could not be computed for it."""


def read_claims(path: Path) -> list[Claim]:
    """The claims of a TOML file, in its order. Raises InputError naming what cannot be read."""
    try:
        listed = tomllib.loads(path.read_text("utf-8"))["claim"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as a list of claims ({error})") from None
    claims = [_claim(path, values) for values in listed]
    if len({claim.id for claim in claims}) < len(claims):
        raise InputError(f"{path} has two claims of one id: name each once")
    return claims


def _claim(path: Path, values: dict[str, Any]) -> Claim:
    try:
        sign, kind = SIGNS[values["sign"]], Quality(values["kind"])
        return Claim(**values | {"sign": sign, "kind": kind})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: claim {values.get('id', '?')!r} cannot be read ({error})") from None


def decide(claim: Claim, found: Estimate | None, null: Null | None = None, reason: str = "") -> Verdict:
    """agrees: the interval on the side of the sign and, where a null is named, the value beyond its band.

    disagrees: the interval on the other side. undecided: anything else, or n below min_n, or nothing found.
    """

    def undecided(why: str) -> Verdict:
        return Verdict(claim, found, null, Outcome.UNDECIDED, why)

    if found is None:
        return undecided(reason or "it could not be computed")
    if found.n < claim.min_n:
        return undecided(f"the smallest group has {found.n:,} rows, fewer than {claim.min_n:,}")
    near, far = sorted((claim.sign * found.low, claim.sign * found.high))
    if far < 0:
        return Verdict(claim, found, null, Outcome.DISAGREES, "")
    if not near > 0:
        return undecided("the interval holds 0" if near <= 0 <= far else reason or "it could not be computed")
    if claim.null is not None:
        if null is None or math.isnan(null.low):
            return undecided(reason or "its null could not be computed")
        edge = null.high if claim.sign > 0 else null.low
        if not claim.sign * (found.value - edge) > 0:
            return undecided("the value lies on the side of the sign, but not beyond what the null alone gives")
    return Verdict(claim, found, null, Outcome.AGREES, "")


def p_value(verdict: Verdict) -> float | None:
    """Two-sided, 0 to 1; None where nothing was found, or of too few rows.

    From the middle and the width of the interval as of a normal distribution, so that it is below .05 where the
    interval leaves 0 out; where the claim has a null and its side is taken, the larger of that and the same of the
    value against the null's band.
    """
    claim, found, null = verdict.claim, verdict.found, verdict.null
    if found is None or found.n < claim.min_n or math.isnan(found.low):
        return None
    if claim.null is not None and (null is None or math.isnan(null.low)):
        return None
    middle = (found.low + found.high) / 2
    p = _two_sided(abs(middle), (found.high - found.low) / 2)
    if claim.null is None or null is None or claim.sign * middle < 0:
        return p
    beyond = claim.sign * (found.value - (null.low + null.high) / 2)
    return max(p, _two_sided(beyond, (null.high - null.low) / 2))


def _two_sided(distance: float, half: float) -> float:
    """Of a distance, where `half` is half the width of a 95 % interval."""
    if not half > 0:
        return 0.0 if distance > 0 else 1.0
    return float(min(1.0, 2 * norm.sf(norm.ppf((1 + LEVEL) / 2) * distance / half)))


def adjusted(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Claim -> its p-value adjusted for how many could fail (Benjamini and Hochberg 1995), of those that have one."""
    known = {
        each.claim.id: p for each in verdicts if each.claim.kind == Quality.CLAIM and (p := p_value(each)) is not None
    }
    return dict(zip(known, map(float, false_discovery_control(list(known.values()))), strict=True)) if known else {}


def outcome_among(verdict: Verdict, adjusted_p: float | None) -> Outcome:
    """Its outcome where of all that are decided at most 5 % may be so by chance."""
    return verdict.outcome if adjusted_p is not None and adjusted_p <= 1 - LEVEL else Outcome.UNDECIDED
