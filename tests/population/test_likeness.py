"""Agreement beside M, against means by hand; sweeps that are older than its columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.population.likeness import likeness, likeness_points

LINES = pd.DataFrame(
    {
        "model": ["a"] * 4, "row": range(4), "group": range(4), "mode": "sliding", "k": 32, "domain": "prose",
        "bucket": 4, "background": False, "n_matches_8": [8, 2, 0, 4], "common_run_8": [8, 6, 1, 4],
        "edit_distance_8": [0, 2, 8, 4], "bleu_8": [1.0, 0.8, 0.0, 0.2],
    }
)  # fmt: skip


def test_means_and_shares_by_hand() -> None:
    found = likeness(likeness_points(LINES, m=8), n_resamples=50).set_index("measure")["mean"]
    assert found.to_dict() == pytest.approx(
        {"score": 14 / 32, "run": 19 / 32, "edit": 18 / 32, "bleu": 0.5, "full": 0.25, "approximate": 0.5}
    )


def test_weights_count() -> None:
    weights = pd.Series([1.0, 3.0, 0.0, 0.0], index=range(4))
    found = likeness(likeness_points(LINES, m=8), weights, 50).set_index("measure")
    assert found.loc["run", "mean"] == pytest.approx((8 + 3 * 6) / 8 / 4)
    assert (found["n"] == 2).all()


def test_the_interval_of_a_mean_is_that_of_the_normal() -> None:
    many = pd.concat([LINES] * 100, ignore_index=True).assign(row=range(400), group=range(400))
    line = likeness(likeness_points(many, m=8)).set_index("measure").loc["run"]
    assert line["mean_high"] - line["mean_low"] == pytest.approx(
        2 * 1.96 * np.std([1, 6 / 8, 1 / 8, 4 / 8]) / 20, rel=0.1
    )


def test_an_older_sweep_says_what_it_lacks() -> None:
    with pytest.raises(InputError, match="made before memviz kept common_run_8: run its command again"):
        likeness_points(LINES.drop(columns="common_run_8"), m=8)
