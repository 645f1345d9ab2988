"""A prediction from the context alone, made and kept before anything is generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.predictor.known import Known, known_predictors
from memviz.tasks.base import Context, Task, versioned_hash


@dataclass(frozen=True)
class Forecast:
    """What a predictor of the context setting said of one context."""

    probability: np.ndarray
    """(m,) float32 P(the generated token will be the true one); m is the predictor's."""
    created: datetime
    """UTC."""


@dataclass(frozen=True)
class Said:
    """What the store keeps of a forecast."""

    probability: np.ndarray


@dataclass(frozen=True)
class ForecastTask(Task[Forecast]):
    """One context and the predictor asked about it."""

    kind = "forecast"
    record = Said
    model: str
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    predictor: str
    """Id of a predictor of the context setting."""
    dtype: str = "float32"

    def find(self, key: str, cards: Sequence[Card], context: Context) -> Forecast | None:
        """Also one that was kept before keys named weights and device, where it cannot be another's."""
        found = super().find(key, cards, context)
        if found is not None or self.dtype != "float32":
            return found
        asked = {name: value for name, value in self.request().items() if name != "model"}
        former = versioned_hash(asked)
        about = context.store.get(former)
        mine = about is not None and about[1].get("request", {}).get("model") == self.model
        return super().find(former, cards, context) if mine else None

    def compute(self, cards: Sequence[Card], context: Context) -> Said:
        from memviz.predictor.applying import predict_context

        known = self._known(known_predictors(context.settings))
        context.report(0, 0)
        context.say("reading the context")
        asked = np.array([self.context_ids], np.int64)
        return Said(predict_context(known, cards[0], asked, context.backend, self.dtype)[0])

    def unpack(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Forecast:
        made = about.get("provenance", about)
        return Forecast(arrays["probability"], datetime.fromisoformat(made["created"]))

    def _known(self, among: list[Known]) -> Known:
        for each in among:
            if each.id == self.predictor:
                return each
        raise InputError(f"predictor {self.predictor[:12]} is no longer kept here: fit it again")
