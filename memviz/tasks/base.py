"""What a task is, and the one way to its answer: prepare, stored?, lock, stored?, compute, keep."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from memviz.catalog import Card, find_model, read_card
from memviz.errors import InputError
from memviz.records import VERIFIED, from_arrays, to_arrays
from memviz.store import request_hash
from memviz.store.answers import Keeper
from memviz.store.keys import record_of, request_of
from memviz.store.sizes import refuse_more
from memviz.tasks.context import Context, Device

ENGINE = 1
"""Raised whenever the engine's numbers change, so that older results are computed anew."""
R = TypeVar("R", covariant=True)
T = TypeVar("T", bound="Task[Any]")
KINDS: dict[str, type[Task[Any]]] = {}
"""Every kind of task whose module is imported."""


def where(dtype: str, device: Device) -> dict[str, str]:
    """What a key says of the device. At float32 nothing: there all agree within the noise that is said.

    Below it, its name and the way of reading, unless the request itself names another.
    """
    return {} if dtype == "float32" else {"device": device.name, "reading": VERIFIED}


def result_key(asked: Mapping[str, Any], dtype: str, device: Device, **further: Any) -> str:
    """The key of a result: what was asked, ENGINE, and what of the device decides the numbers."""
    return versioned_hash({**where(dtype, device), **asked, **further})


def versioned_hash(asked: Mapping[str, Any]) -> str:
    """The hash of what was asked of this engine."""
    return request_hash({**asked, "engine": ENGINE})


