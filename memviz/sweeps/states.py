"""Hidden states of a sweep's rows, batch by batch from the store or the model; memory holds one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.records import Points, Prompts, States
from memviz.sweeps.batch import BatchTask, digest_of
from memviz.sweeps.results import Sweep
from memviz.sweeps.survey import SurveyTask
from memviz.tasks.base import Context, Device, ready
from memviz.tasks.engines import answers

R = TypeVar("R", States, Points)
BATCH = 128
"""Rows read together and kept together."""
FEW = 64
"""The same where few indices are kept: a picture grows by as many rows, and a processor keeps them in its cache."""


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
    start: int = 0
    """Token of the row at which all of this begins."""

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
    return Texts(model, k, rows, true_ids, np.concatenate([true_ids[:, :k], written], axis=1), start)


def windows_of(
    sweep: Sweep, texts: Texts, places: np.ndarray, n: int, context: Context
) -> Iterator[tuple[np.ndarray, Texts, np.ndarray]]:
    """Other windows of the rows at some places, as long as their own, and what the model writes after each context.

    n - 1 of each row, evenly spaced up to the last that fits it; a row too short for another one has none. Each time
    the places (b,) of rows that have one, their texts, and (b, m) int32 ranks of the true tokens. Batches are kept, so
    that they are written once. Raises InputError, Failure, and whatever `report` raises to cancel.
    """
    card, k, length = ready(texts.model, context), texts.k, texts.true_ids.shape[1]
    ids = sweep.read("rows", ["row", "ids"]).set_index("row")["ids"].loc[texts.rows[places]].tolist()
    room = np.array([len(each) for each in ids]) - texts.start - length
    for window in range(1, n):
        start, before = (texts.start + np.rint(each * room / (n - 1)).astype(int) for each in (window, window - 1))
        chosen = np.flatnonzero(start > before)
        if not len(chosen):
            continue
        true_ids = np.stack([ids[i][start[i] : start[i] + length] for i in chosen]).astype(np.int64)
        parts = [slice(first, first + BATCH) for first in range(0, len(chosen), BATCH)]
        where = f"window {window + 1} of {n} of rows"
        asked = [
            SurveyTask(
                card,
                sweep.task.dtype,
                Prompts(with_leading(card, true_ids[part, :k]), true_ids[part, k:]),
                sweep.task.reading,
                where=where,
            )
            for part in parts
        ]
        context.say(f"{card.name} writes after other windows, {window} of {n - 1}")
        found = []
        for part, (_, record, _) in zip(
            parts, answers(asked, context.telling(lambda *_: context.report(0, 0))), strict=True
        ):
            found.append(record)
            context.report(min(part.stop, len(chosen)), len(chosen))
        written = np.concatenate([each.generated_ids for each in found]).astype(np.int64)
        whole = np.concatenate([true_ids[:, :k], written], axis=1)
        ranks = np.concatenate([each.teacher_forced_rank for each in found])
        yield places[chosen], Texts(texts.model, k, texts.rows[places[chosen]], true_ids, whole), ranks


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
    numbers = np.unique(wanted // BATCH)

    def asked() -> Iterator[StatesTask]:
        for batch in numbers:
            rows = ids[batch * BATCH : (batch + 1) * BATCH]
            where = f"rows {texts.rows[batch * BATCH]} to {texts.rows[batch * BATCH + len(rows) - 1]}"
            yield StatesTask(card, dtype, with_leading(card, rows), tuple(layers), where=where)

    parts = [wanted[wanted // BATCH == batch] for batch in numbers]
    for inside, states in _answered(parts, asked(), card, context):
        yield inside, states.rows(inside % BATCH, len(card.leading_ids))


def points_of(
    texts: Texts,
    places: np.ndarray,
    layers: Sequence[int],
    index: np.ndarray,
    dtype: str,
    context: Context,
    free_running: bool = True,
    with_entropy: bool = False,
) -> Iterator[tuple[np.ndarray, Points]]:
    """Numbers (b,) among places (w,) of `texts.rows`, and the states of those rows at some indices of the row alone.

    Rows are read in a random order, so that the first batches are a sample of all. `report` counts rows. Raises
    InputError, Failure, and whatever `report` raises to cancel.
    """
    card = ready(texts.model, context)
    ids = (texts.generated_ids if free_running else texts.true_ids)[places]
    order = np.random.default_rng(0).permutation(len(places))
    parts = [order[start : start + FEW] for start in range(0, len(order), FEW)]
    at = tuple((len(card.leading_ids) + np.asarray(index)).tolist())

    def asked() -> Iterator[PointsTask]:
        for part in parts:
            where = f"{len(part)} of the rows drawn"
            yield PointsTask(card, dtype, with_leading(card, ids[part]), tuple(layers), at, with_entropy, where=where)

    yield from _answered(parts, asked(), card, context)


def with_leading(card: Card, ids: np.ndarray) -> np.ndarray:
    """(n, p) int64 rows behind what the model's tokenizer puts in front of a text."""
    return np.concatenate([np.tile(np.array(card.leading_ids, np.int64), (len(ids), 1)), ids], axis=1)


def _answered(
    parts: Sequence[np.ndarray], asked: Iterable[BatchTask[R]], card: Card, context: Context
) -> Iterator[tuple[np.ndarray, R]]:
    """Each part of the rows with what answers its task, in order; `report` counts rows."""
    context.say(f"reading hidden states of {card.name}")
    done, total = 0, sum(map(len, parts))
    found = answers(asked, context.telling(lambda *_: context.report(0, 0)))
    for part, (_, record, _) in zip(parts, found, strict=True):
        yield part, record
        done += len(part)
        context.report(done, total)


@dataclass(frozen=True)
class PointsTask(BatchTask[Points]):
    """Hidden states of a batch of rows at some indices."""

    kind = "points"
    record = Points
    ids: np.ndarray
    """(n, p) int64."""
    layers: tuple[int, ...]
    index: tuple[int, ...]
    """Ascending."""
    with_entropy: bool = False

    def asked(self, device: Device) -> dict[str, Any]:
        about = {"layers": list(self.layers), "index": list(self.index), "entropy": self.with_entropy}
        return about | {"tokens": digest_of(self.ids[:, : self.index[-1] + 1])}

    def compute(self, cards: Sequence[Card], context: Context) -> Points:
        from memviz.engine.states import read_points

        loaded = context.backend.load(self.card, self.dtype)
        return read_points(loaded, self.ids, self.layers, self.index, self.with_entropy, context.report)


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
