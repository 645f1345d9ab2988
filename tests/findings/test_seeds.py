"""Training seeds of the suite beside its sweep: known by the scores that ship."""

from __future__ import annotations

import pandas as pd

from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.findings.evidence.material import material_of
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED


def test_the_suites_further_seeds_are_known_by_their_scores() -> None:
    found = material_of([read_sweep(SHIPPED)])
    assert [name for name in found.seeds if "@" in name] == [
        f"suite-{size}m@seed{seed}" for size in ("0.3", "0.7") for seed in (1, 2)
    ]
    assert found.by_seed[2].models == ["suite-0.3m@seed2", "suite-0.7m@seed2", "suite-1.8m", "suite-7.6m"]
    scores = pd.read_parquet(SUITE_FOLDER / "scores.parquet").query("condition == 'sliding'")
    rows = read_data().bucket > 0
    mine = scores[(scores["model"] == "suite-0.7m@seed2") & rows[scores["row"]]]
    mine = mine[~read_data().background[mine["row"]]]
    points = found.by_seed[2].points.query("model == 'suite-0.7m@seed2'")
    assert len(points) == len(mine) == 3000 and points["n_hits"].sum() == mine["n_matches_32"].sum()
