"""The Compare page's rows: one a model, with its stored run or its job."""

from __future__ import annotations

from collections.abc import Sequence

from memviz.tasks.ladder import LadderTask, Reader
from memviz.ui.several import RunRow, rows_of


def compared_rows(task: LadderTask, readers: Sequence[Reader]) -> list[RunRow]:
    """Every model of a comparison as it is now."""
    return rows_of(task.drafted, readers, RunRow)
