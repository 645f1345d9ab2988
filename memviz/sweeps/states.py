"""Hidden states of a sweep's rows, batch by batch from the store or the model; memory holds one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.records import States
from memviz.sweeps.results import Sweep
from memviz.tasks.base import Context, Device, Task, answer, ready, result_key

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
    part = context.telling(lambda *_: context.report(0, 0))
    for batch in np.unique(wanted // BATCH):
        places = np.arange(batch * BATCH, min((batch + 1) * BATCH, len(ids)))
        asked = np.concatenate([np.tile(np.array(card.leading_ids, np.int64), (len(places), 1)), ids[places]], axis=1)
        context.say(f"reading hidden states of {card.name}")
        states = answer(StatesTask(card, dtype, asked, tuple(layers)), part).result
        inside = wanted[wanted // BATCH == batch]
        yield inside, states.rows(inside - places[0], n_leading)
        done += len(inside)
        context.report(done, total)


@dataclass(frozen=True)
class StatesTask(Task[States]):
    """Hidden states of a batch of rows; part of another task, kept for those that read the same rows."""

    kind = "states"
    record = States
    card: Card
    dtype: str
    ids: np.ndarray
    """(n, p) int64."""
    layers: tuple[int, ...]

    @property
    def model(self) -> str:
        return self.card.name

    @property
    def model_names(self) -> tuple[str, ...]:
        """It is ready."""
        return ()

    def request(self) -> dict[str, Any]:
        return {"task": self.kind, "model": self.model}

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """The very tokens read, in place of how they were chosen."""
        tokens = hashlib.sha256(str(self.ids.shape).encode() + self.ids.tobytes()).hexdigest()
        asked = {"task": self.kind, "weights": self.card.weights, "dtype": self.dtype, "layers": list(self.layers)}
        return result_key(asked | {"tokens": tokens}, self.dtype, device)

    def compute(self, cards: Sequence[Card], context: Context) -> States:
        from memviz.engine.states import read_states

        loaded = context.backend.load(self.card, self.dtype)
        return read_states(loaded, self.ids, self.layers, context.report)
