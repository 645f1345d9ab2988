"""Claims about the same rows before they were read: which checkpoint is taken, and the difference of differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.findings.evidence import paired
from memviz.findings.evidence.material import Material, material_of

N = 12
HIT = np.zeros((N, 32), bool)
HIT[:4] = True
HIT[8:, :16] = True
STEPS = {"end": 100, "mid": 50, "early": 5}
JUMP = {"end": np.arange(N) * 0.1, "mid": np.arange(N) * 0.02, "early": np.full(N, 0.5)}
FIRST = pd.Series([2, 60, 60, 60, 60, 60, 60, 2, 20, 20])
"""Of rows 0 to 9; 10 and 11 are held out. `mid` has not read 1 to 6, `early` not 8 and 9 either."""


@pytest.fixture
def material(made_sweep, asked, monkeypatch: pytest.MonkeyPatch) -> Material:
    def of(model: str) -> object:
        entropy = np.full((N, 64), 1.0)
        entropy[:, 32] += JUMP[model]
        return asked(model, HIT if model == "end" else np.zeros_like(HIT), entropy=entropy)

    about = {"bucket": np.where(np.arange(N) < 10, 4, 0)}
    ids = np.arange(N * 128).reshape(N, 128)
    sweep = made_sweep(ids=ids, asked=list(map(of, STEPS)), n_parameters=dict.fromkeys(STEPS, 9), about=about)
    for each in sweep.manifest["models"]:
        each |= {"size": "s", "step": STEPS[each["name"]], "n_steps": 100}
    monkeypatch.setattr(paired, "first_steps", lambda data: FIRST)
    monkeypatch.setattr("memviz.population.counterfactual.LEAST_ROWS", 2)
    monkeypatch.setattr(paired, "FEWEST", 3)
    return material_of([sweep], n_resamples=50)


def test_the_latest_checkpoint_that_had_not_read_enough_of_the_group(material, monkeypatch) -> None:
    assert paired.pair_of(material, ("memorized",))[:2] == ("end", "mid")  # rows 1 to 3
    assert paired.pair_of(material, ("memorized", "unmemorized"))[:2] == ("end", "mid")  # and 4 to 6
    monkeypatch.setattr(paired, "FEWEST", 4)
    assert paired.pair_of(material, ("memorized",))[1] == "early", "the earliest where none has enough"


def test_differences_less_those_of_rows_that_neither_had_read(material) -> None:
    of = {name: statistic(material)[0] for name, statistic in paired.STATISTICS.items()}
    neither = np.mean([0.08 * 10, 0.08 * 11])
    assert of["entropy-memorized-paired"].value == pytest.approx(0.08 * 2 - neither)
    assert of["entropy-unmemorized-paired"].value == pytest.approx(0.08 * 5 - neither)
    assert (of["entropy-memorized-paired"].n, of["entropy-unmemorized-paired"].n) == (3, 3)
    assert of["score-paired"].value == pytest.approx(0.5 - 0.5) and of["score-paired"].n == 6


def test_without_a_checkpoint_there_is_no_such_claim(material, monkeypatch) -> None:
    monkeypatch.setattr("memviz.population.counterfactual.LEAST_ROWS", 20)
    with pytest.raises(InputError, match="no final weights here have a checkpoint"):
        paired.pair_of(material, ("memorized",))
