"""Membership judged: AUROC and true positives at 1 % against scikit-learn, intervals, classes, older sweeps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from memviz.errors import InputError
from memviz.population.membership import SCORES, _both, judged, membership_points, rates, roc


def table(n: int = 300, seed: int = 0, **given: object) -> pd.DataFrame:
    """One model's rows, half of them held out; members are likelier by half a nat. Scores are rounded: they tie."""
    generator = np.random.default_rng(seed)
    bucket = np.repeat([0, 1, 4], [n // 2, n // 4, n - n // 2 - n // 4])
    log_p = 16 * (generator.normal(-3, 1, n) + 0.5 * (bucket > 0) + 0.5 * (bucket > 1)).round(1)
    return pd.DataFrame(
        {
            "model": "a", "row": np.arange(n), "group": np.arange(n), "mode": "sliding", "k": 32, "bucket": bucket,
            "domain": "prose", "background": bucket == 1, "log_p_16": log_p,
            "zlib_bytes_16": generator.integers(30, 60, n), "min_k_16": (log_p / 16 - 2).round(1),
            "min_k_plus_plus_16": generator.normal(0, 1, n).round(1),
        } | given
    )  # fmt: skip


def test_auroc_and_true_positives_against_scikit_learn() -> None:
    points = membership_points(table(), m=16)
    both = judged(points, n_resamples=20)
    parts = [judged(points, n_resamples=20, together=together) for together in (True, False)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), both)
    found = both.set_index(["members", "score"])
    for members in ("all", "1", "4"):
        some = points if members == "all" else points[~points["member"] | (points["of"] == members)]
        for score in SCORES:
            line = found.loc[members, score]
            assert line["auroc"] == pytest.approx(roc_auc_score(some["member"], some[score]))
            false, true, _ = roc_curve(some["member"], some[score], drop_intermediate=False)
            assert line["tpr"] == pytest.approx(true[false <= 0.01][-1])
            assert line["n_members"] == some["member"].sum() and line["n_others"] == 150


def test_the_drawn_curve_has_the_area_that_is_said() -> None:
    points = membership_points(table(), m=16)
    drawn = roc(points, "a")
    for score, mine in drawn.groupby("score"):
        area = np.trapezoid(mine["true"], mine["false"])
        assert area == pytest.approx(roc_auc_score(points["member"], points[score]), abs=0.01)


@pytest.mark.parametrize("n_members", [20, 350])
def test_weights_are_rows_taken_several_times(n_members: int) -> None:
    generator = np.random.default_rng(1)
    score, member = generator.normal(size=400).round(1), np.arange(400) < n_members
    score[member] += 1
    times = generator.integers(0, 4, 400)
    false, true = (each[0] for each in rates(score, member, times[None].astype(float)))
    labels, scores = np.repeat(member, times), np.repeat(score, times)
    expected = roc_auc_score(labels, scores)
    assert np.trapezoid(true, false) == pytest.approx(expected)
    (area,), (reached,) = _both(score, member, times[None].astype(float))
    assert area == pytest.approx(expected)
    allowed = [cut for cut in np.unique(scores) if (scores[~labels] >= cut).mean() <= 0.01]
    assert reached == pytest.approx(max((scores[labels] >= cut).mean() for cut in allowed))


def test_the_interval_is_that_of_the_mann_whitney_statistic() -> None:
    # normal scores one standard deviation apart: DeLong's variance of the area, from its placements
    points = membership_points(table(2000, 3), m=16)
    line = judged(points, 400).set_index(["members", "score"]).loc["all", "perplexity"]
    member, score = points["member"].to_numpy(), points["perplexity"].to_numpy()
    above = (score[member][:, None] > score[~member]) + 0.5 * (score[member][:, None] == score[~member])
    variance = above.mean(axis=1).var(ddof=1) / member.sum() + above.mean(axis=0).var(ddof=1) / (~member).sum()
    half = 1.96 * np.sqrt(variance)
    assert line["auroc_high"] - line["auroc_low"] == pytest.approx(2 * half, rel=0.2)


def test_own_labels_are_classes() -> None:
    said = np.where(np.arange(300) % 3 == 0, "seen", "fresh").astype(object)
    said[:10] = None
    points = membership_points(table(label_split=said, bucket=None), m=16, column="label_split", members=("seen",))
    assert points["member"].sum() == sum(each == "seen" for each in said) and len(points) == 290
    numbers = membership_points(table(label_n=1_234_567.0 + (np.arange(300) % 2)), 16, 32, "label_n", ("1234567",))
    assert numbers["member"].tolist() == [True, False] * 150
    with pytest.raises(InputError, match="no row is of the class members by label_split"):
        membership_points(table(label_split=said), m=16, column="label_split", members=("none",))
    with pytest.raises(InputError, match="it has bucket, label_split"):
        membership_points(table(label_split=said), m=16, column="label_other")


def test_an_older_sweep_is_judged_by_perplexity_alone() -> None:
    older = table().drop(columns=["zlib_bytes_16", "min_k_16", "min_k_plus_plus_16"])
    found = judged(membership_points(older, m=16), 20)
    assert set(found["score"]) == {"perplexity"}
    assert roc(membership_points(older, m=16), "a")["score"].unique().tolist() == ["perplexity"]


def test_a_sweep_without_held_out_rows_is_refused() -> None:
    with pytest.raises(InputError, match="no row is of the class others by bucket"):
        membership_points(table().query("bucket > 0"), m=16)
