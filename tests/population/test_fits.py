from __future__ import annotations

import numpy as np
import pytest

from memviz.population import SizeFit, size_fits

SIZES = {"a": 10**5, "b": 10**6, "c": 10**7}


def fit_of(found: list[SizeFit], kind: str, quantity: str) -> SizeFit:
    return next(each for each in found if (each.kind, each.quantity) == (kind, quantity))


@pytest.fixture
def found(points):
    full = {"a": 10, "b": 30, "c": 90}  # of 100 rows
    return size_fits(points({name: [10] * n + [4] * (100 - n) for name, n in full.items()}), SIZES)


def test_fits_are_those_of_polyfit(found) -> None:
    x = np.log(list(SIZES.values()))
    full, mean = np.array([0.1, 0.3, 0.9]), np.array([0.1, 0.3, 0.9]) * 0.6 + 0.4
    for kind, quantity, y in (
        ("linear", "mean", mean),
        ("power", "full", np.log(full)),
        ("power", "n_full", np.log(100 * full + 0.5)),
        ("linear", "n_full", 100 * full),
    ):
        fit = fit_of(found, kind, quantity)
        slope, intercept = np.polyfit(x, y, 1)
        assert (fit.slope, fit.intercept) == (pytest.approx(slope), pytest.approx(intercept))
        assert fit.residual == pytest.approx(np.sqrt(np.mean((np.polyval([slope, intercept], x) - y) ** 2)))
        assert fit.low < slope < fit.high and (fit.n_models, fit.n_rows) == (3, 100)


def test_exponent_of_threefold_for_tenfold(found) -> None:
    fit = fit_of(found, "power", "full")
    assert fit.slope == pytest.approx(np.log(3) / np.log(10)) and fit.residual == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(fit.at(np.array([10**5, 10**8])), [0.1, 2.7])
    assert fit_of(found, "power", "n_full").at(np.array([10**6])) == pytest.approx(30, rel=0.02)


def test_no_power_law_through_zero(points) -> None:
    found = size_fits(points({"a": [4] * 20, "b": [10] * 20}), SIZES)
    assert {(each.kind, each.quantity) for each in found} == {
        ("linear", "mean"), ("power", "mean"), ("linear", "full"), ("linear", "n_full"), ("power", "n_full")
    }  # fmt: skip
    assert np.isnan(found[0].residual)


def test_one_size_has_no_slope(points) -> None:
    assert size_fits(points({"a": [4, 5]}), SIZES) == []
    assert size_fits(points({"a": [4, 5], "b": [5, 5]}), {"a": 5, "b": 5}) == []
