"""The evidence for claims: each claim's statistic, from the sweeps' tables, from hidden states and from predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from memviz.errors import InputError
from memviz.findings.claims import Claim, Null, Verdict, decide
from memviz.findings.evidence import boundary, geometry, paired, population, prediction
from memviz.findings.evidence.material import Found, Material, Statistic
from memviz.population.intervals import Estimate
from memviz.predictor.known import Known


def statistics(spaces: geometry.Spaces, known: Sequence[Known]) -> dict[str, Statistic]:
    """Statistic of each claim, by its id."""
    of_sweeps = population.STATISTICS | boundary.STATISTICS
    of_states = geometry.statistics_of(spaces) | paired.statistics_of(spaces)
    return of_sweeps | of_states | prediction.statistics_of(known)


def judge(claims: Sequence[Claim], material: Material, statistics: Mapping[str, Statistic]) -> list[Verdict]:
    """The verdict on each claim, in their order."""
    verdicts = []
    for claim in claims:
        try:
            if claim.id not in statistics:
                raise InputError(f"there is no statistic here for the claim {claim.id!r}")
            verdicts.append(_decided(claim, material, statistics[claim.id]))
        except InputError as error:
            verdicts.append(decide(claim, None, None, str(error)))
    return verdicts


def _decided(claim: Claim, material: Material, statistic: Statistic) -> Verdict:
    if not claim.seeds or len(material.by_seed) < 2:
        return decide(claim, *statistic(material))
    each, left_out = {}, {}
    for seed, of in material.by_seed.items():
        try:
            each[seed] = statistic(of)
        except InputError as error:
            if of is material:
                raise
            left_out[seed] = str(error)
    verdict = decide(claim, *over_seeds(list(each.values())))
    values = {seed: found.value for seed, (found, _) in each.items()} if len(each) > 1 else {}
    return replace(verdict, by_seed=values, left_out=left_out)


def over_seeds(each: Sequence[Found]) -> Found:
    """One number for several training seeds: their mean; interval and band reach to the farthest ends of all."""
    found, nulls = [one for one, _ in each], [null for _, null in each if null is not None]

    def ends(of: Sequence[Estimate | Null], low: str, high: str) -> tuple[float, float]:
        return min(getattr(one, low) for one in of), max(getattr(one, high) for one in of)

    value = sum(one.value for one in found) / len(found)
    n, n_units = (min(getattr(one, name) for one in found) for name in ("n", "n_units"))
    estimate = Estimate(value, *ends(found, "low", "high"), n, n_units)
    if not nulls:
        return estimate, None
    expected = sum(null.expected for null in nulls) / len(nulls)
    return estimate, Null(expected, *ends(nulls, "low", "high"), *ends(nulls, "mean_low", "mean_high"))
