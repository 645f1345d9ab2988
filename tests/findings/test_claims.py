from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memviz.errors import InputError
from memviz.findings.claims import Claim, Null, Outcome, Quality, adjusted, decide, outcome_among, p_value, read_claims
from memviz.findings.evidence import boundary, over_seeds, paired, population
from memviz.findings.evidence import geometry as maps
from memviz.population import Estimate
from memviz.settings import ROOT

NAN = float("nan")


def claim(sign: int = 1, min_n: int = 10, null: str | None = None) -> Claim:
    return Claim("c", 1, Quality.CLAIM, "it grows", "a minus b", sign, min_n, null)


@pytest.mark.parametrize(
    ("sign", "ends", "n", "null", "outcome"),
    [
        (1, (0.2, 0.1, 0.3), 10, None, "agrees"),
        (-1, (0.2, 0.1, 0.3), 10, None, "disagrees"),
        (-1, (-0.2, -0.3, -0.1), 10, None, "agrees"),
        (1, (0.2, -0.1, 0.3), 10, None, "undecided"),
        (1, (0.2, 0.0, 0.3), 10, None, "undecided"),
        (1, (0.2, 0.1, 0.3), 9, None, "undecided"),
        (-1, (0.2, 0.1, 0.3), 9, None, "undecided"),
        (1, (NAN, NAN, NAN), 10, None, "undecided"),
        (1, (0.2, 0.1, 0.3), 10, Null(0.0, -0.1, 0.15), "agrees"),
        (1, (0.2, 0.1, 0.3), 10, Null(0.1, 0.0, 0.25), "undecided"),
        (1, (0.2, 0.1, 0.3), 10, Null(NAN, NAN, NAN), "undecided"),
        (-1, (-0.2, -0.3, -0.1), 10, Null(-0.1, -0.15, 0.0), "agrees"),
        (-1, (-0.2, -0.3, -0.1), 10, Null(-0.1, -0.25, 0.0), "undecided"),
        (-1, (0.2, 0.1, 0.3), 10, Null(-0.1, -0.25, 0.0), "disagrees"),
    ],
)
def test_the_rule(sign: int, ends: tuple, n: int, null: Null | None, outcome: str) -> None:
    found = decide(claim(sign, null="chance" if null else None), Estimate(*ends, n, n), null)
    assert found.outcome == outcome and bool(found.reason) == (outcome == "undecided")


def test_what_could_not_be_computed_is_undecided() -> None:
    assert decide(claim(), None, reason="no index").reason == "no index"
    named = decide(claim(null="chance"), Estimate(0.2, 0.1, 0.3, 10, 10), None)
    assert (named.outcome, named.reason) == (Outcome.UNDECIDED, "its null could not be computed")


def test_every_claim_of_the_file_has_a_statistic() -> None:
    claims = read_claims(ROOT / "docs" / "claims.toml")
    with_paired = [*paired.STATISTICS, "groups-apart-paired"]
    statistics = [*population.STATISTICS, *maps.STATISTICS, *boundary.STATISTICS, *with_paired]
    assert sorted(each.id for each in claims if each.finding in (1, 2, 3)) == sorted(statistics)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "claim"),
        ("[[claim]]\nid = 'x'\nsign = 'up'\nkind = 'claim'", "'x'"),
        ("[[claim]]\nid = 'x'\nsign = 'positive'\nkind = 'guess'", "guess"),
        ("[[claim]]\nid = 'x'\nsign = 'positive'\nkind = 'claim'\nmore = 1", "more"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "claims.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=named):
        read_claims(path)
    with pytest.raises(InputError, match="nowhere"):
        read_claims(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("ends", "null", "p"),
    [
        ((0.2, 0.004, 0.396), None, 0.0455),  # two standard errors of .1
        ((-0.2, -0.396, -0.004), None, 0.0455),
        ((0.2, 0.2, 0.2), None, 0.0),
        ((0.2, 0.004, 0.396), Null(0.0, -0.098, 0.098), 0.0455),  # four of .05
        ((0.2, 0.004, 0.396), Null(0.1, -0.096, 0.296), 0.3173),  # one of .1
        ((0.2, 0.004, 0.396), Null(0.3, 0.2, 0.4), 1.0),
        ((-0.2, -0.396, -0.004), Null(0.1, 0.0, 0.2), 0.0455),  # it disagrees: the null is not asked
    ],
)
def test_p_values_are_those_of_normal_distributions(ends: tuple, null: Null | None, p: float) -> None:
    verdict = decide(claim(null="chance" if null else None), Estimate(*ends, 10, 10), null)
    assert p_value(verdict) == pytest.approx(p, abs=2e-4)


def test_what_is_too_small_has_no_p_value() -> None:
    assert p_value(decide(claim(), Estimate(0.2, 0.1, 0.3, 9, 9))) is None
    assert p_value(decide(claim(), None)) is None
    assert p_value(decide(claim(null="chance"), Estimate(0.2, 0.1, 0.3, 10, 10), Null(NAN, NAN, NAN))) is None


def test_all_claims_together_are_held_to_five_per_cent() -> None:
    """Standard errors of 1; p of 2.6, 2.1, 2.0 and 0.5: .0093, .0357, .0455, .6171, times 4 over their rank."""
    named = [replace(claim(), id=str(z)) for z in (2.6, 2.1, 2.0, 0.5)]
    verdicts = [decide(each, Estimate(z, z - 1.96, z + 1.96, 10, 10)) for each in named for z in (float(each.id),)]
    other = decide(replace(claim(), kind=Quality.DESIGN, id="other"), Estimate(9.0, 8, 10, 10, 10))
    found = adjusted([*verdicts, other])
    assert list(found.values()) == pytest.approx([4 * 0.0093, 4 * 0.0455 / 3, 4 * 0.0455 / 3, 0.6171], abs=3e-4)
    assert [each.outcome for each in verdicts] == ["agrees", "agrees", "agrees", "undecided"]
    assert [outcome_among(each, found[each.claim.id]) for each in verdicts] == ["agrees", *["undecided"] * 3]
    assert adjusted([other]) == {}


def test_training_seeds_reach_over_all_of_them() -> None:
    one, null = Estimate(0.2, 0.1, 0.3, 10, 9), Null(0.0, -0.1, 0.1)
    found, band = over_seeds([(one, null), (Estimate(0.4, 0.35, 0.45, 8, 8), Null(0.2, 0.0, 0.3))])
    assert found == Estimate(pytest.approx(0.3), 0.1, 0.45, 8, 8)
    assert (band.expected, band.low, band.high) == (pytest.approx(0.1), -0.1, 0.3)
    assert over_seeds([(one, None), (one, None)])[1] is None
