"""One batch of a sweep as a task of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memviz.catalog import Card
from memviz.records import VERIFIED, Prompts, Survey
from memviz.tasks.base import Context, Device, Task, result_key

COMPILED_FROM = 20_000
"""Rows of a sweep from which on its steps are compiled on CUDA; below float32 that is in the key, for kernels that were
made for a step round in other places."""


@dataclass(frozen=True)
class SurveyTask(Task[Survey]):
    """What one model says of a batch of prompts; part of a sweep, kept for other sweeps that ask the same."""

    kind = "survey"
    record = Survey
    card: Card
    dtype: str
    prompts: Prompts
    reading: str = VERIFIED
    n_rows: int = 0
    """Of the sweep."""

    @property
    def model(self) -> str:
        return self.card.name

    @property
    def model_names(self) -> tuple[str, ...]:
        """The sweep has got it ready."""
        return ()

    def request(self) -> dict[str, Any]:
        return {"task": self.kind, "model": self.model}

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """The very tokens asked, in place of how they were chosen."""
        context_ids, truth = self.prompts.context_ids, self.prompts.continuation_ids
        assert truth is not None
        digest = hashlib.sha256(str((context_ids.shape, truth.shape)).encode())
        digest.update(context_ids.tobytes() + truth.tobytes())
        asked = {"task": self.kind, "weights": self.card.weights, "dtype": self.dtype, "prompts": digest.hexdigest()}
        other = {} if self.reading == VERIFIED else {"reading": self.reading}
        if self.dtype != "float32" and self._compiled(device):
            other["steps"] = "compiled"
        return result_key(asked | other, self.dtype, device)

    def compute(self, cards: Sequence[Card], context: Context) -> Survey:
        """The device is held for one batch only, so that others who want it wait no longer than that."""
        from memviz.engine.tracing import survey

        loaded, noise = context.loaded(self.card, self.dtype)
        steps = "compiled" if self._compiled(context.device) else None
        return survey(loaded, self.prompts, noise, context.report, self.reading, steps)

    def _compiled(self, device: Device) -> bool:
        return self.n_rows >= COMPILED_FROM and device.kind == "cuda"
