from __future__ import annotations

from pathlib import Path

import pytest

from memviz.errors import InputError
from memviz.findings.claims import Claim, Null, Outcome, Quality, decide, read_claims
from memviz.findings.evidence import geometry as maps
from memviz.findings.evidence.population import STATISTICS
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
    assert [each.id for each in claims if each.finding in (1, 3)] == list(STATISTICS)
    assert [each.id for each in claims if each.finding == 2] == list(maps.STATISTICS)


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
