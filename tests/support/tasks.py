"""What tests run tasks with."""

from __future__ import annotations

from typing import Any

from memviz.engine.backend import Backend
from memviz.store import Store
from memviz.tasks.base import Context, Device

CPU, CUDA = (Device(lambda kind=kind: (kind, kind)) for kind in ("cpu", "cuda"))  # type: ignore[misc]


def context_of(backend: Backend, store: Store, **told: Any) -> Context:
    """A context with an engine that is there; `told` are report, say and show."""
    return Context(backend.settings, store, start=lambda: backend, **told)
