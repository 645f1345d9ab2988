"""One batch of a sweep as a task of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memviz.catalog import Card
from memviz.records import VERIFIED, Prompts, Survey
from memviz.sweeps.batch import BatchTask, digest_of
from memviz.tasks.base import Context

POSITION_BYTES, CONTEXT_BYTES, BATCH_BYTES = 28, 8, 2000
"""What a batch takes in a store: a continuation token, a context token, and the rest, at most about."""


@dataclass(frozen=True)
class SurveyTask(BatchTask[Survey]):
    """What one model says of a batch of prompts."""

    kind = "survey"
    record = Survey
    needs_noise = True
    prompts: Prompts
    reading: str = VERIFIED

    def asked(self) -> dict[str, Any]:
        assert self.prompts.continuation_ids is not None
        prompts = digest_of(self.prompts.context_ids, self.prompts.continuation_ids)
        return {"prompts": prompts} | ({} if self.reading == VERIFIED else {"reading": self.reading})

    def compute(self, cards: Sequence[Card], context: Context) -> Survey:
        from memviz.engine.tracing import survey

        loaded, noise = context.loaded(self.card, self.dtype)
        return survey(loaded, self.prompts, noise, context.report, self.reading)
