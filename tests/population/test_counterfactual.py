"""The same rows under weights that had not read them: which rows those are, and paired differences by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.population.counterfactual import (
    earlier,
    first_steps,
    paired_differences,
    paired_points,
    read_between,
    unread,
)
from memviz.sweeps.results import Sweep

FIRST = pd.Series({0: 5, 1: 50, 2: 99})
"""Row 3 is held out."""


def swept(rows: int = 4) -> Sweep:
    models = [
        {"name": name, "family": "f", "size": "s", "seed": seed, "step": step, "n_steps": 100}
        for name, step, seed in (("end", 100, 0), ("mid", 50, 0), ("early", 5, 0), ("other", 50, 1))
    ]
    sweep = Sweep(Path("nowhere"), {"models": models})
    sweep.__dict__["rows"] = pd.DataFrame({"row": range(rows)})
    return sweep


def lines(hits: dict[str, list[int]], jump: dict[str, list[float]]) -> pd.DataFrame:
    parts: list[dict[str, Any]] = [
        {
            "model": model, "row": row, "group": row, "mode": "sliding", "k": 32, "n_matches_8": n, "domain": "prose",
            "bucket": 1, "background": False, "template": "none", "memorization_class": "recollect",
            "entropy_before": 1.0, "entropy_at": 1.0 + jump[model][row],
        }
        for model, found in hits.items()
        for row, n in enumerate(found)
    ]  # fmt: skip
    return pd.DataFrame(parts)


def test_a_checkpoint_has_read_the_steps_before_it() -> None:
    assert unread(swept(), "end", FIRST).tolist() == [3]
    assert unread(swept(), "mid", FIRST).tolist() == [1, 2, 3]  # step 50 is the first that it has not taken
    assert unread(swept(), "early", FIRST).tolist() == [0, 1, 2, 3]


def test_only_checkpoints_of_the_same_run_are_compared() -> None:
    first = pd.Series(np.repeat([60, 20], 30))
    assert earlier(swept(60), "end", first) == ["mid", "early"]
    assert earlier(swept(60), "mid", first) == ["early"]
    assert earlier(swept(60), "other", first) == []


def test_checkpoints_may_lie_in_a_sweep_beside(tmp_path: Path) -> None:
    whole = swept(60)
    ends = {
        name: [a for a in whole.manifest["models"] if (a["name"] == "end") == (name == "own")]
        for name in ("own", "their")
    }
    own, their = (Sweep(tmp_path, {"models": models}) for models in ends.values())
    own.__dict__.update(rows=whole.rows, beside=[their])
    first = pd.Series(np.repeat([60, 20], 30))
    assert earlier(own, "end", first) == ["mid", "early"]
    assert unread(own, "mid", first).tolist() == list(range(30)) and read_between(
        own, "end", "mid", first
    ).tolist() == list(range(30))
    assert own.holding("mid") is their and own.holding("end") is own and own.holding("stranger") is own


def test_differences_by_hand() -> None:
    hits = {"end": [8, 8, 0, 1], "mid": [8, 2, 0, 0]}
    jump = {"end": [0, -1.0, 0.5, 0.1], "mid": [0, 0.5, 0.25, 0.3]}
    points = paired_points(swept(), lines(hits, jump), "end", "mid", FIRST, m=8)
    assert points.set_index("row")["kind"].to_dict() == {1: "read", 2: "read", 3: "neither"}
    found = paired_differences(points, 50).set_index(["kind", "quantity"])
    assert found["difference"].to_dict() == pytest.approx(
        {
            ("read", "score"): (6 + 0) / 8 / 2, ("read", "full"): 0.5, ("read", "jump"): (-1.5 + 0.25) / 2,
            ("memorized", "score"): 6 / 8, ("memorized", "full"): 1.0, ("memorized", "jump"): -1.5,
            ("unmemorized", "score"): 0, ("unmemorized", "full"): 0, ("unmemorized", "jump"): 0.25,
            ("neither", "score"): 1 / 8, ("neither", "full"): 0, ("neither", "jump"): -0.2,
        }
    )  # fmt: skip


def test_what_lies_beyond_rows_that_neither_had_read() -> None:
    hits = {"end": [8, 8, 0, 1], "mid": [8, 2, 0, 0]}
    jump = {"end": [0, -1.0, 0.5, 0.1], "mid": [0, 0.5, 0.25, 0.3]}
    points = paired_points(swept(), lines(hits, jump), "end", "mid", FIRST, m=8)
    found = paired_differences(points, 50).set_index(["kind", "quantity"])["beyond"]
    assert found["memorized", "jump"] == pytest.approx(-1.5 - -0.2)
    assert found["read", "score"] == pytest.approx(6 / 8 / 2 - 1 / 8)
    assert found["neither"].isna().all()
    points.loc[points["kind"] == "neither", "n_hits"] = 0
    chosen = paired_differences(points, 50).set_index(["kind", "quantity"])["difference"]
    assert chosen["neither_unmemorized", "jump"] == pytest.approx(-0.2)


def test_rows_that_both_had_read_alone_are_refused() -> None:
    both = lines({"end": [8], "mid": [8]}, {"end": [0.0], "mid": [0.0]})
    with pytest.raises(InputError, match="no row here was read between mid and end"):
        paired_points(swept(), both, "end", "mid", FIRST, m=8)


def test_the_first_steps_of_the_suite_are_those_of_its_stream() -> None:
    data, first = read_data(), first_steps(read_data())
    assert set(first.index) == set(np.flatnonzero(data.bucket > 0))
    row = int(np.flatnonzero(data.bucket == 4)[0])
    place = int(np.flatnonzero(data.order == row)[0])
    assert first[row] == (place * 129 + 1) // 256 // data.batch
