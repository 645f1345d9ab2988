"""The task that tries changed contexts on one model; stored under its hash like every other result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import get_args

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.measures.perturbation import Operation, Perturbed, Variant, variants
from memviz.records import Prompts
from memviz.tasks.base import Context, Task
from memviz.tasks.context import Report
from memviz.tasks.trace import TraceTask


@dataclass(frozen=True)
class PerturbationTask(Task[Perturbed]):
    """Changed contexts of one prompt under one model. Raises InputError where a field cannot be used.

    Variants of equal length are read together; `report(done, total)` counts variants.
    """

    kind = "perturbation"
    long = True
    record = Perturbed

    model: str
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    n_leading: int
    """Of these, the tokenizer's own, which no change touches."""
    continuation_ids: tuple[int, ...]
    """m true token ids."""
    operation: Operation
    width: int = 1
    """Tokens dropped or replaced at once."""
    filler_ids: tuple[int, ...] = ()
    """Tokens that replace others or are put in front."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        self.whole  # noqa: B018 - checks the prompt
        if self.operation not in get_args(Operation):
            raise InputError(f"operation {self.operation!r} is unknown: use one of {', '.join(get_args(Operation))}")
        try:
            self.variants(None)
        except ValueError as error:
            raise InputError(str(error)) from None

    @property
    def whole(self) -> TraceTask:
        """The prompt with its unchanged context."""
        return TraceTask(
            self.model, self.context_ids, self.continuation_ids, len(self.continuation_ids), dtype=self.dtype
        )

    def variants(self, longest: int | None) -> list[Variant]:
        return variants(self.operation, self.context_ids, self.n_leading, self.width, self.filler_ids, longest)

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where prompt or filler do not fit the model."""
        self.whole.check(cards)
        if any(not 0 <= token_id < cards[0].vocab_size for token_id in self.filler_ids):
            last = cards[0].vocab_size - 1
            raise InputError(f"the filler holds ids outside the vocabulary of {cards[0].name}: 0 to {last}")

    def compute(self, cards: Sequence[Card], context: Context) -> Perturbed:
        from memviz.engine.tracing import survey

        m, limit = len(self.continuation_ids), cards[0].n_positions
        tried = self.variants(None if limit is None else limit - m)
        contexts = [self.context_ids, *(one.context_ids for one in tried)]
        generated = np.zeros((len(contexts), m), np.int32)
        logprob = np.zeros(generated.shape, np.float32)
        loaded, noise = context.loaded(cards[0], self.dtype)
        context.say("trying changed contexts")
        n_done = 0
        order = sorted(range(len(contexts)), key=lambda place: len(contexts[place]))
        for _, group in groupby(order, key=lambda place: len(contexts[place])):
            places = list(group)
            context.report(n_done, len(contexts))
            truth = np.tile(np.array(self.continuation_ids, np.int64), (len(places), 1))
            prompts = Prompts(np.array([contexts[place] for place in places], np.int64), truth)
            here = survey(loaded, prompts, noise, partial(_tick, context.report, n_done, len(contexts)))
            generated[places], logprob[places] = here.generated_ids, here.teacher_forced_logprob
            n_done += len(places)
        context.report(n_done, len(contexts))
        return Perturbed(
            at=np.array([one.at for one in tried], np.int64),
            generated_ids=generated[1:],
            logprob=logprob[1:],
            true_ids=np.array(self.continuation_ids, np.int64),
            whole_ids=generated[0],
            whole_logprob=logprob[0],
        )


def _tick(report: Report, n_done: int, n: int, done: int, total: int) -> None:
    """Progress inside one group: the variants before it are done."""
    report(n_done, n)
