"""Batches are answered here one after the other, or by the engine of the context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from memviz.tasks.base import Answer, Context, Task, answer


def answers(tasks: Iterable[Task[Any]], context: Context) -> Iterator[Answer[Any]]:
    """What tasks ask, in their order, from where they are kept or computed by the engine of the context."""
    if context.engine is not None:
        yield from context.engine.answers(tasks, context)
        return
    for task in tasks:
        yield answer(task, context)
