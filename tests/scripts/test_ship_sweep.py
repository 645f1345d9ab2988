"""The sweep that ships against the tables of the suite's scores, and packing against the sweep it packs."""

from __future__ import annotations

import runpy
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.published import bleu, levenshtein
from support.serving import ROOT
from support.suite import LARGEST, SMALLEST, STEPPED, STEPS

from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.population import Filters, align, boundary_curves, boundary_differences
from memviz.population.counterfactual import earlier, first_steps
from memviz.population.first_view import CURVES, DIFFERENCES, FIRST_VIEW, computed_before
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.states import texts_of
from memviz.tokenizer import Tokenizer


def test_what_ships_has_the_scores_that_the_suite_was_measured_to_have() -> None:
    sweep = read_sweep(SHIPPED)
    scores = pd.read_parquet(SUITE_FOLDER / "scores.parquet").query("condition == 'sliding'")
    known = scores.set_index(["model", "row"])
    asked = sweep.sequences[sweep.sequences["on_continuation_curve"].astype(bool)].set_index(["model", "row"])
    both = asked.join(known.add_suffix("_scored"), how="inner")
    assert len(both) > 3_000
    for m in (16, 32, 48, 64, 96):
        assert (both[f"n_matches_{m}"] == both[f"n_matches_{m}_scored"]).mean() > 0.999
    data = read_data()
    assert set(sweep.rows["row"]) == set(np.flatnonzero(~data.background))
    texts = texts_of(sweep, LARGEST)
    assert (texts.true_ids[:, :32] == data.ids[texts.rows, :32]).all()
    assert (texts.match.sum(axis=1) == asked.loc[LARGEST]["n_matches_32"].loc[texts.rows]).all()


def test_what_ships_says_what_was_left_out() -> None:
    sweep = read_sweep(SHIPPED)
    assert set(sweep.manifest["packed"]) == {"sequences", "positions", "digits"}
    kept = sweep.sequences["generated_ids"].notna()
    assert (kept == (sweep.sequences["k"].eq(32) & sweep.sequences["mode"].eq("sliding"))).all()
    assert sweep.sequences["matches"].notna().all()


def test_checkpoints_of_the_same_rows_ship_beside_with_the_scores_that_were_measured() -> None:
    sweep = read_sweep(SHIPPED)
    (beside,) = sweep.beside
    assert sweep.holding(STEPS[0]).folder == beside.folder and sweep.holding(STEPPED) is sweep
    mine = [name for name in beside.task.models if name.startswith(STEPPED)]
    assert earlier(sweep, STEPPED, first_steps(read_data())) == mine[::-1]
    scores = pd.read_parquet(SUITE_FOLDER / "scores.parquet").query("condition == 'sliding'")
    both = beside.sequences.merge(scores, on=["model", "row"], suffixes=("", "_scored"))
    assert len(both) == len(beside.task.models) * len(sweep.rows)
    for m in (16, 32):
        assert (both[f"n_matches_{m}"] == both[f"n_matches_{m}_scored"]).mean() > 0.999


def test_what_stands_beside_the_hits_ships_for_the_condition_that_pages_open_on() -> None:
    sweep = read_sweep(SHIPPED)
    found, rows = sweep.sequences, sweep.rows.set_index("row")["ids"]
    opened = found["k"].eq(32) & found["mode"].eq("sliding")
    tokenizer = Tokenizer(SUITE_FOLDER / "corpus", [])
    for name in ("common_run", "edit_distance", "bleu", "min_k", "min_k_plus_plus", "zlib_bytes"):
        assert (found[f"{name}_96"].notna() == opened).all(), name
    for _, line in found[opened].iloc[::1500].iterrows():
        own, true = line["generated_ids"][:48].tolist(), rows[line["row"]][32:80].tolist()
        assert line["edit_distance_48"] == levenshtein(own, true)
        assert line["bleu_48"] == pytest.approx(bleu(own, true), rel=0.01)  # three digits ship
        assert line["zlib_bytes_48"] == len(zlib.compress(tokenizer.to_bytes(np.array(true))))
    assert (found["min_k_96"] < found["log_p_96"] / 96).loc[opened].all(), "the least likely tokens are less likely"


def test_what_was_computed_beforehand_is_what_would_be_computed() -> None:
    sweep, model = read_sweep(SHIPPED), STEPPED
    aligned = align(sweep, model)
    aligned = aligned.where(np.isin(aligned.rows, FIRST_VIEW.apply(sweep.rows)["row"]))
    asked = (sweep, FIRST_VIEW, model, 32, 32, "entropy_free_running")
    pd.testing.assert_frame_equal(
        computed_before(*asked, DIFFERENCES), boundary_differences([aligned], "entropy_free_running"), rtol=1e-9
    )
    before, again = computed_before(*asked, CURVES), boundary_curves(aligned, "entropy_free_running", 50)
    exact = ["group", "index", "t", "n", "n_units", "mean", "null", "all_rows"]  # ends depend on the resamples
    pd.testing.assert_frame_equal(before[exact], again[exact], rtol=1e-9)
    assert computed_before(sweep, Filters(), *asked[2:], CURVES) is None
    assert computed_before(*asked[:3], 16, 32, "entropy_free_running", CURVES) is None


@pytest.mark.slow
def test_packing_moves_a_boundary_by_less_than_a_hundredth_of_a_nat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memviz.settings import load_settings
    from memviz.store import Store
    from memviz.sweeps import RowSet, SweepTask, run_sweep
    from memviz.tasks.base import Context

    rows = RowSet(parts=("planted",), sample=80)
    task = SweepTask((SMALLEST,), rows, contexts=(8,), continuations=(40,), positions=True)
    settings = load_settings(cache=tmp_path / "cache")
    whole = run_sweep(task, Context(settings, Store(tmp_path / "cache" / "results", 10**9)), tmp_path / "whole")
    script = str(ROOT / "scripts" / "ship_sweep.py")
    monkeypatch.setattr("sys.argv", [script, str(tmp_path / "whole"), "--out", str(tmp_path / "packed")])
    runpy.run_path(script, run_name="__main__")
    tables = []
    for folder in ("whole", "packed"):
        aligned = align(read_sweep(tmp_path / folder), SMALLEST)
        tables.append(boundary_differences([aligned], "entropy_free_running", n_resamples=20))
        assert (aligned.match == align(whole, SMALLEST).match).all()
    for name in ("jump", "above", "null"):
        np.testing.assert_allclose(tables[0][name], tables[1][name], atol=0.01)
    eight = align(read_sweep(tmp_path / "packed"), SMALLEST, k=8)
    assert list(eight.values) == ["entropy_free_running"], "only the two sides of the boundary are known there"
