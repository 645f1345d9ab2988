"""The sums that a large sweep writes, against its own tables."""

from __future__ import annotations

import numpy as np
import pytest
from support.sweeps import Lab, small_task

from memviz.sweeps.sums import CLASSES


def test_sums_are_those_of_the_positions(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.sweeps.writing.MOST_UNITS", 9)
    sweep = lab.sweep(small_task(lab.jsonl(lab.rows(10, lengths=(32, 24))), positions=True), batch=4)
    sums, sequences, positions = (sweep.read(name) for name in ("sums", "sequences", "positions"))
    conditions = sequences.groupby(["model", "mode", "k", "m"])
    assert set(conditions.groups) == set(sums.groupby(["model", "mode", "k", "m"]).groups)
    for (model, mode, k, m), lines in conditions:
        mine = sums[(sums["model"] == model) & (sums["mode"] == mode) & (sums["k"] == k) & (sums["m"] == m)]
        sets = list(zip(mine["sizes"].iloc[0].tolist(), mine["starts"].iloc[0].tolist(), strict=True))
        assert (m, 0) in sets and all(size + start <= m for size, start in sets)
        counts = np.stack(mine["counts"].tolist()).reshape(len(mine), len(sets), len(CLASSES), 3).sum(axis=0)
        here = positions[positions["row"].isin(lines["row"]) & (positions["model"] == model)]
        here = here[(here["mode"] == mode) & (here["k"] == k)].groupby("index")
        values = np.stack(mine["values"].tolist()).reshape(len(mine), len(sets), len(CLASSES), 2, k + m)
        for place, name in enumerate(("free_running_entropy", "teacher_forced_entropy")):
            np.testing.assert_allclose(values.sum(axis=(0, 2))[0, place, 1:], here[name].sum()[1:], rtol=1e-5)
        for place, (size, start) in enumerate(sets):
            n_hits = np.array([sum(each[start : start + size]) for each in lines["matches"]])
            assert counts[place, :, 0].sum() == len(lines) and counts[place, :, 2].sum() == n_hits.sum()
            assert counts[place, 0, 0] == (n_hits == size).sum() and counts[place, 3, 0] == (n_hits == 0).sum()
        bins = np.stack(mine["bins"].tolist()).reshape(len(mine), m, -1, 8).sum(axis=(0, 2))
        np.testing.assert_allclose(bins[:, 0], len(lines))
        prefix = lines["prefix"].to_numpy()
        np.testing.assert_array_equal(bins[:, 6], [(prefix >= t).sum() for t in range(m)])
        np.testing.assert_array_equal(bins[:, 7], [(prefix == t).sum() for t in range(m)])


def test_a_smaller_sweep_writes_none(lab: Lab) -> None:
    sweep = lab.sweep(small_task(lab.jsonl(lab.rows(4))), batch=4)
    assert "sums" not in sweep.manifest["tables"] and not (sweep.folder / "sums.parquet").exists()
