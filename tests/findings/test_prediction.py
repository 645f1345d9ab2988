"""Finding 4's statistics from tables made by hand; what is missing leaves a claim undecided with its reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.serving import ROOT

from memviz.findings.beside import section
from memviz.findings.claims import Outcome, read_claims
from memviz.findings.evidence import judge
from memviz.findings.evidence.material import Material
from memviz.findings.evidence.prediction import statistics_of
from memviz.predictor.tables import TABLES, Tables

MODELS = ("small", "large")
N, K = 400, 32
LENGTHS = (16, 64)
HITS = {("small", 16): 1, ("small", 64): 4, ("large", 16): 8, ("large", 64): 32}
"""Of rows with an odd number; the others have none, or at the large size all in rows divisible by four."""
CLAIMS = {each.id: each for each in read_claims(ROOT / "docs" / "claims.toml") if each.finding == 4}


def hits_of(model: str, m: int) -> np.ndarray:
    rows = np.arange(N)
    found = np.where(rows % 2 == 1, HITS[model, m], 0)
    return np.where((rows % 4 == 0) & (model == "large"), m, found)


def outcomes_of(model: str, setting: str, right: dict[tuple[str, int], np.ndarray]) -> Tables:
    """Tables with outcomes alone; right: (method, m) -> (n,) positions labelled rightly."""
    parts = [
        pd.DataFrame({"row": np.arange(N), "group": np.arange(N) // 2, "n_hits": hits_of(model, m), "n_right": each})
        .assign(predictor=model, fitted_on=model, model=model, setting=setting, k=K, m=m, method=method)
        .assign(divergence=0, predicted_divergence=0)
        for (method, m), each in right.items()
    ]
    empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in TABLES.items()}
    return Tables(**empty | {"outcomes": pd.concat(parts)[list(TABLES["outcomes"])]})


def known_of(model: str, setting: str = "published", **changes: Any) -> SimpleNamespace:
    """A predictor that is right at 9 of 10 positions of the small size, and always at the large one."""
    share = 0.75 if model == "small" else 1.0
    right = {
        ("predictor", 64): np.full(N, int(64 * share)),
        ("predictor", 16): np.full(N, 12),
        **{(method, 64): np.full(N, 32) for method in ("majority", "position", "entropy", "logistic")},
        ("boosting", 64): np.full(N, 48),
        ("context_nll", 64): np.full(N, 40),
        **{(method, 16): np.full(N, 8) for method in ("majority", "position", "entropy", "logistic")},
    }
    request = {"k": 32, "m": 64, "seed": 0, "ngrams": False, "transfer": False, "hidden": True, "n_rows": None}
    return SimpleNamespace(
        setting=setting,
        weights=f"weights of {model}",
        shipped=False,
        about={"request": request | {"preset": "small"} | changes},
        tables=lambda: outcomes_of(model, setting, right),
    )


@pytest.fixture
def material() -> Material:
    models = [{"name": name, "weights": f"weights of {name}"} for name in MODELS]
    every = pd.concat(
        pd.DataFrame(
            {"model": model, "row": np.arange(N), "mode": "sliding", "k": K, "n_matches_64": hits_of(model, 64)}
        )
        for model in MODELS
    )
    sweep: Any = SimpleNamespace(manifest={"models": models})
    return Material((sweep,), {"small": 10, "large": 20}, MODELS, every, None, n_resamples=200)


def value(material: Material, claim: str, *known: Any) -> float:
    return statistics_of(known)[claim](material)[0].value


def test_every_claim_has_a_statistic_and_none_is_left_over() -> None:
    assert set(statistics_of([])) == set(CLAIMS)


def test_values_by_hand(material: Material) -> None:
    both = [known_of(model, setting) for model in MODELS for setting in ("published", "context")]
    expected = {
        "predictor-size": 1.0 - 0.75,
        "predictor-size-beyond-majority": (1.0 - 0.5) - (0.75 - 0.5),
        "predictor-continuation": 1.0 - 0.75,
        "predictor-continuation-beyond-position": (1.0 - 0.5) - (0.75 - 0.5),
        "predictor-full-continuation": 1.0 - 0.0,
        "predictor-unmemorized-easier": 0.0,
        "predictor-unmemorized-easier-full": 0.0,
        "predictor-beyond-entropy": 0.5,
        "predictor-beyond-logistic": 0.5,
        "predictor-context": 0.5,
        "predictor-beyond-majority": 0.5,
        "predictor-beyond-boosting": 1.0 - 0.75,
        "predictor-context-beyond-nll": 1.0 - 0.625,
    }
    assert {name: pytest.approx(value(material, name, *both)) for name in CLAIMS} == expected


def test_levels_are_of_the_largest_size_and_the_smaller_group_is_counted(material: Material) -> None:
    known = [known_of(model) for model in MODELS]
    level = np.where(hits_of("large", 64) == 64, 40, 64)  # worse on the memorized rows
    tables = outcomes_of("large", "published", {("predictor", 64): level})
    known[1].tables = lambda: tables
    (found, null) = statistics_of(known)["predictor-unmemorized-easier"](material)
    assert found.value == pytest.approx(1 - 40 / 64) and null is None
    assert found.n == 100  # a quarter of the rows is memorized, a quarter has no hit
    assert found.n_units == 100


def test_verdicts_need_predictors_of_every_size(material: Material) -> None:
    claims = list(CLAIMS.values())
    verdicts = judge(claims, material, statistics_of([]))
    assert {each.outcome for each in verdicts} == {Outcome.UNDECIDED}
    assert all("there is no predictor, setting" in each.reason for each in verdicts), verdicts
    (verdict,) = judge([CLAIMS["predictor-size"]], material, statistics_of([known_of("large")]))
    assert "for small: fit one" in verdict.reason
    (verdict,) = judge([CLAIMS["predictor-size"]], material, statistics_of([known_of(model) for model in MODELS]))
    assert verdict.outcome == Outcome.AGREES


@pytest.mark.parametrize(
    "changes", [{"ngrams": True}, {"transfer": True}, {"seed": 3}, {"split": "document"}, {"m": 32}]
)
def test_unusual_predictors_are_not_judged(material: Material, changes: dict[str, Any]) -> None:
    (verdict,) = judge([CLAIMS["predictor-size"]], material, statistics_of([known_of(m, **changes) for m in MODELS]))
    assert verdict.found is None


@pytest.mark.parametrize("other", [{"preset": "default"}, {"hidden": False}, {"windows": 4}])
def test_sizes_are_compared_that_were_fitted_alike(material: Material, other: dict[str, Any]) -> None:
    alike = [known_of(model, **other) for model in MODELS]
    assert judge([CLAIMS["predictor-size"]], material, statistics_of(alike))[0].found is not None
    mixed = [known_of("small", **other), known_of("large")]
    (verdict,) = judge([CLAIMS["predictor-size"]], material, statistics_of(mixed))
    assert verdict.found is None
    whole = [*mixed, known_of("small")]
    assert judge([CLAIMS["predictor-size"]], material, statistics_of(whole))[0].found is not None


def test_predictors_of_other_rows_are_named(material: Material) -> None:
    material.every["n_matches_64"] = 1
    with pytest.raises(ValueError, match="judged on other rows than this sweep's"):
        value(material, "predictor-size", *(known_of(model) for model in MODELS))


def test_losses_to_boosting_are_said(material: Material) -> None:
    def known(model: str, setting: str) -> Any:
        found, worse = known_of(model, setting), setting == "context"
        lines = [
            {"model": model, "setting": setting, "predictor": "abcdef123456", "m": m,
             "method": method, "metric": metric, "value": 0.0,
             "low": -0.2 if worse else 0.1, "high": -0.1 if worse else 0.2}
            for m in (16, 64) for method in ("boosting", "position")
            for metric in ("token_accuracy", "full_accuracy", "auroc", "brier", "intact_accuracy")
        ]  # fmt: skip
        found.tables = lambda: SimpleNamespace(differences=pd.DataFrame(lines))
        return found

    every = [known(model, setting) for model in MODELS for setting in ("published", "context")]
    said = section(every, material)
    assert "ahead in 8, even in 0, behind in 8 of 16" in said  # a smaller Brier score is a better one
    assert "| large | context | abcdef12 | 0 [-0.2, -0.1] behind |" in said and "| 0 [-0.2, -0.1] ahead |\n" in said
    assert section(every[:1], material) == "" and section([], material) == ""
