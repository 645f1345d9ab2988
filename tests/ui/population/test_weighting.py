"""A weighted view of the suite's own sweep, against sums over the strata of the corpus."""

from __future__ import annotations

import pandas as pd
import pytest
from support.suite import LARGEST, SMALLEST

from memviz.demo.evaluation import N_BACKGROUND
from memviz.demo.recipe import SHIPPED as SUITE
from memviz.demo.suite import SUITE_FOLDER, read_data
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
    n_planted, n_held = (int((view.rows["bucket"].ge(1) & ~view.rows["background"]).sum()), SUITE.buckets[0])
    assert n_planted == sum(SUITE.buckets.values()) - n_held
    n = n_planted + N_BACKGROUND
    assert view.which == f"{n:,} of {n + n_held:,} rows (background, planted)"


def test_unique_rows_are_mostly_not_memorized() -> None:
    """Four in five distinct rows were seen once, of which the scores have a sample."""
    found = table_of(view_of(read_sweep(SHIPPED)), "size", "model").set_index("model").loc[LARGEST, "mean"]
    data, scores = read_data(), pd.read_parquet(SUITE_FOLDER / "scores.parquet")
    mine = (
        scores[(scores["model"] == LARGEST) & (scores["condition"] == "sliding")].set_index("row")["n_matches_32"] / 32
    )
    is_planted = (data.bucket > 0) & ~data.background
    share = is_planted.sum() / (is_planted.sum() + data.background.sum())
    planted, once = (mine[part[mine.index]].mean() for part in (is_planted, data.background))
    assert found == pytest.approx(share * planted + (1 - share) * once, abs=0.005) and found < planted / 2


def test_another_sweep_without_the_background_is_refused(tmp_path) -> None:
    once = read_data().background.sum() / (read_data().bucket > 0).sum()
    other = Sweep(tmp_path, read_sweep(SHIPPED).manifest)
    for name in ("rows", "sequences"):
        (tmp_path / f"{name}.parquet").symlink_to(SHIPPED / f"{name}.parquet")
    with pytest.raises(InputError, match=rf"{once:.0%} of them .* not swept, most of all the background of"):
        view_of(other).weights()


def test_a_curve_that_lacks_the_background_is_refused() -> None:
    view = view_of(read_sweep(SHIPPED))
    assert table_of(view, "anchored", "model", "k") is None and table_of(view, "continuation", "model", "m") is not None
