"""What is stored, asked by a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import streamlit as st

from memviz.catalog import Card
from memviz.settings import settings
from memviz.tasks import base
from memviz.tasks.base import Context, Task
from memviz.tasks.preparing import EngineTask
from memviz.ui.common.process import known_device, store, worker
from memviz.ui.common.progress import say_end, watch

R = TypeVar("R")


def context() -> Context:
    """What a page asks the store with.

    A key of half precision names the device. Where the engine has not started yet, that stops the page here, starts it
    behind it, and says why where there is no such device.
    """
    return Context(settings(), store(), find_device=_device)


def stored(task: Task[R], *cards: Card) -> R | None:
    """The stored answer of a task; `cards` are those of its models, where they have been read."""
    return base.stored(task, context(), cards)


def key_of(task: Task[Any], *cards: Card) -> str | None:
    """Its key, None where a model is not ready."""
    return base.key_of(task, context(), cards)


def keys_of(tasks: Sequence[Task[Any]]) -> list[str]:
    """Of tasks whose keys need no model."""
    return [key for task in tasks if (key := key_of(task)) is not None]


def _device() -> tuple[str, str]:
    if worker().device is not None:
        return known_device()
    job = worker().job(EngineTask().hash)
    if say_end(EngineTask()):
        st.stop()
    watch(job if job and job.active else worker().ask(EngineTask()), "Results of half precision are of one device")
    st.stop()
