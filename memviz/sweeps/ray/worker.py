"""What runs in a worker process: one model at a time, one batch after the other."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from memviz.catalog import Card
from memviz.errors import Failure
from memviz.records import to_arrays
from memviz.settings import Settings
from memviz.store import Store
from memviz.sweeps.batch import BatchTask
from memviz.tasks.base import ENGINE, Context, ready


class About(NamedTuple):
    """What a worker says of itself."""

    kind: str
    device: str
    """In words, a GPU by its name."""
    host: str
    pid: int
    engine: int


class Worker:
    """Answers batches with the models of its own machine."""

    def __init__(self, settings: Settings) -> None:
        self._context = Context(settings, Store(settings.cache / "results", settings.cache_limit))

    def about(self) -> About:
        return About(*self._context.backend.where, os.uname().nodename, os.getpid(), ENGINE)

    def noise(self, card: Card, dtype: str) -> float:
        """Logit noise of a model here."""
        backend = self._context.backend
        return backend.logit_noise(backend.load(self._own(card), dtype))

    def compute(self, task: BatchTask[Any], noise: float | None) -> tuple[dict[str, np.ndarray], float]:
        """The record's arrays, and the seconds it took. Raises InputError, Failure."""
        start = time.perf_counter()
        own = replace(task, card=self._own(task.card))
        record = own.compute([], replace(self._context, noise=noise, start=lambda: self._context.backend))
        return to_arrays(record), time.perf_counter() - start

    def _own(self, card: Card) -> Card:
        """The card of the model on this machine, which must have the same weights. Raises Failure."""
        own = ready(card.name, self._context)
        if own.weights != card.weights:
            host = os.uname().nodename
            raise Failure(f"{card.name} has other weights on {host} than where the sweep was started: bring the same")
        return own
