"""Hidden states of a sweep's rows, batch by batch from the store or the model; memory holds one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memviz.catalog import Card, find_model
from memviz.errors import InputError
from memviz.records import States, from_arrays, to_arrays
from memviz.store import Store, request_hash
from memviz.sweeps.results import Sweep
from memviz.tasks.base import ENGINE, Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

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
    backend: Backend,
    store: Store,
    free_running: bool = True,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> Iterator[tuple[np.ndarray, States]]:
    """Places (b,) in `texts.rows` and their states, p = k + m without the tokenizer's leading tokens, in order.

    wanted: (w,) places in `texts.rows`. Whole batches of `BATCH` rows are computed and kept, so that another choice of
    rows finds them. Raises InputError, Failure, and whatever `report` raises to cancel.
    """
    from memviz.engine.devices import device_lock
    from memviz.engine.preparing import prepare
    from memviz.engine.states import read_states

    card = prepare(find_model(texts.model, backend.settings), backend.settings, say)
    ids = texts.generated_ids if free_running else texts.true_ids
    wanted = np.unique(wanted)
    done, total, n_leading = 0, len(wanted), len(card.leading_ids)
    for batch in np.unique(wanted // BATCH):
        places = np.arange(batch * BATCH, min((batch + 1) * BATCH, len(ids)))
        asked = np.concatenate([np.tile(np.array(card.leading_ids, np.int64), (len(places), 1)), ids[places]], axis=1)
        key = states_key(card, dtype, backend.device.type, asked, layers)
        states = stored_states(store, key)
        if states is None:
            with device_lock(backend.settings, backend.device, lambda: report(0, 0)):
                states = stored_states(store, key)  # another process may have computed it while this one waited
                if states is None:
                    say(f"reading hidden states of {card.name}")
                    loaded = backend.load(card, dtype)
                    states = read_states(loaded, asked, tuple(layers), lambda *_: report(0, 0))
                    about = {"request": {"task": "states", "model": card.name}, "engine": ENGINE}
                    store.put(key, to_arrays(states), about)
        inside = wanted[wanted // BATCH == batch]
        yield inside, states.rows(inside - places[0], n_leading)
        done += len(inside)
        report(done, total)


def states_key(card: Card, dtype: str, device_kind: str, ids: np.ndarray, layers: Sequence[int]) -> str:
    """The key of a batch: weights, ENGINE, dtype, below float32 the kind of device, layers, and the very tokens."""
    tokens = hashlib.sha256(str(ids.shape).encode() + ids.tobytes()).hexdigest()
    where = {} if dtype == "float32" else {"device": device_kind}
    asked = {"task": "states", "weights": card.weights, "engine": ENGINE, "dtype": dtype, "layers": list(layers)}
    return request_hash(asked | {"tokens": tokens} | where)


def stored_states(store: Store, key: str) -> States | None:
    """A batch from the store, or None where it must be computed."""
    found = store.get(key)
    if found is None:
        return None
    try:
        return from_arrays(States, found[0])
    except (KeyError, TypeError, ValueError):
        store.delete(key)
        return None
