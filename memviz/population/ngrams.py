"""n-gram frequency at each index of a sweep's rows, from an exact index of the training stream."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memviz.corpus import Corpus, Kind
from memviz.corpus.index import UNDEFINED
from memviz.errors import InputError
from memviz.store import Store, request_hash
from memviz.sweeps.results import Sweep
from memviz.tasks.base import Report

ORDERS = (1, 2, 3)
FORMAT = 1
Generated = tuple[str, str, int]
"""Model, mode and k of a sweep's generations."""


@dataclass(frozen=True)
class Frequencies:
    """Counts of the n-gram that ends at each index of some rows, and what they are shares of."""

    rows: np.ndarray
    """(n,) row numbers, ascending."""
    orders: tuple[int, ...]
    counts: np.ndarray
    """(n, n_orders, t) int64; -1 where the row has no n-gram of that order that ends there, or has ended."""
    n_tokens: int
    """Tokens of the stream counted."""
    kind: Kind
    index: str
    """Name of the n-gram index."""
    generated: Generated | None = None
    """None: indices are those of the row. Else they count from the first context token."""

    def of(self, n: int, rows: np.ndarray) -> np.ndarray:
        """(len(rows), t) counts per token of the stream of order n, NaN where undefined. Raises InputError."""
        if n not in self.orders:
            raise InputError(f"{n}-grams were not counted: counted are n = {', '.join(map(str, self.orders))}")
        place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        strangers = np.asarray(rows)[self.rows[place] != rows]
        if len(strangers):
            raise InputError(f"the n-grams of row {strangers[0]} were not counted: count those of this sweep")
        counts = self.counts[place, self.orders.index(n)].astype(np.float64)
        return np.where(counts < 0, np.nan, counts / max(self.n_tokens, 1))


def frequencies(
    sweep: Sweep,
    corpus: Corpus,
    store: Store,
    report: Report = lambda done, total: None,
    kind: Kind = "other",
    until_step: int | None = None,
    generated: Generated | None = None,
    orders: Sequence[int] = ORDERS,
) -> Frequencies:
    """Counts for every row of a sweep, kept in the store: milliseconds a row the first time, then at once.

    Indices are those of the row. `kind` "other": own copies removed (rows that share 16 tokens with the row).
    `generated` (model, mode, k): of the context and what that model wrote after it; then indices count from the first
    context token. `report(done, total)` counts rows and may raise to stop.
    """
    asked = _Asked(sweep, corpus, kind, until_step, generated, tuple(orders))
    found = asked.stored(store)
    if found is None:
        store.put(asked.key, {"counts": asked.count(report)}, {"request": asked.request})
        found = asked.stored(store)
    if found is None:  # the store may be too small for it
        found = asked.count(report)
    return asked.result(found)


def stored_frequencies(
    sweep: Sweep,
    corpus: Corpus,
    store: Store,
    kind: Kind = "other",
    until_step: int | None = None,
    generated: Generated | None = None,
    orders: Sequence[int] = ORDERS,
) -> Frequencies | None:
    """The same where it is in the store already, else None."""
    asked = _Asked(sweep, corpus, kind, until_step, generated, tuple(orders))
    found = asked.stored(store)
    return None if found is None else asked.result(found)


class _Asked:
    """One question: which tokens, of which rows, in which stream; and the key of its answer."""

    def __init__(
        self,
        sweep: Sweep,
        corpus: Corpus,
        kind: Kind,
        until_step: int | None,
        generated: Generated | None,
        orders: tuple[int, ...],
    ) -> None:
        self.corpus, self.kind, self.until_step, self.generated, self.orders = (
            corpus, kind, until_step, generated, orders
        )  # fmt: skip
        rows = sweep.rows.sort_values("row")
        self.rows = rows["row"].to_numpy(np.int64)
        self.truth = [np.asarray(ids, np.int64) for ids in rows["ids"]]
        self.texts = self.truth
        if generated is not None:
            self._generated(sweep, generated)
        about = corpus.manifest
        self.request: dict[str, Any] = {
            "task": "frequencies",
            "format": FORMAT,
            "index": [about.name, about.tokenizer_hash, about.rows, [entry.key for entry in about.shards]],
            "kind": kind,
            "until_step": until_step,
            "orders": list(orders),
            "truth": _digest(self.truth),
            "texts": _digest(self.texts),
        }
        self.key = request_hash(self.request)

    def _generated(self, sweep: Sweep, generated: Generated) -> None:
        model, mode, k = generated
        found = sweep.read(
            "sequences",
            ["row", "start", "generated_ids"],
            [("model", "==", model), ("mode", "==", mode), ("k", "==", k)],
        )
        found = found.dropna(subset="generated_ids")  # a packed sweep keeps them of one k
        if found.empty:
            raise InputError(f"the sweep has not kept what {model} wrote at k = {k}, {mode}: choose another k")
        truth = dict(zip(self.rows.tolist(), self.truth, strict=True))
        found = found.sort_values("row")
        self.rows = found["row"].to_numpy(np.int64)
        self.truth = [truth[row] for row in self.rows.tolist()]
        self.texts = [
            np.concatenate([ids[start : start + k], np.asarray(written, np.int64)])
            for ids, start, written in zip(self.truth, found["start"], found["generated_ids"], strict=True)
        ]

    def stored(self, store: Store) -> np.ndarray | None:
        found = store.get(self.key)
        return None if found is None else found[0].get("counts")

    def count(self, report: Report) -> np.ndarray:
        counts = np.full((len(self.rows), len(self.orders), max(map(len, self.texts), default=0)), UNDEFINED, np.int64)
        for i, (text, truth) in enumerate(zip(self.texts, self.truth, strict=True)):
            report(i, len(self.rows))
            own = self.corpus.own_rows(truth) if self.kind == "other" else ()
            counts[i, :, : len(text)] = self.corpus.counts(text, self.orders, self.kind, self.until_step, own)
        report(len(self.rows), len(self.rows))
        return counts

    def result(self, counts: np.ndarray) -> Frequencies:
        n_tokens = _tokens_until(self.corpus, self.until_step)
        name = self.corpus.manifest.name
        return Frequencies(self.rows, self.orders, counts, n_tokens, self.kind, name, self.generated)


def _digest(texts: Sequence[np.ndarray]) -> str:
    lengths = np.array([len(text) for text in texts], np.int64)
    joined = np.concatenate([np.zeros(0, np.int64), *texts])
    return hashlib.sha256(lengths.tobytes() + joined.astype("<i8").tobytes()).hexdigest()


def _tokens_until(corpus: Corpus, step: int | None) -> int:
    """Tokens of the stream up to a step; within a shard, steps count as equally long."""
    if step is None:
        return corpus.manifest.n_tokens
    total = 0.0
    for entry in corpus.manifest.shards:
        n_steps = entry.last_step - entry.first_step + 1
        total += entry.n_tokens * min(max((step - entry.first_step + 1) / n_steps, 0), 1)
    return round(total)
