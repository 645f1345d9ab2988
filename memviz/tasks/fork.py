"""The task that lets a model go on from another token than the one it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.records import Run, Trace
from memviz.tasks.base import Context, Task
from memviz.tasks.trace import TraceTask

N_IN_A_ROW = 5
"""True tokens written at their own index, one behind the other, that count as back in the text."""


@dataclass(frozen=True)
class ForkTask(Task[Run]):
    """Greedy decoding behind forced tokens. Raises InputError where a field cannot be used."""

    kind = "fork"
    record = Trace

    model: str
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    forced_ids: tuple[int, ...]
    """What stands behind the context: what was written up to the fork, and the other token, which is the last."""
    n_steps: int
    """Tokens written behind them."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.forced_ids:
            raise InputError("a fork has 0 forced tokens: give at least the one it goes on from")
        self.whole  # noqa: B018 - checks the prompt

    @property
    def whole(self) -> TraceTask:
        """The same as a prompt whose context ends with the forced tokens."""
        return TraceTask(self.model, (*self.context_ids, *self.forced_ids), None, self.n_steps, dtype=self.dtype)

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where the tokens do not fit the model."""
        self.whole.check(cards)

    def compute(self, cards: Sequence[Card], context: Context) -> Trace:
        return self.whole.compute(cards, context)

    def unpack(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Run:
        return self.whole.unpack(arrays, about)

    def written(self, run: Run) -> np.ndarray:
        """(m,) int64 ids behind the context: the forced ones, and what the model wrote behind them."""
        return np.concatenate([self.forced_ids, run.trace.generated_ids[0]]).astype(np.int64)


def fork_of(task: TraceTask, generated_ids: np.ndarray, t: int, token_id: int) -> ForkTask:
    """A run's prompt with another token at position t, decoded to the run's length. Raises InputError at its last one.

    generated_ids: (m,) what the run wrote.
    """
    n_steps = task.n_steps - t - 1
    if n_steps < 1:
        raise InputError("behind the last token nothing is written: fork at an earlier one")
    forced = (*generated_ids[:t].tolist(), token_id)
    return ForkTask(task.model, task.context_ids, forced, n_steps, task.dtype)


def back_at(written_ids: np.ndarray, true_ids: np.ndarray, fork: int) -> int | None:
    """First position behind the fork from which `N_IN_A_ROW` true tokens stand at their own index; None: nowhere.

    Both (m,). Fewer are enough where the row ends before.
    """
    match = written_ids[: len(true_ids)] == true_ids[: len(written_ids)]
    for t in range(fork + 1, len(match)):
        if match[t : t + N_IN_A_ROW].all():
            return t
    return None
