"""The rows of Inside the model: one a model, with its reading at every layer or its job, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memviz.errors import InputError
from memviz.figures.glyphs import visible
from memviz.measures.lens import NEVER, LensReading, LensScores
from memviz.tasks.ladder import LadderTask, Reader
from memviz.tasks.lens import LensTask, lens_of
from memviz.ui.common.progress import say_end
from memviz.ui.common.texts import escaped
from memviz.ui.several import ModelRow, rows_of

MODES = {"teacher_forced": "teacher-forced", "free_running": "free-running"}
READS = {
    "teacher_forced": "the model reads context and truth",
    "free_running": "the model reads context and what it wrote",
}


@dataclass(frozen=True)
class LayersRow(ModelRow[LensTask, LensReading]):
    """One model with its reading at every layer."""

    @property
    def reading(self) -> LensReading:
        assert self.result is not None
        return self.result

    @property
    def n_context(self) -> int:
        return len(self.task.context_ids)

    def scores(self, mode: str) -> LensScores:
        return self.reading.free_running if mode == "free_running" else self.reading.teacher_forced

    def words(self, token_ids: Sequence[int] | np.ndarray) -> list[str]:
        """Tokens as text that can be seen."""
        return visible(self.tokenizer.pieces(token_ids))


def layers_rows(task: LadderTask, readers: Sequence[Reader]) -> list[LayersRow]:
    """Every model as it is now. Raises InputError where the prompt does not fit one of them."""
    rows = rows_of([lens_of(one) for one in task.tasks], readers, LayersRow)
    for row in rows:
        if row.refusal:
            raise InputError(f"{row.model.name}: {row.refusal}")
    return rows


def say_failures(rows: Sequence[LayersRow]) -> None:
    """A sentence for each model whose job failed."""
    for row in rows:
        if row.result is None:
            say_end(row.task, about=row.model.name)


def said_of(row: LayersRow, mode: str) -> str:
    """A reading in a sentence."""
    scores = row.scores(mode)
    commit, last = scores.commit, len(scores.rank) - 1
    right = commit[commit != NEVER]
    matches = int((row.reading.generated_ids == row.reading.true_ids).sum())
    name, n = escaped(row.model.name), len(commit)
    said = f"{name} recites {matches} of {n} tokens; {MODES[mode]}, its last layer holds {len(right)} of them"
    return f"{said}, half from layer {np.median(right):g} of {last} on." if len(right) else f"{said}."
