"""What is said of a sweep before it is run, against counting by hand and against the sweep itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.suite import SMALLEST
from support.sweeps import Lab

from memviz.errors import InputError
from memviz.sweeps import RowSet, SweepTask
from memviz.sweeps.estimate import ROUGH_RATE, estimate, lengths_of_rows


def test_rows_and_sequences_are_those_of_the_sweep(lab: Lab) -> None:
    rows = lab.rows(9, (40, 20), "tiny")
    task = SweepTask(
        ("tiny", "twin"), RowSet(lab.jsonl(rows)), contexts=(4, 8), continuations=(16,), context_at=8, continuation_at=8
    )
    sweep = lab.sweep(task)
    lengths = {int(length): n for length, n in sweep.manifest["rows"]["lengths"].items()}
    found = estimate(sweep.task, lengths, [], lab.settings)
    assert found.n_rows == 9
    assert found.n_sequences == sweep.manifest["tables"]["sequences"]["n_rows"]
    assert found.n_bytes > 0 and not found.is_measured
    measured = estimate(sweep.task, lengths, [sweep], lab.settings)
    assert measured.is_measured and measured.seconds == pytest.approx(sweep.manifest["provenance"]["seconds"])
    reused = lab.sweep(sweep.task, out="again")
    assert not estimate(sweep.task, lengths, [reused], lab.settings).is_measured


def test_seconds_are_two_operations_a_parameter_and_token(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.sweeps.estimate.os.cpu_count", lambda: 3)
    task = SweepTask(("tiny",), RowSet(lab.jsonl([[1] * 30])), contexts=(), continuations=(8,), context_at=8)
    found = estimate(task, {30: 5, 10: 4}, [], lab.settings)
    n_parameters = sum(each.numel() for each in lab.loaded("tiny").model.parameters())
    assert found.n_sequences == 5 and found.n_rows == 9
    assert found.seconds == pytest.approx(2 * n_parameters * 5 * (8 + 2 * 8) / (3 * ROUGH_RATE))


def test_rows_of_the_corpus_are_counted_and_those_of_a_file_are_not_read() -> None:
    task = SweepTask((SMALLEST,), RowSet(parts=("held-out",)))
    (n,) = (lengths_of_rows(task) or {}).values()
    assert 0 < n == sum((lengths_of_rows(replace(task, rows=RowSet(parts=("held-out",), sample=10**6))) or {}).values())
    assert list((lengths_of_rows(replace(task, rows=RowSet(sample=7))) or {}).values()) == [7]
    assert lengths_of_rows(replace(task, rows=RowSet("nowhere.jsonl"))) is None
    assert list((lengths_of_rows(replace(task, rows=RowSet("nowhere.jsonl", sample=5))) or {}).values()) == [5]
    with pytest.raises(InputError, match="nonsense"):
        lengths_of_rows(replace(task, rows=RowSet(domains=("nonsense",))))
