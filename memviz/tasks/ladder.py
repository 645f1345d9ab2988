"""One prompt under several models: which models belong together, and what is asked of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from memviz.catalog import Adapter, Card, Model, base_among
from memviz.errors import InputError
from memviz.records import Piece, Run
from memviz.tasks.base import Context, Device, Task, answer, stored, task_from
from memviz.tasks.trace import TraceTask, check_text, task_of_ids
from memviz.tokenizer import Tokenizer

Axis = Literal["size", "step", "hand"]
MAX_RUNGS = 24
PYTHIA_STEPS = 143_000
"""Training steps of a whole Pythia run, https://github.com/EleutherAI/pythia."""


# Which models


@dataclass(frozen=True)
class Choice:
    """Models that are worth comparing, in the order of their rows."""

    label: str
    axis: Axis
    models: tuple[Model, ...]


def family_of(model: Model) -> str | None:
    """The family a model says it is of, or Pythia by its name."""
    return model.family or ("Pythia" if re.match(r"pythia-.+-deduped", model.name) else None)


def size_of(model: Model) -> str:
    """Name of the size, the same for all of its steps and seeds."""
    return model.size or model.name.partition("@")[0]


def step_of(model: Model) -> int | None:
    """Training steps done, None where unknown."""
    if model.step is not None:
        return model.step
    named = re.search(r"@step(\d+)$", model.name)
    if named:
        return int(named[1])
    return PYTHIA_STEPS if family_of(model) == "Pythia" and "@" not in model.name else None


def is_whole(model: Model) -> bool:
    """Whether its training went to the end."""
    whole = PYTHIA_STEPS if family_of(model) == "Pythia" else model.n_steps
    return None in (step_of(model), whole) or step_of(model) == whole


def ascending(models: Iterable[Model]) -> tuple[Model, ...]:
    """By parameters, then size, step and seed."""
    return tuple(sorted(models, key=lambda m: (m.n_parameters or 0, size_of(m), step_of(m) or 0, m.seed, m.name)))


def choices(models: Iterable[Model]) -> list[Choice]:
    """Every family's sizes, with and without seeds, the training steps of each size that has several, and adapters."""
    models = list(models)
    families: dict[str, list[Model]] = {}
    for model in ascending(models):
        family = family_of(model)
        if family is not None:
            families.setdefault(family, []).append(model)
    found = []
    for family, members in families.items():
        whole = [model for model in members if is_whole(model)]
        first: dict[str, Model] = {}
        for model in whole:
            first.setdefault(size_of(model), model)
        if len(first) > 1:
            found.append(Choice(f"Sizes of {family}", "size", tuple(first.values())))
        if len(whole) > len(first):
            found.append(Choice(f"Sizes and seeds of {family}", "size", tuple(whole)))
        for size, model in first.items():
            steps = [m for m in members if size_of(m) == size and m.seed == model.seed and step_of(m) is not None]
            if len(steps) > 1:
                found.append(Choice(f"Training steps of {size}", "step", tuple(steps)))
    return found + _adapted(models)


def _adapted(models: Sequence[Model]) -> list[Choice]:
    """Every model that has adapters here, with these behind it."""
    ladders: dict[str, list[Model]] = {}
    for model in ascending(models):
        base = base_among(model.source, models) if isinstance(model.source, Adapter) else None
        if base is not None:
            ladders.setdefault(base.name, [base]).append(model)
    return [Choice(f"{name} and its adapters", "hand", tuple(rows[:MAX_RUNGS])) for name, rows in ladders.items()]


# What is asked


