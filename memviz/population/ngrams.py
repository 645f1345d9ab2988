"""n-gram frequency at each index of a sweep's rows, from an exact index of the training stream."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from memviz.catalog import Card, find_model
from memviz.corpus import Corpus, Kind
from memviz.corpus.index import UNDEFINED
from memviz.corpus.known import index_of
from memviz.demo.index import SUITE
from memviz.errors import InputError
from memviz.sweeps.results import Sweep, read_sweep
from memviz.tasks.base import Context, Device, Task, answer, ready
from memviz.tasks.preparing import Errand, IndexTask
from memviz.tasks.trace import tokenizer_of

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


@dataclass(frozen=True)
class Counts:
    """What is kept of an answer; all else is in the question."""

    counts: np.ndarray


@dataclass(frozen=True)
class FrequencyTask(Task[Frequencies]):
    """Counts for every row of a sweep: milliseconds a row the first time, then at once; `report` counts rows.

    Raises InputError where the sweep has not kept the tokens.
    """

    kind = "frequencies"
    record = Counts
    on_device = False
    keyed_by_cards = False
    sweep: Sweep
    corpus: Corpus
    copies: Kind = "other"
    """Which occurrences count; "other": own copies removed (rows that share 16 tokens with the row)."""
    until_step: int | None = None
    generated: Generated | None = None
    """Count the context and what that model wrote after it; then indices count from the first context token."""
    orders: tuple[int, ...] = ORDERS

    @property
    def model(self) -> str:
        return self.corpus.manifest.name

    @property
    def model_names(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def tokens(self) -> Tokens:
        """Of the rows it is about. Raises InputError."""
        return tokens_of(self.sweep, self.generated)

    def request(self) -> dict[str, Any]:
        """The very tokens and shards in place of where they lie."""
        about = self.corpus.manifest
        return {
            "task": self.kind,
            "format": FORMAT,
            "index": [about.name, about.tokenizer_hash, about.rows, [entry.key for entry in about.shards]],
            "kind": self.copies,
            "until_step": self.until_step,
            "orders": list(self.orders),
            "truth": _digest(self.tokens.truth),
            "texts": _digest(self.tokens.texts),
        }

    def key(self, cards: Sequence[Card], device: Device) -> str:
        return self.hash

    def compute(self, cards: Sequence[Card], context: Context) -> Counts:
        truth, texts, n = self.tokens.truth, self.tokens.texts, len(self.tokens.rows)
        counts = np.full((n, len(self.orders), max(map(len, texts), default=0)), UNDEFINED, np.int64)
        for i, (text, true) in enumerate(zip(texts, truth, strict=True)):
            context.report(i, n)
            own = self.corpus.own_rows(true) if self.copies == "other" else ()
            counts[i, :, : len(text)] = self.corpus.counts(text, self.orders, self.copies, self.until_step, own)
        context.report(n, n)
        return Counts(counts)

    def unpack(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Frequencies:
        n_tokens, name = _tokens_until(self.corpus, self.until_step), self.corpus.manifest.name
        return Frequencies(self.tokens.rows, self.orders, arrays["counts"], n_tokens, self.copies, name, self.generated)


def corpus_of(name: str, context: Context) -> Corpus | None:
    """The index of what a model was trained on, built where it is the suite's. Raises InputError, Failure."""
    model, tokenizer = find_model(name, context.settings), tokenizer_of(ready(name, context), context.settings)
    if model.index == SUITE and index_of(model, tokenizer, context.settings) is None:
        answer(IndexTask(SUITE), context)
    return index_of(model, tokenizer, context.settings)


@dataclass(frozen=True)
class CountTask(Errand):
    """Several counts of one sweep, in the index of one of its models; the suite's is built where it is not yet."""

    kind = "count"
    kept = False
    long = True
    sweep: str
    """Its folder."""
    model: str
    """Whose training data are counted in."""
    asked: tuple[tuple[str, int | None, Generated | None], ...]
    """Copies, last step and generations of each, as `FrequencyTask` has them."""

    def compute(self, cards: Sequence[Card], context: Context) -> str:
        """Raises InputError, Failure."""
        sweep, corpus = read_sweep(self.sweep), corpus_of(self.model, context)
        for i, (copies, until_step, generated) in enumerate(self.asked if corpus else ()):
            context.say("counting n-grams" + (f", {i + 1} of {len(self.asked)}" if len(self.asked) > 1 else ""))
            assert corpus is not None
            answer(FrequencyTask(sweep, corpus, copies, until_step, generated), context)  # type: ignore[arg-type]
        return self.hash


@dataclass(frozen=True)
class Tokens:
    """What is counted of n rows."""

    rows: np.ndarray
    """(n,) row numbers, ascending."""
    truth: list[np.ndarray]
    """Each row's own tokens, by which its copies are known."""
    texts: list[np.ndarray]
    """Each row's tokens that are counted."""


def tokens_of(sweep: Sweep, generated: Generated | None) -> Tokens:
    """The tokens of a sweep's rows. Raises InputError where it has not kept what a model wrote."""
    table = sweep.rows.sort_values("row")
    rows, truth = table["row"].to_numpy(np.int64), [np.asarray(ids, np.int64) for ids in table["ids"]]
    if generated is None:
        return Tokens(rows, truth, truth)
    model, mode, k = generated
    condition = [("model", "==", model), ("mode", "==", mode), ("k", "==", k)]
    found = sweep.read("sequences", ["row", "start", "generated_ids"], condition)
    found = found.dropna(subset="generated_ids").sort_values("row")  # a packed sweep keeps them of one k
    if found.empty:
        raise InputError(f"the sweep has not kept what {model} wrote at k = {k}, {mode}: choose another k")
    by_row = dict(zip(rows.tolist(), truth, strict=True))
    rows = found["row"].to_numpy(np.int64)
    truth = [by_row[row] for row in rows.tolist()]
    texts = [
        np.concatenate([ids[start : start + k], np.asarray(written, np.int64)])
        for ids, start, written in zip(truth, found["start"], found["generated_ids"], strict=True)
    ]
    return Tokens(rows, truth, texts)


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
