"""Claims about hidden states, from a sweep of two tiny models to verdicts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.serving import ROOT

from memviz.findings.claims import read_claims
from memviz.findings.evidence import judge
from memviz.findings.evidence.geometry import STATISTICS, Spaces, statistics_of
from memviz.findings.evidence.material import Material, material_of
from memviz.measures.geometry import linear_cka
from memviz.sweeps import RowSet, Sweep, SweepTask

CLAIMS = [
    each
    for each in read_claims(ROOT / "docs" / "claims.toml")
    if each.finding == 2 and not each.id.endswith("-paired")  # of which test_paired.py has the others
]


@pytest.fixture(scope="module")
def material(swept) -> Material:
    """36 rows of k = m = 32, the first 30 of them said to have been trained on."""
    lab = swept.lab
    source = lab.jsonl(lab.rows(36, (64,)), "long.jsonl")
    task = SweepTask(("tiny", "twin"), RowSet(source), contexts=(), continuations=(32,))
    sweep = lab.sweep(task, "long")
    for table in ("rows", "sequences"):
        path = Path(sweep.folder) / f"{table}.parquet"
        found = pd.read_parquet(path)
        planted = np.where(found["row"] < 30, 4, 0)
        found.assign(bucket=planted.astype(np.int32), background=False).to_parquet(path)
    return material_of([Sweep(sweep.folder, sweep.manifest)])


@pytest.fixture(scope="module")
def spaces(swept) -> Spaces:
    return Spaces(swept.lab.context())


def states(swept, material: Material, model: str) -> np.ndarray:
    """(30, 32, d) last layer's states by plain transformers, one row at a time."""
    found, lab = [], swept.lab
    for ids in material.sweeps[0].rows.sort_values("row")["ids"].iloc[:30]:
        context = list(map(int, ids))[:32]
        whole = torch.tensor([context + lab.generate(model, context, 32)])
        with torch.inference_mode():
            hidden = lab.loaded(model).model(whole, output_hidden_states=True).hidden_states[-1]
        found.append(hidden[0, 32:].numpy())
    return np.stack(found)


def test_every_claim_has_a_statistic_or_a_reason(material: Material, spaces: Spaces) -> None:
    assert sorted(each.id for each in CLAIMS) == sorted(STATISTICS)
    for verdict in judge(CLAIMS, material, statistics_of(spaces)):
        assert verdict.outcome == "undecided" or verdict.claim.min_n <= 30
        assert verdict.found is not None or verdict.reason
        if verdict.found is not None:
            assert np.isfinite([verdict.found.value, verdict.found.low, verdict.found.high]).all()
            assert 2 <= verdict.found.n <= 30


def test_sizes_are_compared_as_plain_transformers_has_it(swept, material: Material, spaces: Spaces) -> None:
    small, large = (states(swept, material, model) for model in material.models)

    def mean_distance(of: np.ndarray, step: int) -> float:
        pairs = itertools.combinations(range(30), 2)
        return float(np.mean([np.linalg.norm(of[i, step] - of[j, step]) for i, j in pairs]))

    expected = np.mean([mean_distance(large, t) - mean_distance(small, t) for t in range(32)])
    found, _ = STATISTICS["distance-size"](spaces, material)
    assert (found.value, found.n) == (pytest.approx(expected, rel=1e-2), 30)
    by_width, _ = STATISTICS["distance-size-by-width"](spaces, material)
    assert by_width.value == pytest.approx(expected / np.sqrt(32), rel=1e-2)  # both are 32 wide
    agree, null = STATISTICS["sizes-agree"](spaces, material)
    assert agree.value == pytest.approx(linear_cka(small[:, -1], large[:, -1], 1).value, abs=1e-2)
    assert null is not None and null.low < 0.2


def test_what_cannot_be_computed_is_said(swept, material: Material, spaces: Spaces) -> None:
    verdicts = {each.claim.id: each for each in judge(CLAIMS, alone(material), statistics_of(spaces))}
    assert verdicts["cosine-size"].reason == "one size alone has nothing to be compared with"
    sweep = material.sweeps[0]
    models = [each | {"weights": "another"} for each in sweep.manifest["models"]]
    changed = replace(material, sweeps=(Sweep(sweep.folder, sweep.manifest | {"models": models}),))
    found = judge(CLAIMS, changed, statistics_of(Spaces(spaces.context)))
    assert "other weights than when" in found[CLAIMS.index(verdicts["groups-cluster"].claim)].reason


def alone(material: Material) -> Material:
    first = material.models[0]
    return replace(material, n_parameters={first: material.n_parameters[first]})
