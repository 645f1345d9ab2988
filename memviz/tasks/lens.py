"""The task that reads one prompt at every layer of one model; stored under its hash like every other result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.measures.lens import LensReading
from memviz.tasks.base import Context, Task
from memviz.tasks.trace import TraceTask


@dataclass(frozen=True)
class LensTask(Task[LensReading]):
    """One prompt with its truth at every layer of a model. Raises InputError where a field cannot be used.

    `report(done, total)` counts positions.
    """

    kind = "lens"
    record = LensReading

    model: str
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    continuation_ids: tuple[int, ...]
    """m true token ids."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        self.whole  # noqa: B018 - checks the prompt

    @property
    def whole(self) -> TraceTask:
        """The prompt as the Trace page asks it."""
        return TraceTask(
            self.model, self.context_ids, self.continuation_ids, len(self.continuation_ids), dtype=self.dtype
        )

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where the prompt does not fit the model."""
        self.whole.check(cards)

    def compute(self, cards: Sequence[Card], context: Context) -> LensReading:
        """Greedy decoding, a pass over the truth, one over what was written."""
        from memviz.engine.lens import read_lens
        from memviz.engine.tracing import survey

        report, prompts, m = context.report, self.whole.prompts, len(self.continuation_ids)
        assert prompts.continuation_ids is not None
        loaded, noise = context.loaded(cards[0], self.dtype)
        context.say("decoding")
        generated = survey(loaded, prompts, noise, lambda *_: report(0, 2 * m)).generated_ids[0].astype(np.int64)
        context.say("reading every layer")
        ids, truth = prompts.context_ids[0], prompts.continuation_ids[0]
        forced = read_lens(loaded, ids, truth, truth, lambda done: report(done, 2 * m))
        free = read_lens(loaded, ids, generated, truth, lambda done: report(m + done, 2 * m))
        return LensReading(true_ids=truth, generated_ids=generated, teacher_forced=forced, free_running=free)


def lens_of(task: TraceTask) -> LensTask:
    """The same prompt at every layer. Raises InputError where it has no truth."""
    if task.continuation_ids is None:
        raise InputError("the layers are asked about the true tokens: give a text that goes on after the context")
    return LensTask(task.model, task.context_ids, task.continuation_ids, task.dtype)