class Task(Generic[R]):
    """A question with one answer. A subclass is a frozen dataclass that raises InputError for fields of no use.

    R is the answer: by default the record that `compute` gives, kept as arrays in the store.
    """

    kind: ClassVar[str]
    """Names it in requests."""
    record: ClassVar[type]
    """What the arrays in the store are."""
    kept: ClassVar[bool] = False
    """Whether its job goes on when nobody waits for it."""
    long: ClassVar[bool] = False
    """Its job lets others run at its reports, for it may take minutes."""
    on_device: ClassVar[bool] = True
    """Holds the device while it computes; else a lock of its kind, and the device where `compute` takes it."""
    keyed_by_cards: ClassVar[bool] = True
    """Whether its key needs the cards of its models."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Of which provenance gives the versions, beside those of the engine."""
    if TYPE_CHECKING:

        @property
        def model(self) -> str:
            """What it is about, in words: the model where it is one."""

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            KINDS[cls.kind] = cls

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `task_from` makes an equal one."""
        return {"task": self.kind, **request_of(self)}

    @classmethod
    def read(cls: type[T], request: Mapping[str, Any]) -> T:
        """The inverse of `request`. Raises ValueError, KeyError, TypeError."""
        return record_of(cls, {name: value for name, value in request.items() if name != "task"})

    @property
    def hash(self) -> str:
        """The name of a link and of the job: the request as asked, before anything is known of files."""
        return request_hash(self.request())

    @property
    def precision(self) -> str:
        """Of the model's numbers: its `dtype`, where it has one."""
        return getattr(self, "dtype", "float32")

    @property
    def model_names(self) -> tuple[str, ...]:
        """Models that must be ready; none where it is about none."""
        return (self.model,)

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where it does not fit its models."""

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """The key of the result: what decides its numbers, and nothing else."""
        asked = {name: value for name, value in self.request().items() if name != "model"}
        return result_key(asked | {"weights": cards[0].weights}, self.precision, device)

    def compute(self, cards: Sequence[Card], context: Context) -> Any:
        """The record. Raises InputError, Failure, and what `report` and `say` raise to give up."""
        raise NotImplementedError

    def unpack(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> R:
        """The answer from what the store keeps. Raises ValueError, KeyError, TypeError."""
        return from_arrays(self.record, arrays)

    def keeper(self, context: Context) -> Keeper:
        """Where its answer is kept."""
        return context.store

    def find(self, key: str, cards: Sequence[Card], context: Context) -> R | None:
        """The stored answer, or None; what cannot be read is removed."""
        found = self.keeper(context).get(key)
        if found is None:
            return None
        arrays, about = found
        try:
            if cards and "provenance" in about:  # the same weights may have been asked under another name
                about["provenance"] |= names(cards)
            return self.unpack(arrays, about)
        except (KeyError, TypeError, ValueError):
            self.keeper(context).delete(key)
            return None

    def held(self, key: str, context: Context) -> AbstractContextManager[object]:
        """What keeps other processes from computing the same meanwhile."""
        from memviz.engine.turns import turn

        name = context.backend.place if self.on_device else self.kind
        return turn(context.settings.cache, name, lambda: context.report(0, 0), context.say)

    def keep(self, key: str, record: Any, cards: Sequence[Card], context: Context) -> R:
        """Store the record under its key; the answer."""
        about: dict[str, Any] = {"request": self.request(), "engine": ENGINE}
        if cards:
            seconds = time.perf_counter() - context.started
            about["provenance"] = context.backend.provenance(names(cards), self.precision, seconds, self.libraries)
        arrays = to_arrays(record)
        self.keeper(context).put(key, arrays, about)
        return self.unpack(arrays, about)


def names(cards: Sequence[Card]) -> dict[str, str]:
    """What provenance calls models."""
    facts = ("name", "label", "revision", "weights")
    found = {fact: " and ".join(getattr(card, fact) for card in cards) for fact in facts}
    return {"model" if fact == "name" else fact: value for fact, value in found.items()}


class Answer(NamedTuple, Generic[R]):
    key: str
    result: R
    was_stored: bool


def answer(task: Task[R], context: Context) -> Answer[R]:
    """What a task asks, from the store or computed and kept there.

    Raises InputError, Failure (of models, store, device, cache), and what `report` and `say` raise to give up.
    """
    cards = [ready(name, context) for name in task.model_names]
    task.check(cards)
    key = task.key(cards, context.device)
    found = task.find(key, cards, context)
    if found is not None:
        return Answer(key, found, True)
    if task.long and task.kept:
        refuse_more(context.settings)
    with task.held(key, context):
        found = task.find(key, cards, context)  # another process may have computed it while this one waited
        if found is not None:
            return Answer(key, found, True)
        context.started = time.perf_counter()
        record = task.compute(cards, context)
        return Answer(key, task.keep(key, record, cards, context), False)


def ready(name: str, context: Context) -> Card:
    """The card of a model, made where it is not there yet. Raises InputError, Failure."""
    model = find_model(name, context.settings)
    card = read_card(model, context.settings)
    if card is not None:
        return card
    from memviz.engine.preparing import prepare

    return prepare(model, context.settings, context.say)


def key_of(task: Task[Any], context: Context, cards: Sequence[Card] | None = None) -> str | None:
    """The key of a task's result, without torch; None where a model is not ready. Raises InputError.

    cards: those of its models, where they have been read.
    """
    cards = cards or _known(task, context)
    return None if cards is None else task.key(cards, context.device)


def stored(task: Task[R], context: Context, cards: Sequence[Card] | None = None) -> R | None:
    """The answer where it is stored, as `key_of`."""
    cards = cards or _known(task, context)
    return None if cards is None else task.find(task.key(cards, context.device), cards, context)


def _known(task: Task[Any], context: Context) -> list[Card] | None:
    if not task.keyed_by_cards:
        return []
    found = [read_card(find_model(name, context.settings), context.settings) for name in task.model_names]
    cards = [card for card in found if card is not None]
    return cards if len(cards) == len(found) else None


def task_from(request: Mapping[str, Any], *kinds: type[T]) -> T:
    """The task of a stored request, of one of some kinds. Raises InputError where it is another or cannot be read."""
    named = request.get("task") if isinstance(request, Mapping) else request
    kind = KINDS.get(named) if isinstance(named, str) else None
    if kind is None or (kinds and not issubclass(kind, kinds)):
        wanted = f", not a {' or '.join(each.kind for each in kinds)}" if kinds else ""
        raise InputError(f"this stored request is of kind {named!r:.60}{wanted}: open it on its own page")
    try:
        return kind.read(request)  # type: ignore[return-value]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"this stored request cannot be read by this version of memviz ({error})") from None
