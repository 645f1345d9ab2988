"""Folders that go away while a sweep runs."""

from __future__ import annotations

import shutil

import pytest
from support.sweeps import Lab, small_task

from memviz.errors import sentence


def test_a_cache_that_is_removed_meanwhile_is_one_sentence(lab: Lab) -> None:
    """Folder and store go between two batches; the same sweep runs whole afterwards."""
    task, n_calls = small_task(lab.jsonl(lab.rows(12))), 0

    def remove(done: int, total: int) -> None:
        nonlocal n_calls
        n_calls += total > 0
        if n_calls == 3:
            shutil.rmtree(lab.folder / "gone")
            shutil.rmtree(lab.store.root)

    with pytest.raises(Exception, match="gone") as told:
        lab.sweep(task, "gone", report=remove, batch=4)
    said = sentence(told.value)
    assert said is not None and said.endswith("if it was removed, start again") and "\n" not in said
    assert lab.sweep(task, "gone", batch=4).manifest["rows"]["n"] == 12
