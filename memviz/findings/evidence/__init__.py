"""The evidence for claims: each claim's statistic, from the sweeps' tables, from hidden states and from predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memviz.errors import InputError
from memviz.findings.claims import Claim, Verdict, decide
from memviz.findings.evidence import geometry, population, prediction
from memviz.findings.evidence.material import Material, Statistic
from memviz.predictor.known import Known


def statistics(spaces: geometry.Spaces, known: Sequence[Known]) -> dict[str, Statistic]:
    """Statistic of each claim, by its id."""
    return population.STATISTICS | geometry.statistics_of(spaces) | prediction.statistics_of(known)


def judge(claims: Sequence[Claim], material: Material, statistics: Mapping[str, Statistic]) -> list[Verdict]:
    """The verdict on each claim, in their order."""
    verdicts = []
    for claim in claims:
        try:
            if claim.id not in statistics:
                raise InputError(f"there is no statistic here for the claim {claim.id!r}")
            verdicts.append(decide(claim, *statistics[claim.id](material)))
        except InputError as error:
            verdicts.append(decide(claim, None, None, str(error)))
    return verdicts
