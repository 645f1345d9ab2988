"""What the batches of sweeps have in common, whatever is asked of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from memviz.catalog import Card
from memviz.store.answers import Keeper
from memviz.tasks.base import Context, Device, Task, result_key

R = TypeVar("R", covariant=True)


@dataclass(frozen=True)
class BatchTask(Task[R]):
    """Rows asked of one model together: part of another task, kept for those that ask the same."""

    needs_noise: ClassVar[bool] = False
    """Whether the numerical noise of the model goes into its answer."""
    card: Card
    dtype: str
    where: str = field(default="", kw_only=True)
    """Which rows, in words."""

    @property
    def model(self) -> str:
        return self.card.name

    @property
    def model_names(self) -> tuple[str, ...]:
        """It is ready."""
        return ()

    def request(self) -> dict[str, Any]:
        return {"task": self.kind, "model": self.model}

    def asked(self, device: Device) -> dict[str, Any]:
        """What decides the numbers beside weights and dtype: the very tokens, in place of how they were chosen."""
        raise NotImplementedError

    def key(self, cards: Sequence[Card], device: Device) -> str:
        asked = {"task": self.kind, "weights": self.card.weights, "dtype": self.dtype}
        return result_key(asked | self.asked(device), self.dtype, device)

    def keeper(self, context: Context) -> Keeper:
        return context.batches or context.store

    def held(self, key: str, context: Context) -> AbstractContextManager[object]:
        """The device is held for one batch only, so that others who want it wait no longer than that."""
        return super().held(key, context) if context.takes_turns else nullcontext()


def digest_of(*arrays: np.ndarray) -> str:
    """sha256, hex, of the shapes of arrays and what is in them."""
    shapes = tuple(array.shape for array in arrays)
    digest = hashlib.sha256(str(shapes if len(shapes) > 1 else shapes[0]).encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
