"""A fit from a sweep to its tables: whole, repeatable, and the same after it was killed."""

from __future__ import annotations

import numpy as np
import pytest
from sweep_tools import Lab

from memviz.prediction import SETTINGS, fit_folder, fit_task, known_predictors
from memviz.sweeps import Sweep

K, M = 8, 16


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_fit_leaves_a_predictor_and_its_tables(lab: Lab, sweep: Sweep, setting: str) -> None:
    task = fit_task(sweep, "tiny", setting, k=K, m=M, preset="small")
    said: list[str] = []
    key, known, was_stored = task.run(lab.backend, lab.store, lambda done, total: None, said.append)
    assert (key, was_stored) == (task.hash, False)
    tables = known.tables()
    assert np.isfinite(tables.metrics["value"]).mean() > 0.9
    assert task.run(lab.backend, lab.store, lambda done, total: None, said.append)[2]
    assert known.id in {each.id for each in known_predictors(lab.settings)}
    assert fit_folder(task, lab.settings) == known.folder
