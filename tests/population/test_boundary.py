from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.populations import WITHOUT, declared, population
from support.populations import K as K_OF

from memviz.errors import InputError
from memviz.population import Aligned, boundary_curves, boundary_differences, members
from memviz.population.aligned import TABLE_GROUPS, bins_of
from memviz.population.selection import SMOOTHING, at_hits_and_misses, coded, hit_rates, mixed

K = 6


def aligned_of(values: np.ndarray, match: np.ndarray, m: int, quantity: str = "frequency_1", k: int = K) -> Aligned:
    rows = np.arange(len(values))
    return Aligned("a", "sliding", k, m, rows, rows, match, {quantity: values})


def independent_hits(seed: int, n: int = 1500, m: int = 4, n_decoded: int = 4) -> Aligned:
    """Frequencies drawn at every index alike; a hit depends on the frequency at its place and on nothing else."""
    generator = np.random.default_rng(seed)
    values = 2.0 ** -generator.integers(1, 6, (n, K + n_decoded))
    chance = np.interp(np.log2(values[:, K:]), [-5, -1], [0.2, 0.8])
    return aligned_of(values, generator.random(chance.shape) < chance, m)


def codes_of(found: Aligned) -> tuple[np.ndarray, np.ndarray]:
    bins = bins_of(found, "frequency_1", 0)
    assert bins is not None
    near, (codes,) = coded(bins)
    return near, codes


def smoothed(bins: np.ndarray, match: np.ndarray, of: np.ndarray) -> np.ndarray:
    """P(hit | bin) at one position for each bin of `of`, by a loop over the rows of (n,) bins and matches."""
    found = {}
    for level in np.unique(of):
        weight = [math.exp(-(((each - level) / SMOOTHING) ** 2) / 2) for each in bins]
        found[level] = sum(w * hit for w, hit in zip(weight, match, strict=True)) / sum(weight)
    return np.array([found[level] for level in of])


# Groups and bins


def test_groups_by_hand() -> None:
    match = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1]], bool)
    found = aligned_of(np.ones((3, K + 4)), match, m=2)
    assert members(found, "memorized").tolist() == [True, False, False]
    assert members(found, "half").tolist() == [False, True, False]
    assert members(found, "unmemorized").tolist() == [False, False, True]
    assert members(found, "memorized", start=2).tolist() == [False, True, False]
    with pytest.raises(InputError, match="only 4 positions were decoded, 5 are needed"):
        members(found, "half", start=3)


def test_an_odd_m_has_no_half() -> None:
    match = np.array([[1, 0, 0], [1, 1, 0]], bool)
    assert not members(aligned_of(np.ones((2, K + 3)), match, m=3), "half").any()


def test_medium_is_the_level_around_a_half() -> None:
    match = np.array([[1] * n_hits + [0] * (10 - n_hits) for n_hits in range(11)], bool)
    assert np.flatnonzero(members(aligned_of(np.ones((11, K + 10)), match, m=10), "medium")).tolist() == [4, 5]


def test_the_null_of_medium_is_mixed_by_the_hits_it_has() -> None:
    found = independent_hits(4, n=3000, m=7, n_decoded=7)
    line = boundary_differences([found], "frequency_1", 50).set_index("group").loc["medium"]
    chosen = np.isin(found.match.sum(axis=1), [3, 4])
    share = found.match[chosen].mean()
    assert line["n"] == chosen.sum() and 3 / 7 < share < 4 / 7
    value = found.values["frequency_1"][:, K]
    h = smoothed(np.log2(value), found.match[:, 0], np.log2(value))
    mixed_mean = share * (value * h).sum() / h.sum() + (1 - share) * (value * (1 - h)).sum() / (1 - h).sum()
    assert line["null"] == pytest.approx(mixed_mean - value.mean())


