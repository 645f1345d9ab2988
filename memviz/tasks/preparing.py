"""Tasks that get things ready: a model, the engine, the index of the suite's training data."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memviz.catalog import Card
from memviz.store.keys import aside
from memviz.tasks.base import Context, Device, Task


@dataclass(frozen=True)
class PrepareTask(Task[Card]):
    """A model described by a card, for pages to use; kept, for every later visitor needs it."""

    kind = "prepare"
    kept = True
    model: str
    load: bool = aside(True)
    """Also load and measure it, so that its first run starts at once."""

    def key(self, cards: Sequence[Card], device: Device) -> str:
        return self.hash

    def find(self, key: str, cards: Sequence[Card], context: Context) -> Card | None:
        return None if self.load else cards[0]

    def compute(self, cards: Sequence[Card], context: Context) -> Card:
        context.loaded(cards[0], context.settings.dtype)
        return cards[0]

    def keep(self, key: str, record: Card, cards: Sequence[Card], context: Context) -> Card:
        return record


@dataclass(frozen=True)
class Errand(Task[str]):
    """Something that has to be done before others can be asked, without a model; it is not stored itself."""

    keyed_by_cards = False
    on_device = False
    kept = True

    @property
    def model_names(self) -> tuple[str, ...]:
        return ()

    def key(self, cards: Sequence[Card], device: Device) -> str:
        return self.hash

    def find(self, key: str, cards: Sequence[Card], context: Context) -> str | None:
        return None

    def keep(self, key: str, record: Any, cards: Sequence[Card], context: Context) -> str:
        return str(record)


@dataclass(frozen=True)
class EngineTask(Errand):
    """The engine started: its device is known then. The answer is the device's kind."""

    kind = "engine"

    @property
    def model(self) -> str:
        return "the engine"

    def compute(self, cards: Sequence[Card], context: Context) -> str:
        """Raises Failure where the device is not there."""
        return context.device.kind


@dataclass(frozen=True)
class IndexTask(Errand):
    """The n-gram index of the suite's corpus in the cache; shards that are there are reused. The answer is its name."""

    kind = "index"
    long = True
    name: str

    @property
    def model(self) -> str:
        return self.name

    def compute(self, cards: Sequence[Card], context: Context) -> str:
        """Raises InputError, Failure. Where it is given up, the shard under way is the last."""
        from memviz.demo.index import build_suite_index

        progress, given_up = [(0, 0)], threading.Event()

        def note(done: int, total: int) -> None:
            progress.append((done, total))
            if given_up.is_set():
                raise InterruptedError

        context.say("indexing the training data")
        try:
            told = context.telling(lambda *_: context.report(*progress[-1]))
            told.meanwhile(lambda: build_suite_index(context.settings, note))
        finally:
            given_up.set()
        context.report(*progress[-1])
        return self.name
