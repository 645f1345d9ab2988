"""The predictors that come with the suite: whole, small, and for the weights that come with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.suite import SIZES, SMALLEST

from memviz.catalog import find_model
from memviz.engine.preparing import prepare
from memviz.errors import Failure, InputError
from memviz.predictor import SETTINGS, known_predictors, predictors_for
from memviz.predictor.known import SHIPPED, read_known, rename
from memviz.predictor.network.artifact import load
from memviz.settings import load_settings


def test_one_for_each_size_and_setting_in_few_bytes(tmp_path: Path) -> None:
    known = known_predictors(load_settings(cache=tmp_path))
    assert {(each.model, each.setting) for each in known} == {(size, name) for size in SIZES for name in SETTINGS}
    assert all(each.shipped and (each.k, each.m) == (32, 64) for each in known)
    assert len({str(each.about["data"]["rows"]) for each in known}) == 1  # one split for all
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) <= 1_900_000


def test_their_tables_say_what_they_say_themselves(tmp_path: Path) -> None:
    for known in known_predictors(load_settings(cache=tmp_path)):
        load(known.folder)
        tables = known.tables()
        lines = tables.metrics.query("method == 'predictor' and m == 64").set_index("metric")["value"]
        for metric in ("token_accuracy", "full_accuracy", "auroc", "brier"):
            assert lines[metric] == pytest.approx(known.about["metrics"][metric], abs=1e-4)
        own = tables.outcomes.query("method == 'predictor' and m == 64")
        assert len(own) == known.about["data"]["rows"]["test"]
        assert own["n_right"].sum() / (64 * len(own)) == pytest.approx(lines["token_accuracy"], abs=1e-4)
        assert np.isfinite(tables.curves["y"]).all()


def test_they_are_for_the_weights_that_come_along(tmp_path: Path) -> None:
    settings = load_settings(cache=tmp_path, device="cpu")
    card = prepare(find_model(SMALLEST, settings), settings)
    assert {each.model for each in predictors_for(card, settings).values()} == {SMALLEST}
    other = prepare(find_model(f"{SMALLEST}@seed1", settings), settings)
    assert not predictors_for(other, settings)


def test_a_predictor_of_ones_own_is_named_and_a_shipped_one_is_not(tmp_path: Path) -> None:
    shipped = known_predictors(load_settings(cache=tmp_path))[0]
    with pytest.raises(InputError, match="keep their names"):
        rename(shipped, "mine")
    own = tmp_path / "predictors" / "copy"
    shutil.copytree(shipped.folder, own)
    known = read_known(own)
    assert known.name == ""
    rename(known, "  Späte Schicht <b> ")
    assert read_known(own).name == "Späte Schicht <b>" and [p.name for p in own.glob("*.tmp")] == []
    rename(known, "")
    assert known.name == ""
    for bad in ("x" * 61, "a\nb"):
        with pytest.raises(InputError, match="cannot be used: give up to 60 characters"):
            rename(known, bad)
    shutil.rmtree(own)
    with pytest.raises(Failure, match="cannot be written"):
        rename(known, "mine")