def test_bins_are_powers_of_two_and_none() -> None:
    values = np.full((1, K + 4), 9.0)
    values[0, K:] = [0, 0.3, 0.26, 0.6]
    assert bins_of(aligned_of(values, np.ones((1, 4), bool), 4), "frequency_1", 0).tolist() == [[-np.inf, -2, -2, -1]]
    entropy = aligned_of(values, np.ones((1, 4), bool), 4, "entropy_teacher_forced")
    assert bins_of(entropy, "entropy_free_running", 0).tolist() == [[0, 1, 1, 2]]
    assert (
        bins_of(aligned_of(values, np.ones((1, 4), bool), 4, "entropy_free_running"), "entropy_free_running", 0) is None
    )


# The null


def test_expectations_are_those_of_a_loop() -> None:
    found = independent_hits(0, n=200)
    values, match = found.values["frequency_1"][:, K:], found.match
    near, bins = codes_of(found)
    log2 = np.log2(values)
    h = np.stack([smoothed(log2[:, t], match[:, t], log2[:, t]) for t in range(4)], axis=1)
    rates = hit_rates(bins, match, near, found.units, 50, 0)
    levels = np.unique(log2)
    np.testing.assert_allclose(rates[0], [smoothed(log2[:, t], match[:, t], levels) for t in range(4)])
    moments = at_hits_and_misses(values, bins, rates, found.units, 50, 0)
    hit, miss = (values * h).sum(axis=0) / h.sum(axis=0), (values * (1 - h)).sum(axis=0) / (1 - h).sum(axis=0)
    np.testing.assert_allclose(mixed(moments, 1.0).mean[0], hit)
    np.testing.assert_allclose(mixed(moments, 0.0).mean[0], miss)
    np.testing.assert_allclose(mixed(moments, 0.5).mean[0], (hit + miss) / 2)
    spread = (values**2 * h).sum(axis=0) / h.sum(axis=0) - hit**2
    np.testing.assert_allclose(mixed(moments, 1.0).variance[0], spread)


def test_many_indices_at_once_are_the_same_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    found = independent_hits(1, n=50)
    near, bins = codes_of(found)
    rates = hit_rates(bins, found.match, near, found.units, 20, 0)
    asked = (found.values["frequency_1"][:, K:], bins, rates, found.units, 20, 0)
    whole = at_hits_and_misses(*asked)
    monkeypatch.setattr("memviz.population.selection._CELLS", 1)
    np.testing.assert_allclose(at_hits_and_misses(*asked), whole)


def test_the_band_covers_independent_hits_as_often_as_it_says() -> None:
    covered = {group: [] for group in TABLE_GROUPS}
    for seed in range(40):
        found = boundary_differences([independent_hits(seed, n=600)], "frequency_1", n_resamples=200)
        for line in found.to_dict("records"):
            covered[line["group"]].append(line["null_low"] <= line["above"] <= line["null_high"])
            assert line["null_mean_low"] >= line["null_low"] and line["null_mean_high"] <= line["null_high"]
    assert all(np.mean(each) > 0.8 for each in covered.values()), {g: np.mean(c) for g, c in covered.items()}
    assert np.mean(list(covered.values())) == pytest.approx(0.95, abs=0.04)


def test_selection_alone_makes_a_jump_and_the_null_knows_it() -> None:
    lines = boundary_differences([independent_hits(7, n=6000)], "frequency_1", 300).set_index("group")
    assert lines.loc["memorized", "above_low"] > 0.02 and lines.loc["unmemorized", "above_high"] < -0.02
    for group in ("memorized", "unmemorized", "half"):
        assert lines.loc[group, "null"] == pytest.approx(lines.loc[group, "above"], abs=0.02)


def test_a_true_jump_lies_beyond_the_band() -> None:
    found = independent_hits(7, n=6000)
    values = found.values["frequency_1"].copy()
    values[members(found, "memorized"), K] += 0.2
    line = (
        boundary_differences([aligned_of(values, found.match, 4)], "frequency_1", 300)
        .set_index("group")
        .loc["memorized"]
    )
    assert line["above"] > line["null_high"]


