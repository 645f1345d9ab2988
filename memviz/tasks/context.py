"""What tasks run with, and whom they tell."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from memviz.catalog import Card
from memviz.settings import Settings
from memviz.store import Store, request_hash
from memviz.store.answers import Keeper

if TYPE_CHECKING:
    from memviz.engine.backend import Backend
    from memviz.engine.loading import Loaded

Report = Callable[[int, int], None]
"""Called with what is done and the total, 0 for unknown; may raise to give up."""
Say = Callable[[str], None]
Show = Callable[[Any], None]
T = TypeVar("T")
BETWEEN = 0.2
"""Seconds between two reports for what says nothing on its way."""


class Device:
    """Where numbers come from; found out when a key first asks, for that needs the engine."""

    def __init__(self, find: Callable[[], tuple[str, str]]) -> None:
        self._find = find

    @cached_property
    def _found(self) -> tuple[str, str]:
        return self._find()

    @property
    def kind(self) -> str:
        """cpu, cuda or mps."""
        return self._found[0]

    @property
    def name(self) -> str:
        """In words, a GPU by its name."""
        return self._found[1]


class Engine(Protocol):
    """Answers tasks that are batches of a longer one, somewhere else."""

    def answers(self, tasks: Iterable[Any], context: Context) -> Iterator[Any]:
        """The `Answer` of each task, in their order, kept before it is given. Raises what `answer` raises."""

    def about(self) -> str:
        """Who works, in words."""


@dataclass
class Context:
    """What tasks run with, and whom they tell."""

    settings: Settings
    store: Store
    report: Report = lambda done, total: None
    say: Say = lambda stage: None
    show: Show = lambda partial: None
    """Takes what is known of a result before all of it is."""
    start: Callable[[], Backend] | None = None
    """Gives the engine; by default one is started at the first need."""
    find_device: Callable[[], tuple[str, str]] | None = None
    """Gives kind and name of the device to those who start no engine; by default the engine does."""
    engine: Engine | None = None
    """Answers batches elsewhere; by default they are computed here."""
    batches: Keeper | None = None
    """Keeps batches in place of the store, and the noise measured for them."""
    noise: float | None = None
    """Logit noise of the model, where the one who asks has it."""
    takes_turns: bool = True
    """Whether batches hold the device against other processes."""
    started: float = 0.0
    """When computing began, by `time.perf_counter`."""

    @cached_property
    def backend(self) -> Backend:
        if self.start is not None:
            return self.start()
        from memviz.engine.backend import Backend

        return Backend(self.settings)

    @cached_property
    def device(self) -> Device:
        """Where results are computed."""
        return Device(self.find_device or (lambda: self.backend.where))

    def telling(self, report: Report, say: Say = lambda stage: None) -> Context:
        """The same, with others to tell: for a part of a task."""
        return replace(self, report=report, say=say, start=lambda: self.backend)

    def meanwhile(self, work: Callable[[], T]) -> T:
        """What `work` gives, which touches no model and says nothing on its way: `report` is called all the while.

        Raises what either raises; where it is `report`, the work goes on to its end, and nobody takes what it gives.
        """
        found: Future[T] = Future()

        def run() -> None:
            try:
                found.set_result(work())
            except BaseException as error:
                found.set_exception(error)

        inside = contextvars.copy_context().run
        threading.Thread(target=inside, args=(run,), name="memviz-meanwhile", daemon=True).start()
        while not wait([found], BETWEEN).done:
            self.report(0, 0)
        return found.result()

    def loaded(self, card: Card, dtype: str) -> tuple[Loaded, float]:
        """A model in memory and its logit noise; the seconds of a result count from here. Raises Failure."""
        self.say(f"loading {card.name}")
        loaded = self.backend.load(card, dtype)
        self.report(0, 0)
        self.say(f"measuring how far two right ways of computing differ{loaded.split_words}")
        noise = self.noise
        if noise is None:
            noise = self.noise_of(card, dtype, lambda: self.backend.logit_noise(loaded))
        self.started = time.perf_counter()
        return loaded, noise

    def noise_of(self, card: Card, dtype: str, measure: Callable[[], float]) -> float:
        """One number for all who share the batches: what is called fragile must not depend on who computed it."""
        shared = self.batches
        if shared is None:
            return measure()
        key = request_hash({"noise": card.weights, "dtype": dtype, "device": self.device.name})
        if shared.get(key) is None:
            shared.put(key, {"logit_noise": np.array(measure())}, {})
        found = shared.get(key)
        return measure() if found is None else float(found[0]["logit_noise"])
