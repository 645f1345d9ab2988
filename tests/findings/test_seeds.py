"""Training seeds of the suite beside its sweep: known by the scores that ship."""

from __future__ import annotations

import pandas as pd
from support.suite import SECOND_SMALLEST, SEEDS

from memviz.demo.recipe import SHIPPED as SUITE
from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.findings.evidence.material import material_of
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED


def test_the_suites_further_seeds_are_known_by_their_scores() -> None:
    found = material_of([read_sweep(SHIPPED)])
    assert tuple(name for name in found.seeds if "@" in name) == SEEDS
    assert found.by_seed[2].models == [size.name + "@seed2" * (size.n_seeds > 2) for size in SUITE.sizes]
    scores = pd.read_parquet(SUITE_FOLDER / "scores.parquet").query("condition == 'sliding'")
    rows = read_data().bucket > 0
    mine = scores[(scores["model"] == f"{SECOND_SMALLEST}@seed2") & rows[scores["row"]]]
    mine = mine[~read_data().background[mine["row"]]]
    points = found.by_seed[2].points.query(f"model == '{SECOND_SMALLEST}@seed2'")
    assert (
        len(points) == len(mine) == sum(SUITE.buckets.values()) - SUITE.buckets[0]
        and points["n_hits"].sum() == mine["n_matches_32"].sum()
    )
