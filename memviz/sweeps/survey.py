"""One batch of a sweep as a task of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from memviz.catalog import Card
from memviz.records import VERIFIED, Prompts, Survey
from memviz.sweeps.batch import BatchTask, digest_of
from memviz.tasks.base import Context, Device

POSITION_BYTES, CONTEXT_BYTES, BATCH_BYTES = 28, 8, 2000
"""What a batch takes in a store: a continuation token, a context token, and the rest, at most about."""

COMPILED_FROM = 20_000
"""Rows of a sweep from which on its steps are compiled on CUDA; below float32 that is in the key, for kernels that were
made for a step round in other places."""


@dataclass(frozen=True)
class SurveyTask(BatchTask[Survey]):
    """What one model says of a batch of prompts."""

    kind = "survey"
    record = Survey
    needs_noise = True
    prompts: Prompts
    reading: str = VERIFIED
    n_rows: int = 0
    """Of the sweep."""

    def asked(self, device: Device) -> dict[str, Any]:
        assert self.prompts.continuation_ids is not None
        asked = {"prompts": digest_of(self.prompts.context_ids, self.prompts.continuation_ids)}
        if self.reading != VERIFIED:
            asked["reading"] = self.reading
        if self.dtype != "float32" and self._compiled(device):
            asked["steps"] = "compiled"
        return asked

    def compute(self, cards: Sequence[Card], context: Context) -> Survey:
        from memviz.engine.tracing import survey

        loaded, noise = context.loaded(self.card, self.dtype)
        steps: Literal["compiled"] | None = "compiled" if self._compiled(context.device) else None
        return survey(loaded, self.prompts, noise, context.report, self.reading, steps)

    def _compiled(self, device: Device) -> bool:
        return self.n_rows >= COMPILED_FROM and device.kind == "cuda"
