"""The sentences of the population pages, against numbers by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memviz.maps.records import Silhouettes
from memviz.population import Estimate, SizeFit, Transition
from memviz.ui.population import answers

NAN = math.nan
DOUBLED = 1 / math.log(2)
"""A slope per natural logarithm that is 1 a doubling."""


def fit(kind: str, slope: float, low: float, high: float) -> SizeFit:
    """One that adds so much a doubling, or whose exponent is so large."""
    ends = [each if kind == "power" else DOUBLED * each for each in (slope, low, high)]
    return SizeFit(kind, "mean", *ends, intercept=0, residual=NAN, n_models=4, n_rows=3600, n_units=3000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "quantity", "said"),
    [
        (
            fit("linear", 0.091, 0.087, 0.094),
            "mean",
            "adds 0.091 [0.087, 0.094] to the mean score M (3,600 rows, 4 models;",
        ),
        (fit("linear", -0.02, -0.03, -0.01), "mean", "takes 0.020 [0.010, 0.030] off the mean score M"),
        (fit("linear", 0.002, -0.001, 0.005), "mean", "does not show in the mean score M: by 0.002 [-0.001, 0.005]"),
        (fit("power", 1, 0.5, 2), "full", "multiplies the share with M = 1 by 2.00 [1.41, 4.00]"),
        (fit("power", 0, -1, 1), "full", "does not show in the share with M = 1: times 1.000 [0.500, 2.000]"),
        (None, "mean", "Not answerable: these rows were not asked of models of two sizes"),
    ],
)
def test_size(found: SizeFit | None, quantity: str, said: str) -> None:
    if found:
        assert answers.size_answer(found, quantity, 3601) == "Not answerable: 3,600 rows, fewer than 3601."
    assert said in answers.size_answer(found, quantity, 20).replace("\\", "")


def test_transitions_count_who_rises_and_who_falls() -> None:
    counts = np.zeros((5, 5), int)
    counts[0, 0], counts[1, 4], counts[3, 2] = 15, 4, 1
    found = Transition("a", "b", counts, Estimate(0.75, 0.5, 0.9, 20, 20), Estimate(NAN, NAN, NAN, 20, 20))
    said = answers.transition_answer(found, {"a": "1m", "b": "2m"}, 20).replace("\\", "")
    assert said == "From 1m to 2m 75% [50%, 90%] of 20 sequences keep their level; 4 rise and 1 fall."
    assert answers.transition_answer(found, {}, 21) == "Not answerable: 20 sequences, fewer than 21."


def boundary(**line: Any) -> list[pd.DataFrame]:
    spans = {"jump": -1, "above": -0.5, "null": 0}
    columns = {
        f"{name}{end}": at + by for name, at in spans.items() for end, by in (("", 0), ("_low", -0.1), ("_high", 0.1))
    }
    return [pd.DataFrame([{"group": "memorized", "n": 40} | columns | line])]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (boundary(), "-1.00 [-1.10, -0.90] nats (n = 40), less all rows -0.50 [-0.60, -0.40]: below what selection"),
        (boundary(null_low=-0.7), ": no more than what selection alone gives (-0.70 to +0.10, overstated for M = 1)."),
        (boundary(above_high=0.1), ": not told from 0, below what selection alone gives"),
        (boundary(null_low=NAN), ": what selection alone gives is not known here."),
        (boundary(n=3), "Not answerable: 3 memorized rows under 8m, fewer than 20."),
        ([], "Not answerable: the entropy is not known on both sides"),
    ],
)
def test_the_boundary_is_judged_against_selection(found: list[pd.DataFrame], said: str) -> None:
    assert said in answers.boundary_answer(found, "8m", "free-running", 20).replace("\\", "")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.55, 0.65, "zlib tells members from others under 8m: AUROC"),
        (0.45, 0.65, "zlib is not seen to tell members from others under 8m: AUROC"),
        (0.35, 0.45, "zlib tells members from others under 8m, the wrong way round: AUROC"),
    ],
)
def test_membership_is_judged_against_chance(low: float, high: float, said: str) -> None:
    line = {
        "auroc": (low + high) / 2,
        "auroc_low": low,
        "auroc_high": high,
        "tpr": 0.03,
        "n_members": 50,
        "n_others": 20,
    }
    assert said in answers.membership_answer(line, "zlib", "8m", 20)
    assert "3% are found at 1 % false" in answers.membership_answer(line, "zlib", "8m", 20)
    assert answers.membership_answer(line | {"n_others": 9}, "zlib", "8m", 20).startswith("Not answerable: 9 rows")


def dynamics(measure: str, own: float, other: float, n: int = 30) -> pd.DataFrame:
    lines = []
    for group, value in (("memorized", own), ("unmemorized", other)):
        for step in (0, 31):
            at = value if step else NAN
            lines.append(
                {"step": step, "a": group, "b": group, "value": at, "low": at - 0.1, "high": at + 0.1, "n_a": n}
            )
    return pd.DataFrame(lines).assign(measure=measure, state="after", variant="all", n_b=n)


@pytest.mark.parametrize(
    ("measure", "own", "other", "said"),
    [
        ("cosine", 0.9, 0.5, "lie closer together than unmemorized ones: cosine similarity 0.9 [0.8, 1] against 0.5"),
        ("cosine", 0.5, 0.9, "lie farther apart"),
        ("distance", 2, 5, "lie closer together"),
        ("norm", 5, 2, "have longer states"),
        ("cosine", 0.5, 0.6, "are not told from unmemorized ones"),
    ],
)
def test_dynamics_compare_the_groups_at_the_last_step(measure: str, own: float, other: float, said: str) -> None:
    found = answers.dynamics_answer(dynamics(measure, own, other), "8m", measure, "after", "all", 20)
    assert said in found.replace("\\", "") and "n = 30 and 30" in found
    few = answers.dynamics_answer(dynamics(measure, own, other, 3), "8m", measure, "after", "all", 20)
    assert few == "Not answerable: 3 memorized rows under 8m (all), fewer than 20."


@pytest.mark.parametrize(
    ("value", "said"), [(0.2, "the groups stand apart at t = 31"), (0.01, "the groups do not stand apart at t = 31")]
)
def test_a_map_is_answered_in_the_full_space(value: float, said: str) -> None:
    numbers = {name: np.array([0, at], np.float32) for name, at in (("null_low", -0.02), ("null_high", 0.02))}
    found = Silhouettes(np.array([-1, 31]), np.array([NAN, value]), np.zeros(2), n=np.array([9, 40]), **numbers)
    whole = answers.map_answer(found, "8m", 20)
    assert said in whole and "-0.020 to 0.020 (n = 40 rows)" in whole
    assert answers.map_answer(found, "8m", 41) == "Not answerable: 40 rows under 8m, fewer than 41."
    nothing = Silhouettes(np.array([0]), np.array([NAN]), np.zeros(1), np.zeros(1), np.zeros(1), np.array([1]))
    assert answers.map_answer(nothing, "8m", 20).startswith("Not answerable")


def test_half_precision() -> None:
    line = {"n": 40, "moved": 0.1, "moved_low": 0.05, "moved_high": 0.2}
    said = answers.precision_answer(line, "bfloat16", "8m", 20).replace("\\", "")
    assert said == "In bfloat16 M is another one for 10.0% [5.0%, 20.0%] of 40 rows under 8m."
