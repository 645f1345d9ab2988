"""Two tiny models of one tokenizer that wrote continuations of the same rows.

Every test run loads this file, so torch is imported by the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from support.sweeps import Lab

    from memviz.maps import Scope
    from memviz.sweeps import Sweep


class Swept(NamedTuple):
    lab: Lab
    sweep: Sweep
    scope: Scope
    """k = m = 8."""


@pytest.fixture(scope="module")
def few_resamples() -> Iterator[None]:
    """Predictors are evaluated with coarse intervals; what intervals are is held in tests/predictor/test_evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memviz.predictor.evaluation.N_RESAMPLES", 100)
        yield


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    from support.model_folders import write_model
    from support.sweeps import lab_in, lab_settings

    from memviz.engine.backend import Backend
    from memviz.maps import Scope
    from memviz.sweeps import RowSet, SweepTask

    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    write_model(home / "models" / "twin", family="gpt_neox")
    lab = lab_in(home, Backend(lab_settings(home)))
    source = lab.jsonl(lab.rows(40, (24,)))
    task = SweepTask(("tiny", "twin"), RowSet(source), contexts=(), continuations=(4, 8), context_at=8)
    sweep = lab.sweep(task)
    return Swept(lab, sweep, Scope(str(Path(sweep.folder)), k=8, m=8))