def test_hits_that_decay_are_no_boundary_where_unlearnt_rows_are_known() -> None:
    """At most 8 % false declarations are promised of 500 trials (bench/nulls.py); of 40, at most 7 (P = .02 at .08)."""
    declarations = dict.fromkeys(WITHOUT, 0)
    for kind in WITHOUT:
        for seed in range(40):
            table = boundary_differences([population(kind, 600, seed)], "frequency_1", 200, seed).set_index("group")
            declarations[kind] += declared(table.loc["unmemorized"].to_dict(), -1)
    assert max(declarations.values()) <= 7, declarations


def test_unmemorized_rows_are_held_against_the_hits_of_unlearnt_ones() -> None:
    trained, other = population("decaying", 600, 1), population("decaying", 400, 2)
    line = boundary_differences([replace(trained, unseen=other)], "frequency_1", 50).set_index("group")
    value, theirs = trained.values["frequency_1"], np.floor(np.log2(other.values["frequency_1"][:, K_OF]))
    miss = 1 - smoothed(theirs, other.match[:, 0], np.floor(np.log2(value[:, K_OF])))
    expected = (value[:, K_OF] * miss).sum() / miss.sum() - value[:, K_OF].mean()
    assert line.loc["unmemorized", "null"] == pytest.approx(expected) and line.loc["unmemorized", "n_unseen"] == 400
    alone = boundary_differences([replace(trained, unseen=None)], "frequency_1", 50).set_index("group")
    assert alone.loc["unmemorized", "null"] != pytest.approx(expected) and alone.loc["unmemorized", "n_unseen"] == 0
    assert alone.loc["memorized", "null"] == line.loc["memorized", "null"]


def test_what_could_be_detected_is_in_units_of_the_band() -> None:
    line = boundary_differences([independent_hits(2, n=600)], "frequency_1", 100).set_index("group").loc["memorized"]
    assert line["detectable"] == pytest.approx(
        (1.959964 + 0.841621) / 1.959964 * (line["null_high"] - line["null_low"]) / 2
    )


# The moved edge


def test_selection_moves_with_the_edge() -> None:
    found = independent_hits(3, n=6000, m=4, n_decoded=12)
    line = boundary_differences([found], "frequency_1", 300).set_index("group").loc["memorized"]
    assert line["edge"] == pytest.approx(line["jump"], abs=0.04) and line["edge_low"] > 0.02
    chosen = members(found, "memorized", 8)
    assert line["fall_low"] < 0 < line["fall_high"] and line["n_edge"] == chosen.sum()
    jump = np.diff(found.values["frequency_1"][:, K + 7 : K + 9], axis=1)[:, 0]
    assert line["edge_above"] == pytest.approx(jump[chosen].mean() - jump.mean())
    assert line["edge_above_low"] < line["edge_above"] < line["edge_above_high"]


def test_a_jump_of_the_start_stays() -> None:
    found = independent_hits(3, n=6000, m=4, n_decoded=12)
    values = found.values["frequency_1"].copy()
    values[:, K:] += 0.3
    line = (
        boundary_differences([aligned_of(values, found.match, 4)], "frequency_1", 300)
        .set_index("group")
        .loc["memorized"]
    )
    assert line["fall_low"] > 0.2 and line["above"] < 0.3  # all rows jump: not a matter of the group


def test_too_few_positions_leave_the_edge_open() -> None:
    line = boundary_differences([independent_hits(0)], "frequency_1", 50).iloc[0]
    assert np.isnan([line["edge"], line["fall"], line["edge_low"]]).all() and line["n_edge"] == 0


# Tables


def test_jumps_by_hand() -> None:
    values = np.tile(np.arange(K + 2.0), (4, 1))
    values[:, K] += [10, 20, 30, 40]
    match = np.array([[1, 1], [1, 1], [0, 0], [1, 0]], bool)
    lines = boundary_differences([aligned_of(values, match, 2)], "frequency_1", 100).set_index("group")
    assert lines["jump"].tolist() == [16, 41, 31, 41] and lines["n"].tolist() == [2, 1, 1, 1]
    assert set(lines["all_rows"]) == {26} and lines["above"].tolist() == [-10, 15, 5, 15]


