from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from memviz.population.intervals import (
    STRATUM,
    design_effect,
    design_units,
    drawn_parts,
    drawn_sums,
    estimate,
    part_sums,
    percentiles,
    resampled_sums,
    wilson,
)


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def with_ones(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.ones(len(x))])


@pytest.mark.parametrize(("n_hits", "n"), [(0, 1), (1, 1), (0, 40), (40, 40), (3, 7), (300, 1000)])
def test_wilson_is_that_of_scipy(n_hits: int, n: int) -> None:
    expected = binomtest(n_hits, n).proportion_ci(method="wilson")
    low, high = wilson(np.array(n_hits / n), np.array(n))
    assert (low, high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_wilson_of_nothing_is_unknown() -> None:
    low, high = wilson(np.array([np.nan, 0.5]), np.array([0, 2.5]))
    assert np.isnan([low[0], high[0]]).all() and 0 < low[1] < 0.5 < high[1] < 1


def test_bootstrap_of_a_mean_is_that_of_scipy() -> None:
    x = np.random.default_rng(3).exponential(size=300)
    found = estimate(with_ones(x), np.arange(300), mean, 300, 300, n_resamples=9000)
    expected = bootstrap((x,), np.mean, n_resamples=9000, method="percentile", rng=5).confidence_interval
    assert found.value == pytest.approx(x.mean())
    assert (found.low, found.high) == (pytest.approx(expected.low, rel=0.01), pytest.approx(expected.high, rel=0.01))


def test_draws_are_those_of_a_plain_loop() -> None:
    values, units = np.array([[1.0, 10], [2, 20], [4, 40]]), np.array([7, 9, 7])
    found = resampled_sums(values, units, n_resamples=500)
    of_unit = {7: np.array([5.0, 50]), 9: np.array([2.0, 20])}
    possible = {tuple(of_unit[a] + of_unit[b]) for a in of_unit for b in of_unit}
    assert {tuple(line) for line in found} == possible
    assert np.mean(found[:, 0] == 7) == pytest.approx(0.5, abs=0.08)  # one unit of each


def test_the_same_units_are_drawn_whatever_the_values() -> None:
    units = np.arange(50)
    x = np.random.default_rng(0).random((50, 2))
    apart = np.column_stack([resampled_sums(x[:, [i]], units) for i in range(2)])
    np.testing.assert_allclose(resampled_sums(x, units), apart)


def test_copies_of_a_row_do_not_narrow_the_interval() -> None:
    x = np.random.default_rng(0).random(60)
    alone = estimate(with_ones(x), np.arange(60), mean, 60, 60)
    copied = estimate(with_ones(np.repeat(x, 5)), np.repeat(np.arange(60), 5), mean, 300, 60)
    assert (copied.value, copied.low, copied.high) == pytest.approx((alone.value, alone.low, alone.high))


@pytest.mark.parametrize("x", [np.zeros(30), np.ones(30), np.array([0.3])])
def test_where_nothing_varies_the_interval_is_the_value(x: np.ndarray) -> None:
    found = estimate(with_ones(x), np.arange(len(x)), mean, len(x), len(x))
    assert found.value == pytest.approx(found.low) == pytest.approx(found.high) == pytest.approx(x[0])


def test_nothing_at_all_is_unknown() -> None:
    found = estimate(np.zeros((0, 2)), np.zeros(0, int), mean, 0, 0)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_percentiles_pass_over_what_is_unknown() -> None:
    samples = np.array([[0.0, np.nan], [np.nan, np.nan], [1, np.nan]])
    low, high = percentiles(samples)
    assert (low[0], high[0]) == (pytest.approx(0.025), pytest.approx(0.975)) and np.isnan(low[1])


def test_the_sample_itself_comes_first() -> None:
    x = np.random.default_rng(0).random((20, 3))
    np.testing.assert_allclose(drawn_sums(x, np.arange(20))[0], x.sum(axis=0))


def test_thousands_of_rows_take_no_more_than_seconds() -> None:
    start = time.monotonic()
    resampled_sums(np.random.default_rng(0).random((3500, 60)), np.arange(3500))
    assert time.monotonic() - start < 10  # about half a second where nothing else runs


# Strata


def test_units_of_a_design_by_hand() -> None:
    group = np.array([7, 7, 3, 9, 4, 5, 6])
    domain = np.array(["b", "a", "a", "b", "a", "c", None], object)
    units = design_units(group, domain)
    # group 7 is of its first row's stratum b, with 9; the last row has no domain
    assert (units // STRATUM).tolist() == [2, 2, 1, 2, 1, 3, 0]
    assert (units % STRATUM).tolist() == group.tolist()


def test_resamples_within_strata_vary_as_theory_says() -> None:
    generator = np.random.default_rng(3)
    sizes, means = [12, 40, 5], [0.0, 10.0, -4.0]
    value = np.concatenate([generator.normal(mean, 1, n) for mean, n in zip(means, sizes, strict=True)])
    stratum = np.repeat(["a", "b", "c"], sizes)
    units = design_units(np.arange(len(value)), stratum)
    sums = resampled_sums(np.stack([value, np.ones(len(value))], axis=1), units, 20_000, 1)
    assert np.allclose(sums[:, 1], len(value))  # every stratum keeps its share
    expected = sum(n * value[stratum == name].var(ddof=1) for name, n in zip("abc", sizes, strict=True))
    assert sums[:, 0].var() == pytest.approx(expected, rel=0.04)
    assert resampled_sums(value[:, None], np.arange(len(value)), 2_000, 1).var() > 10 * expected


def test_units_may_be_small_integers() -> None:
    values = np.arange(4.0)[:, None]
    small = resampled_sums(values, np.arange(4, dtype=np.int32), 5, 0)
    np.testing.assert_array_equal(small, resampled_sums(values, np.arange(4), 5, 0))


def test_strata_of_one_unit_are_drawn_together() -> None:
    units = design_units(np.arange(6), np.array(["a", "b", "c", "d", "d", "d"]))
    sums = resampled_sums(np.eye(6), units, 500, 0)
    assert (sums[:, :3].sum(axis=1) == 3).all() and np.allclose(sums[:, 3:].sum(axis=1), 3)
    assert sums[:, :3].std(axis=0).min() > 0.5


def test_the_effect_of_a_design_is_the_quotient_of_variances() -> None:
    member = np.array([1] * 9 + [0] + [0] * 9 + [1], bool)
    units = design_units(np.arange(20), np.repeat(["a", "b"], 10))
    inside, whole = (9.5 / 11) * (1.5 / 11), (10.5 / 21) * (10.5 / 21)
    assert design_effect(member, units) == pytest.approx(20 * inside / (20 * whole))
    assert design_effect(member, np.arange(20)) == 1


def test_random_groups_of_many_units_have_the_intervals_of_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    n = 6000
    x = rng.exponential(size=n)
    units = np.arange(n) // 2 + STRATUM * (np.arange(n) % 7 < 3)  # pairs, in two strata
    values = np.column_stack([x, x**2, np.ones(n)])
    one_by_one = drawn_sums(values, units, 3000)
    monkeypatch.setattr("memviz.population.intervals.MOST_UNITS", 1000)
    monkeypatch.setattr("memviz.population.intervals.N_GROUPS", 512)
    grouped = drawn_sums(values, units, 3000)
    np.testing.assert_allclose(grouped[0], one_by_one[0])
    for statistic in (
        lambda sums: sums[:, 0],
        lambda sums: sums[:, 0] / sums[:, 2],
        lambda sums: sums[:, 1] / sums[:, 0],
    ):
        theirs, ours = statistic(one_by_one[1:]), statistic(grouped[1:])
        assert ours.mean() == pytest.approx(theirs.mean(), rel=0.01)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.12)  # 1 / sqrt(2 * 512) is 0.03
    np.testing.assert_allclose(np.corrcoef(grouped[1:, :2].T)[0, 1], np.corrcoef(one_by_one[1:, :2].T)[0, 1], atol=0.05)
    again = resampled_sums(values[:, :1], units, 3000)
    np.testing.assert_allclose(again[:, 0], grouped[1:, 0])  # the same draws, whatever else is asked


def test_parts_vary_as_theory_says() -> None:
    generator = np.random.default_rng(4)
    stratum, n_units = np.repeat([1, 2], [40, 25]), generator.integers(5, 9, 65)
    sums = np.column_stack([generator.normal(10 * stratum * n_units, 3), n_units])
    drawn = part_sums(sums, stratum, n_units)
    beyond = [
        part[:, 0] - part[:, 1] * part[:, 0].sum() / part[:, 1].sum()
        for part in (sums[stratum == 1], sums[stratum == 2])
    ]
    expected = sum(len(each) / (len(each) - 1) * (each**2).sum() for each in beyond)
    assert drawn.shape == (128, 2) and np.allclose(drawn[:, 1], n_units.sum())
    assert ((drawn[:, 0] - sums[:, 0].sum()) ** 2).mean() == pytest.approx(expected)
    low, high = percentiles(drawn[:, 0])
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(expected), rel=0.15)


def test_parts_of_equal_size_are_numbered_as_units_are() -> None:
    parts = np.array([STRATUM + 1, STRATUM, 1, STRATUM + 1, 0])
    drawn = drawn_parts(np.array([[1.0], [2], [4], [8], [16]]), parts)
    assert drawn[0] == 31 and drawn[1:].mean() == pytest.approx(31)
    assert ((drawn[1:] - 31) ** 2).mean() == pytest.approx(2 * (2 * 3.5**2 + 2 * 6**2))  # 9 and 2; 4 and 16


def test_rows_that_stand_for_many_have_the_design_effect_of_them() -> None:
    member, units = np.array([1, 0, 1, 0], bool), np.array([1, 1, STRATUM, STRATUM])
    count = np.array([3, 1, 2, 5])
    many = design_effect(np.repeat(member, count), np.repeat(units, count))
    assert design_effect(member, units, count) == pytest.approx(many) and many < 1
