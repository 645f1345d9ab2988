"""What a sweep asks: its prepared rows cut into batches, model by model, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.records import Prompts
from memviz.sweeps.plan import Condition, Plan, plan
from memviz.sweeps.preparing import PreparedRows
from memviz.sweeps.survey import BATCH_BYTES, CONTEXT_BYTES, POSITION_BYTES, SurveyTask
from memviz.sweeps.task import SweepRequest
from memviz.tokenizer import Tokenizer


@dataclass(frozen=True)
class Share:
    """Part `number`, from 1, of `n` parts of a sweep's batches."""

    number: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.n:
            raise InputError(f"shard {self.number} of {self.n} was asked for: give 1/{self.n} to {self.n}/{self.n}")

    def holds(self, place: int) -> bool:
        return place % self.n == self.number - 1


WHOLE = Share(1, 1)


@dataclass(frozen=True)
class Ask:
    """One batch: rows that one decode serves."""

    card: Card
    condition: Condition
    block: pa.Table
    truth: np.ndarray
    """(n, m) int64."""
    task: SurveyTask

    @property
    def n_tokens(self) -> int:
        """To be read."""
        return self.task.prompts.context_ids.size + 2 * self.truth.size


@dataclass(frozen=True)
class Asks:
    """Every batch of a sweep whose rows are prepared."""

    task: SweepRequest
    cards: list[Card]
    tokenizer: Tokenizer
    rows: PreparedRows
    batch: int

    @cached_property
    def plan(self) -> Plan:
        """Raises InputError where no row is long enough."""
        what = plan(self.task, self.rows.lengths)
        if not what.conditions:
            raise InputError(
                f"no row is long enough for any size asked for: the longest has {max(self.rows.lengths)} tokens; "
                "ask for smaller sizes"
            )
        return what

    def of(self, share: Share = WHOLE) -> Iterator[Ask]:
        """The batches of a share, in the order of the tables.

        Batches with the same tokens under two conditions fall into the same share: they count as one piece of work.
        """
        sizes = sorted({condition.k for condition in self.plan.conditions})
        for of_card, card in enumerate(self.cards):
            for condition in self.plan.conditions:
                first = of_card + sizes.index(condition.k)
                for number, block in enumerate(self.rows.batches(self.batch), first):
                    if share.holds(number):
                        yield from self._of_block(card, condition, block)

    def _of_block(self, card: Card, condition: Condition, block: pa.Table) -> Iterator[Ask]:
        leading = np.array(card.leading_ids, np.int64)
        ids = block["ids"].combine_chunks()
        n_tokens = ids.value_lengths().to_numpy()
        longest = condition.longest(n_tokens)
        flat, offsets = ids.flatten().to_numpy().astype(np.int64), n_tokens.cumsum() - n_tokens
        for m in sorted({*longest.tolist()} - {0}):
            chosen = np.flatnonzero(longest == m)
            first = (offsets[chosen] + condition.start)[:, None]
            context = flat[first + np.arange(condition.k)]
            truth = flat[first + condition.k + np.arange(m)]
            prompts = Prompts(np.concatenate([np.tile(leading, (len(chosen), 1)), context], axis=1), truth)
            rows = block.take(pa.array(chosen))
            where = f"rows {rows['row'][0]} to {rows['row'][-1]} of {card.name}, {condition.mode}, k = {condition.k}"
            task = SurveyTask(card, self.task.dtype, prompts, self.task.reading, self.rows.n, where=where)
            yield Ask(card, condition, rows, truth, task)

    @cached_property
    def n_tokens(self) -> int:
        """To be read in all."""
        return len(self.cards) * tokens_read(self.plan, self.rows.lengths)

    @cached_property
    def n_bytes(self) -> int:
        """What all batches take where they are kept, at most about."""
        n_leading = len(self.cards[0].leading_ids)
        return len(self.cards) * bytes_kept(self.plan, self.rows.lengths, self.batch, n_leading)


def counts_of(condition: Condition, lengths: Mapping[int, int]) -> list[tuple[int, int]]:
    """m, and rows of one length that it is the largest for; lengths: tokens -> rows of so many."""
    found = zip(condition.longest(np.array(list(lengths))).tolist(), lengths.values(), strict=True)
    return [(m, count) for m, count in found if m]


def tokens_read(what: Plan, lengths: Mapping[int, int]) -> int:
    """By each model; a continuation is read twice."""
    return sum(count * (each.k + 2 * m) for each in what.conditions for m, count in counts_of(each, lengths))


def bytes_kept(what: Plan, lengths: Mapping[int, int], batch: int, n_leading: int = 0) -> int:
    """Of all batches of one model, at most about; those with the same tokens are kept once."""
    distinct = {(each.start, each.k, each.lengths): each for each in what.conditions}
    found = 0
    for condition in distinct.values():
        counts = counts_of(condition, lengths)
        found += len({m for m, _ in counts}) * -(-sum(lengths.values()) // batch) * BATCH_BYTES
        found += sum(n * ((condition.k + n_leading) * CONTEXT_BYTES + m * POSITION_BYTES) for m, n in counts)
    return found
