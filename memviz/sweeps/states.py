"""Hidden states of a sweep's rows, batch by batch from the store or the model; memory holds one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.records import States
from memviz.sweeps.batch import BatchTask, digest_of
from memviz.sweeps.results import Sweep
from memviz.tasks.base import Context, Device, ready
from memviz.tasks.engines import answers

BATCH = 128
"""Rows read together and kept together, counted from the first row of the sweep's condition."""


@dataclass(frozen=True)
class Texts:
    """What one model of a sweep read and wrote under one condition: n rows of k context and m further tokens."""

    model: str
    k: int
    rows: np.ndarray
    """(n,) int64 row numbers, ascending."""
    true_ids: np.ndarray
    """(n, k + m) int64."""
    generated_ids: np.ndarray
    """(n, k + m) int64: the context, then what the model wrote."""

    @property
    def match(self) -> np.ndarray:
        """(n, m) bool, free-running."""
        return self.true_ids[:, self.k :] == self.generated_ids[:, self.k :]


def texts_of(sweep: Sweep, model: str, k: int = 32, m: int = 32, mode: str = "sliding") -> Texts:
    """The rows of a sweep that have m positions after k. Raises InputError where the sweep has none."""
    condition = [("model", "==", model), ("mode", "==", mode), ("k", "==", k), ("m", ">=", m)]
    found = sweep.read("sequences", ["row", "start", "generated_ids"], condition).sort_values("row")
    if found.empty:
        raise InputError(f"the sweep has no rows of {model} at k = {k}, {mode}, with m = {m} or more")
    rows, start = found["row"].to_numpy(np.int64), int(found["start"].iloc[0])
    ids = sweep.read("rows", ["row", "ids"]).set_index("row")["ids"].loc[rows]
    true_ids = np.stack([each[start : start + k + m] for each in ids]).astype(np.int64)
    written = np.stack([each[:m] for each in found["generated_ids"]]).astype(np.int64)
    return Texts(model, k, rows, true_ids, np.concatenate([true_ids[:, :k], written], axis=1))


def states_of(
    texts: Texts,
    wanted: np.ndarray,
    layers: Sequence[int],
    dtype: str,
    context: Context,
    free_running: bool = True,
) -> Iterator[tuple[np.ndarray, States]]:
    """Places (b,) in `texts.rows` and their states, p = k + m without the tokenizer's leading tokens, in order.

    wanted: (w,) places in `texts.rows`. Whole batches of `BATCH` rows are computed and kept, so that another choice of
    rows finds them; `report` counts rows. Raises InputError, Failure, and whatever `report` raises to cancel.
    """
    card = ready(texts.model, context)
    ids = texts.generated_ids if free_running else texts.true_ids
    wanted = np.unique(wanted)
    done, total, n_leading = 0, len(wanted), len(card.leading_ids)
    numbers = np.unique(wanted // BATCH)
    leading = np.array(card.leading_ids, np.int64)

    def asked() -> Iterator[StatesTask]:
        for batch in numbers:
            rows = ids[batch * BATCH : (batch + 1) * BATCH]
            whole = np.concatenate([np.tile(leading, (len(rows), 1)), rows], axis=1)
            where = f"rows {texts.rows[batch * BATCH]} to {texts.rows[batch * BATCH + len(rows) - 1]}"
            yield StatesTask(card, dtype, whole, tuple(layers), where=where)

    context.say(f"reading hidden states of {card.name}")
    found = answers(asked(), context.telling(lambda *_: context.report(0, 0)))
    for batch, (_, states, _) in zip(numbers, found, strict=True):
        inside = wanted[wanted // BATCH == batch]
        yield inside, states.rows(inside - batch * BATCH, n_leading)
        done += len(inside)
        context.report(done, total)


@dataclass(frozen=True)
class StatesTask(BatchTask[States]):
    """Hidden states of a batch of rows."""

    kind = "states"
    record = States
    ids: np.ndarray
    """(n, p) int64."""
    layers: tuple[int, ...]

    def asked(self, device: Device) -> dict[str, Any]:
        return {"layers": list(self.layers), "tokens": digest_of(self.ids)}

    def compute(self, cards: Sequence[Card], context: Context) -> States:
        from memviz.engine.states import read_states

        loaded = context.backend.load(self.card, self.dtype)
        return read_states(loaded, self.ids, self.layers, context.report)