@dataclass(frozen=True)
class LadderTask(Task[tuple[Run, ...]]):
    """The same text under several models. Raises InputError for none, too many, or one twice."""

    kind = "ladder"

    tasks: tuple[TraceTask, ...]
    """One a row, in order."""
    axis: Axis

    def __post_init__(self) -> None:
        names = [task.model for task in self.tasks]
        if not 1 <= len(names) <= MAX_RUNGS:
            raise InputError(f"{len(names)} models are chosen: choose from 1 to {MAX_RUNGS}")
        if len(set(names)) < len(names):
            raise InputError(f"model {max(names, key=names.count)} is chosen twice: choose it once")
        if any(task.continuation_ids is None for task in self.tasks):
            raise InputError("a comparison needs a text that goes on: give a continuation of at least 1 token")

    def request(self) -> dict[str, Any]:
        return {"task": self.kind, "axis": self.axis, "rows": [task.request() for task in self.tasks]}

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> LadderTask:
        if request["axis"] not in get_args(Axis):
            raise TypeError(f"axis is {request['axis']!r:.60}")
        return cls(tuple(task_from(row, TraceTask) for row in request["rows"]), request["axis"])

    @property
    def model(self) -> str:
        return f"{len(self.tasks)} models"

    @property
    def model_names(self) -> tuple[str, ...]:
        return tuple(task.model for task in self.tasks)

    @property
    def drafted(self) -> tuple[TraceTask, ...]:
        """Its tasks; each is offered what those before it wrote."""
        return tuple(replace(task, drafts=self.tasks[:place]) for place, task in enumerate(self.tasks))

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """There is no result but those of its tasks."""
        return self.hash

    def find(self, key: str, cards: Sequence[Card], context: Context) -> tuple[Run, ...] | None:
        found = [stored(task, context) for task in self.tasks]
        runs = tuple(run for run in found if run is not None)
        return runs if len(runs) == len(found) else None

    def held(self, key: str, context: Context) -> AbstractContextManager[object]:
        """Each of its tasks holds the device by itself."""
        return nullcontext()

    def compute(self, cards: Sequence[Card], context: Context) -> tuple[Run, ...]:
        return tuple(answer(task, context).result for task in self.drafted)

    def keep(self, key: str, record: tuple[Run, ...], cards: Sequence[Card], context: Context) -> tuple[Run, ...]:
        return record


Reader = tuple[Card, Tokenizer]


def share_tokens(readers: Sequence[Reader]) -> bool:
    """Whether all models split a text alike, so that position t is the same token for each."""
    return len({(tokenizer.hash, tuple(card.leading_ids)) for card, tokenizer in readers}) < 2


def tasks_of(
    prompt: str | Sequence[int], readers: Sequence[Reader], n_context: int, n_continuation: int, dtype: str
) -> tuple[TraceTask, ...]:
    """One task a model for a text, or a row of ids that all of them read.

    Where tokenizers differ, the first model's context and continuation mark two places in the text; the others read
    whole tokens up to the first place and are asked for those up to the second. Raises InputError.
    """
    if isinstance(prompt, str):
        check_text(prompt)
    first_card, first = readers[0]
    ids = first.encode(prompt) if isinstance(prompt, str) else prompt
    if share_tokens(readers):
        return tuple(task_of_ids(ids, card, n_context, n_continuation, dtype=dtype) for card, _ in readers)
    task_of_ids(ids, first_card, n_context, n_continuation)  # says what is too short
    border, end = (len(first.to_bytes(ids[:n])) for n in (n_context, n_context + n_continuation))
    text = prompt if isinstance(prompt, str) else first.to_bytes(ids).decode("utf-8", "replace")
    tasks = []
    for card, tokenizer in readers:
        own = tokenizer.encode(text)
        k, m = split_at(tokenizer.pieces(own), border, end)
        tasks.append(task_of_ids(own, card, k, m, dtype=dtype))
    return tuple(tasks)


def split_at(pieces: Sequence[Piece], border: int, end: int) -> tuple[int, int]:
    """Tokens that lie whole before byte `border`, and those from there until byte `end` is reached; each at least 1."""
    ends = np.cumsum([0 if piece.special else len(piece.raw) for piece in pieces])
    k = max(1, int(np.searchsorted(ends, border, side="right")))
    return k, max(1, int(np.searchsorted(ends, end, side="left")) + 1 - k)
