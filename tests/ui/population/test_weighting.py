"""A weighted view of the suite's own sweep, against sums over the strata of the corpus."""

from __future__ import annotations

import pytest
from support.suite import LARGEST, SMALLEST

from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.population import Filters, strata_of
from memviz.sweeps import Sweep, read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.ui.population.tables import table_of
from memviz.ui.population.view import SweepView

MODELS = (SMALLEST, LARGEST)


def view_of(sweep: Sweep, population: str = "rows") -> SweepView:
    return SweepView(sweep, Filters(parts=("planted",), buckets=(64,)), MODELS, population, 32)


@pytest.mark.parametrize(("population", "most"), [("rows", 1), ("exposures", 64)])  # what a row counts, at most
def test_a_population_is_the_sum_of_its_strata(population: str, most: int) -> None:
    view = view_of(read_sweep(SHIPPED), population)
    asked = view.sequences.query(f"k == 32 and mode == 'sliding' and model == '{LARGEST}'")
    score = asked.assign(score=asked["n_matches_32"] / 32).groupby(["domain", "bucket", "background"])["score"].mean()
    strata = strata_of(read_data()).query("bucket > 0").set_index(["domain", "bucket", "background"])
    mass = strata["n_rows"] * strata.index.get_level_values("bucket").to_numpy().clip(max=most)
    expected = (mass * score.loc[strata.index]).sum() / mass.sum()
    found = table_of(view, "size", "model").set_index("model").loc[LARGEST, "mean"]
    assert found == pytest.approx(expected)
    assert view.which == "3,400 of 3,800 rows (background, planted)"


def test_unique_rows_are_mostly_not_memorized() -> None:
    """The planted rows alone have a mean M of .45; four in five distinct rows were seen once."""
    found = table_of(view_of(read_sweep(SHIPPED)), "size", "model").set_index("model")
    assert 0.09 < found.loc[LARGEST, "mean"] < 0.13


def test_another_sweep_without_the_background_is_refused(tmp_path) -> None:
    other = Sweep(tmp_path, read_sweep(SHIPPED).manifest)
    for name in ("rows", "sequences"):
        (tmp_path / f"{name}.parquet").symlink_to(SHIPPED / f"{name}.parquet")
    with pytest.raises(InputError, match=r"82% of them .* not swept, most of all the background of"):
        view_of(other).weights()


def test_a_curve_that_lacks_the_background_is_refused() -> None:
    view = view_of(read_sweep(SHIPPED))
    assert table_of(view, "anchored", "model", "k") is None and table_of(view, "continuation", "model", "m") is not None
