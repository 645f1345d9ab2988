"""Hazards of the first miss against loops over rows, Kaplan and Meier's product, and the normal interval."""

from __future__ import annotations

import numpy as np
import pytest

from memviz.errors import InputError
from memviz.population import Aligned
from memviz.population.survival import at_risk, entropy_codes, exposure_codes, frequency_codes, hazards


def rows(n: int = 200, m: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, m) hits, and (n, m) kinds that they depend on."""
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, 3, (n, m))
    return generator.random((n, m)) > np.array([0.05, 0.2, 0.5])[kinds], kinds


def test_every_count_against_a_loop() -> None:
    match, kinds = rows()
    found = hazards(match, np.arange(len(match)), kinds, "abc", 20).set_index(["of", "t"])
    ends = {0: 1, 1: 2, 2: 4, 4: 8, 8: 10}
    for place, name in enumerate("abc"):
        for first, end in ends.items():
            n = n_events = 0
            for row, kind in zip(match, kinds, strict=True):
                for t in range(first, end):
                    if all(row[:t]) and kind[t] == place:
                        n, n_events = n + 1, n_events + (not row[t])
            line = found.loc[name, first]
            assert (line["n"], line["n_events"]) == (n, n_events)
            assert line["hazard"] == pytest.approx(n_events / n)


def test_the_product_is_the_share_that_is_still_intact() -> None:
    match, _ = rows(m=8)
    risk = at_risk(match)
    hazard = (risk & ~match).sum(axis=0) / risk.sum(axis=0)
    assert np.cumprod(1 - hazard) == pytest.approx([(match[:, : t + 1].all(axis=1)).mean() for t in range(8)])


def test_the_interval_of_many_rows_is_that_of_a_share() -> None:
    match = np.random.default_rng(0).random((4000, 1)) > 0.3
    line = hazards(match, np.arange(4000), np.zeros(4000, int), ["all"]).iloc[0]
    half = 1.96 * np.sqrt(0.3 * 0.7 / 4000)
    assert line["hazard_high"] - line["hazard_low"] == pytest.approx(2 * half, rel=0.1)


def test_near_duplicates_count_once() -> None:
    match, _ = rows(100, 1)
    alone = hazards(match, np.arange(100), np.zeros(100, int), ["all"]).iloc[0]
    four = hazards(np.repeat(match, 4, axis=0), np.repeat(np.arange(100), 4), np.zeros(400, int), ["all"]).iloc[0]
    assert four["n_units"] == 100 and four["n"] == 400
    for end in ("hazard_low", "hazard_high"):
        assert four[end] == pytest.approx(alone[end])


def test_no_event_has_an_interval_still() -> None:
    line = hazards(np.ones((50, 1), bool), np.arange(50), np.zeros(50, int), ["all"]).iloc[0]
    assert line["hazard"] == line["hazard_low"] == 0 and line["hazard_high"] == pytest.approx(0.0713, abs=1e-3)
    assert (hazards(np.ones((50, 4), bool), np.arange(50), np.zeros(50, int), ["all"])["n"] == [50, 50, 100]).all()


def test_bins_of_entropy_frequency_and_exposures() -> None:
    values = {
        "entropy_teacher_forced": np.array([[9.0, 0.1, 0.25, 5.0]]),
        "frequency_1": np.array([[1.0, 0.0, 2e-3, np.nan]]),
    }
    aligned = Aligned("a", "sliding", 1, 3, np.array([0]), np.array([0]), np.ones((1, 3), bool), values)
    codes, labels = entropy_codes(aligned)
    assert [labels[code] for code in codes[0]] == ["below 0.25 nats", "0.25 to 1 nats", "4 and more nats"]
    codes, labels = frequency_codes(aligned, "frequency_1")
    assert [labels[code] for code in codes[0, :2]] == ["never", "from 1e-3"] and codes[0, 2] == -1
    codes, labels = exposure_codes(np.array([0.0, 4, np.nan]))
    assert codes.tolist() == [0, 1, -1] and labels == ["held out", "4"]
    levels = np.array([0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128.0])
    codes, labels = exposure_codes(levels)
    assert labels == ["held out", "1 to 4", "6 to 12", "16 to 32", "48 to 64", "96 to 128"]
    assert codes.tolist() == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5]
    with pytest.raises(InputError, match="not known"):
        exposure_codes(np.array([np.nan]))
