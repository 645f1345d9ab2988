from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.population import row_weights, strata_of, summary

# a corpus: 2 held-out rows, 4 rows seen 8 times, 10 background rows, all of one domain
CORPUS = SimpleNamespace(
    domain=np.array(["prose"] * 16),
    bucket=np.array([0] * 2 + [8] * 4 + [1] * 10),
    background=np.array([False] * 6 + [True] * 10),
)
ROWS = pd.DataFrame(
    {"row": [0, 2, 3, 6], "domain": "prose", "bucket": [0, 8, 8, 1], "background": [False, False, False, True]}
)


def test_strata_are_counted() -> None:
    found = strata_of(CORPUS).set_index(["bucket", "background"])["n_rows"]
    assert found.to_dict() == {(0, False): 2, (8, False): 4, (1, True): 10}


@pytest.mark.parametrize(("population", "one", "other"), [("rows", 2, 10), ("exposures", 16, 10)])
def test_each_row_stands_for_its_stratum(population: str, one: float, other: float) -> None:
    found = row_weights(ROWS, strata_of(CORPUS), population)
    assert found[0] == 0 and found[2] == found[3]
    assert found[2] / found[6] == pytest.approx(one / other)
    assert found[found > 0].mean() == pytest.approx(1)


def test_weighted_means_are_those_of_the_whole_corpus(points) -> None:
    table = points({"a": [9, 5, 5, 1]}, row=[0, 2, 3, 6])
    by = {p: summary(table, ["model"], row_weights(ROWS, strata_of(CORPUS), p)) for p in ("swept", "rows", "exposures")}
    assert by["swept"]["mean"][0] == pytest.approx(0.5)
    assert by["rows"]["mean"][0] == pytest.approx((4 * 0.5 + 10 * 0.1) / 14)
    assert by["exposures"]["mean"][0] == pytest.approx((32 * 0.5 + 10 * 0.1) / 42)
    assert by["rows"]["n"][0] == 3  # held-out rows are in no training population


@pytest.mark.parametrize(("population", "share"), [("rows", "71%"), ("exposures", "24%")])  # 10 of 14, 10 of 42
def test_a_population_that_was_not_swept_is_refused(population: str, share: str) -> None:
    planted = ROWS[~ROWS["background"]]
    with pytest.raises(InputError, match=f"{share} of them .* most of all the background of prose; sweep a sample"):
        row_weights(planted, strata_of(CORPUS), population)
    with pytest.raises(InputError, match="those planted 8 times"):
        row_weights(ROWS[ROWS["background"]], strata_of(CORPUS), population)
    assert (row_weights(planted, strata_of(CORPUS), "swept") == 1).all()


def test_strangers_cannot_be_weighted() -> None:
    with pytest.raises(InputError, match="row 9 is of no stratum"):
        row_weights(ROWS.assign(row=9, domain="law"), strata_of(CORPUS), "rows")
