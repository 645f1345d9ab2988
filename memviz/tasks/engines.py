"""Who answers batches: this process one after the other, or others it asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

from memviz.tasks.base import Answer, Context, Task, answer

R = TypeVar("R")


class Engine(Protocol):
    """Answers tasks that are batches of a longer one."""

    def answers(self, tasks: Iterable[Task[R]], context: Context) -> Iterator[Answer[R]]:
        """The answers in the order of the tasks, each kept before it is given.

        Raises what `answer` raises.
        """

    def about(self) -> str:
        """Who works, in words; empty where it is this process."""


def answers(tasks: Iterable[Task[Any]], context: Context) -> Iterator[Answer[Any]]:
    """What tasks ask, in their order, from where they are kept or computed by the engine of the context."""
    if context.engine is not None:
        yield from context.engine.answers(tasks, context)
        return
    for task in tasks:
        yield answer(task, context)