def test_several_contexts_are_pooled_and_clustered_by_row() -> None:
    one = independent_hits(5, n=400)
    twice = boundary_differences([one, one], "frequency_1", 400)
    once = boundary_differences([one], "frequency_1", 400)
    assert twice["k"].tolist() == ["6+6"] * 4 and (twice["n"] == 2 * once["n"]).all()
    assert (twice["n_units"] == once["n_units"]).all()
    for name in ("jump", "jump_low", "jump_high", "above", "above_high", "null", "null_low"):
        np.testing.assert_allclose(twice[name], once[name])


def test_bins_of_pooled_contexts_are_the_same_bins() -> None:
    one, other = independent_hits(5, n=400), independent_hits(6, n=400)
    rarer = aligned_of(other.values["frequency_1"] / 8, other.match, other.m)  # its bins begin elsewhere
    line = boundary_differences([one, rarer], "frequency_1", 50).set_index("group").loc["memorized"]
    values = np.concatenate([one.values["frequency_1"], rarer.values["frequency_1"]])[:, K:]
    match = np.concatenate([one.match, rarer.match])
    bins = np.floor(np.log2(values[:, 0]))
    h = smoothed(bins, match[:, 0], bins)
    expected = (values[:, 0] * h).sum() / h.sum() - values[:, 0].mean()
    assert line["null"] == pytest.approx(expected, rel=1e-9)


def test_what_cannot_be_pooled_is_refused() -> None:
    one, other = independent_hits(0, m=4), independent_hits(0, m=2)
    with pytest.raises(InputError, match="cannot be pooled"):
        boundary_differences([one, other], "frequency_1")
    with pytest.raises(InputError, match="entropy_free_running is not known"):
        boundary_differences([one], "entropy_free_running")


def test_curves_are_means_and_the_null_starts_with_the_continuation() -> None:
    found = independent_hits(2, n=800, m=3)
    found.values["frequency_1"][:, 0] = np.nan
    curve = boundary_curves(found, "frequency_1", 200)
    assert curve["group"].unique().tolist() == ["all", "memorized", "half", "unmemorized"]
    one = curve[curve["group"] == "memorized"].set_index("t")
    chosen = members(found, "memorized")
    np.testing.assert_allclose(one["mean"].to_numpy(), found.values["frequency_1"][chosen].mean(axis=0))
    assert np.isnan(one.loc[-K, ["mean", "low", "null", "null_low"]].astype(float)).all()
    for t in (-2, -1, 3):  # outside of what the group was chosen on, the null is all rows
        assert one.loc[t, "null"] == pytest.approx(one.loc[t, "all_rows"])
    assert one.loc[0, "null"] > one.loc[0, "all_rows"] + 0.02
    inside = curve[curve["group"] != "all"].dropna(subset=["null"])
    inside = inside[inside["n"] > 0]
    assert np.mean((inside["null_low"] <= inside["mean"]) & (inside["mean"] <= inside["null_high"])) > 0.85
    assert curve[curve["group"] == "all"]["null"].isna().all()


def test_an_empty_group_is_unknown_not_an_error() -> None:
    values = np.ones((5, K + 2))
    curve = boundary_curves(aligned_of(values, np.ones((5, 2), bool), 2), "frequency_1", 50)
    assert curve[curve["group"] == "half"][["mean", "low", "null_low"]].isna().all(axis=None)
    lines = boundary_differences([aligned_of(values, np.ones((5, 2), bool), 2)], "frequency_1", 50)
    assert np.isnan(lines.set_index("group").loc["unmemorized", "jump"])
    assert lines.set_index("group").loc["memorized", "jump"] == 0
