"""A prediction from the context alone, made and kept before anything is generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.catalog import find_model
from memviz.errors import InputError
from memviz.predictor.known import Known, known_predictors
from memviz.store import Store, request_hash
from memviz.tasks.base import ENGINE

if TYPE_CHECKING:
    from memviz.engine.backend import Backend


@dataclass(frozen=True)
class Forecast:
    """What a predictor of the context setting said of one context."""

    probability: np.ndarray
    """(m,) float32 P(the generated token will be the true one); m is the predictor's."""
    created: datetime
    """UTC."""


@dataclass(frozen=True)
class ForecastTask:
    """One context and the predictor asked about it; a question like any other."""

    model: str
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    predictor: str
    """Id of a predictor of the context setting."""
    dtype: str = "float32"

    @property
    def hash(self) -> str:
        """Name of the job and key of the result; the predictor's id stands for the weights too."""
        asked = {name: value for name, value in asdict(self).items() if name != "model"}
        return request_hash({"task": "forecast", "engine": ENGINE, **asked})

    def run(
        self,
        backend: Backend,
        store: Store,
        report: Callable[[int, int], None] = lambda done, total: None,
        say: Callable[[str], None] = lambda stage: None,
    ) -> tuple[str, Forecast, bool]:
        """Key, forecast, and whether it was stored before. Raises InputError, Failure."""
        from memviz.engine.preparing import prepare
        from memviz.predictor.applying import predict_context

        found = stored_forecast(store, self)
        if found is not None:
            return self.hash, found, True
        known = self._known(known_predictors(backend.settings))
        card = prepare(find_model(self.model, backend.settings), backend.settings, say)
        report(0, 0)
        say("reading the context")
        asked = predict_context(known, card, np.array([self.context_ids], np.int64), backend, self.dtype)
        found = Forecast(asked[0], datetime.now(UTC))
        about: dict[str, Any] = {"request": {"task": "forecast", **asdict(self)}, "created": found.created.isoformat()}
        store.put(self.hash, {"probability": found.probability}, about)
        return self.hash, found, False

    def _known(self, among: list[Known]) -> Known:
        for each in among:
            if each.id == self.predictor:
                return each
        raise InputError(f"predictor {self.predictor[:12]} is no longer kept here: fit it again")


def stored_forecast(store: Store, task: ForecastTask) -> Forecast | None:
    """A forecast from the store, or None where there is none."""
    found = store.get(task.hash)
    if found is None:
        return None
    arrays, about = found
    try:
        return Forecast(arrays["probability"], datetime.fromisoformat(about["created"]))
    except (KeyError, TypeError, ValueError):
        store.delete(task.hash)
        return None
