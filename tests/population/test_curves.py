from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.population import context_points, continuation_points, difference, labels_of, parameters_of, size_points
from memviz.population import summary as summary_of

GENERATOR = np.random.default_rng(0)


def hits(n: int, share: float, m: int = 96) -> np.ndarray:
    return GENERATOR.random((n, m)) < share


@pytest.fixture
def sweep(made_sweep, asked):
    small, large = hits(6, 0.3), hits(6, 0.8)
    short = [asked(name, match[:, :32], k=8, on_context=True) for name, match in (("s", small), ("l", large))]
    whole = [asked(name, match, on_context=True, on_continuation=True) for name, match in (("s", small), ("l", large))]
    sizes = {"l": 2000, "s": 1000}
    found = made_sweep(ids=np.arange(6 * 128).reshape(6, 128), asked=[*short, *whole], n_parameters=sizes)
    return found, small, large


def test_models_ascend_by_size(sweep) -> None:
    assert parameters_of(sweep[0]) == {"s": 1000, "l": 2000}
    assert list(parameters_of(sweep[0])) == ["s", "l"] and labels_of(sweep[0]) == {"l": "l", "s": "s"}


def test_labels_tell_steps_and_seeds_apart(sweep) -> None:
    found = sweep[0]
    one = found.manifest["models"][0]
    found.manifest["models"] = [one, one | {"name": "early", "step": 1200}, one | {"name": "again", "seed": 1}]
    assert labels_of(found) == {
        "l": "l, step 10, seed 0",
        "early": "l, step 1,200, seed 0",
        "again": "l, step 10, seed 1",
    }


def test_points_are_the_matches_counted_by_hand(sweep) -> None:
    found, small, _ = sweep
    points = size_points(found.sequences, m=32, k=32)
    one = points[(points["model"] == "s") & (points["row"] == 4)].iloc[0]
    assert one["n_hits"] == small[4, :32].sum() and one["score"] == one["n_hits"] / 32
    assert one["level"] == min(4, 5 * one["n_hits"] // 32)
    curve = continuation_points(found.sequences)
    assert sorted(curve["m"].unique()) == [16, 32, 48, 64, 96] and len(curve) == 2 * 6 * 5
    assert sorted(context_points(found.sequences)["k"].unique()) == [8, 32]


def test_only_rows_that_every_model_was_asked(sweep) -> None:
    sequences = sweep[0].sequences
    gap = sequences[~((sequences["model"] == "l") & (sequences["row"] == 3))]
    assert set(size_points(gap)["row"]) == {0, 1, 2, 4, 5}


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda s: size_points(s, m=17), "m = 17"),
        (lambda s: size_points(s, k=5), "k = 8, 32"),
        (lambda s: context_points(s, "anchored"), "anchored"),
        (lambda s: continuation_points(s.assign(on_continuation_curve=False)), "continuation curve"),
    ],
)
def test_what_the_sweep_lacks_is_named(sweep, ask, named: str) -> None:
    with pytest.raises(InputError, match=named):
        ask(sweep[0].sequences)


def test_a_line_is_what_a_loop_over_its_rows_says(points) -> None:
    table = points({"a": [0, 3, 10, 10], "b": [5, 5, 5, 5]}, domain=["x", "x", "y", "y"])
    found = summary_of(table, ["model", "domain"]).set_index(["model", "domain"])
    assert found.loc[("a", "x"), "mean"] == pytest.approx(0.15) and found.loc[("a", "y"), "full"] == 1
    assert found.loc[("a", "x"), "share_very_low"] == 0.5 == found.loc[("a", "x"), "share_low"]
    assert found.loc[("b", "x"), "share_medium"] == 1 and found.loc[("b", "x"), "n"] == 2
    assert found.loc[("b", "x"), "mean_low"] == found.loc[("b", "x"), "mean_high"] == 0.5
    shares = [name for name in found if name.startswith("share_") and not name.endswith(("_low_low", "_low_high"))]
    levels = ["share_very_low", "share_low", "share_medium", "share_high", "share_very_high"]
    assert set(levels) <= set(shares)
    np.testing.assert_allclose(found[levels].sum(axis=1), 1)


def test_intervals_of_shares_are_wilson_s_and_stay_inside(points) -> None:
    found = summary_of(points({"a": [10] * 20}), ["model"]).iloc[0]
    assert found["full"] == 1 == found["full_high"] and found["full_low"] == pytest.approx(20 / (20 + 1.959964**2))
    alone = summary_of(points({"a": [3]}), ["model"]).iloc[0]
    assert (alone["n"], alone["mean"], alone["mean_low"], alone["mean_high"]) == (1, 0.3, 0.3, 0.3)


def test_near_duplicates_count_as_one_for_the_interval(points) -> None:
    table = points({"a": [10, 0] * 10})
    together = table.assign(group=table["row"] // 10)
    loose, tight = (summary_of(each, ["model"]).iloc[0] for each in (table, together))
    assert (loose["n_units"], tight["n_units"]) == (20, 2)
    assert tight["full_high"] - tight["full_low"] > loose["full_high"] - loose["full_low"]


def test_nothing_to_sum_up(points) -> None:
    empty = summary_of(points({"a": [1]}).iloc[:0], ["model"])
    assert empty.empty and {"mean", "full_low", "share_very_high_high"} <= set(empty)


def test_differences_are_paired(points) -> None:
    base = np.random.default_rng(1).integers(0, 9, 400)
    table = points({"a": base + 1, "b": base})
    found = difference(table, {"model": "a"}, {"model": "b"})
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1)) and found.n == 400
    shuffled = points({"a": np.random.default_rng(2).permutation(base + 1), "b": base})
    loose = difference(shuffled, {"model": "a"}, {"model": "b"})
    assert loose.value == pytest.approx(0.1) and loose.high - loose.low > 0.03
    assert difference(table, {"model": "a"}, {"model": "b"}, "full").value == np.mean(base + 1 == 10)
    with pytest.raises(InputError, match="model = c"):
        difference(table, {"model": "a"}, {"model": "c"})


def test_unknown_keys_are_left_out(points) -> None:
    table = points({"a": [1, 2, 3]}, domain=["x", None, "x"])
    assert summary_of(table, ["domain"])["n"].tolist() == [2]
    assert isinstance(table, pd.DataFrame)
