"""The task that traces one prompt: what a model writes after a context, and every number behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from memviz.catalog import Card, card_folder, find_model
from memviz.errors import InputError
from memviz.records import READINGS, VERIFIED, Decoding, Prompts, Run, Trace, from_arrays
from memviz.settings import Settings
from memviz.store.keys import aside, later
from memviz.tasks.base import Context, Device, Task, result_key, stored
from memviz.tokenizer import Tokenizer
from memviz.weights import BYTES_PER_PARAMETER

DEFAULT_CONTEXT, DEFAULT_CONTINUATION = 32, 32
MAX_TEXT_BYTES = 2_000_000
Leading = Literal["model", "none"]
MOST_SHORT = 256
"""Tokens of a trace that is decoded in one go; a longer one lets others in between its tokens."""


@dataclass(frozen=True)
class TraceTask(Task[Run]):
    """One prompt's decoding by one model. Raises InputError where a field cannot be used."""

    kind = "trace"
    record = Trace

    model: str
    """A catalog name, with its revision where one is meant."""
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    continuation_ids: tuple[int, ...] | None
    """m true token ids, or None."""
    n_steps: int
    """m"""
    decoding: Decoding = field(default_factory=Decoding)
    dtype: str = "float32"
    all_layers: bool = False
    """Keep the hidden states of every layer rather than the last one's."""
    reading: str = later(VERIFIED)
    """One of `READINGS`; a model whose cache cannot be rolled back is always read step by step."""
    drafts: tuple[TraceTask, ...] = aside(())
    """Runs of other models; what those that are stored wrote after the same context is offered as guesses."""
    leading: Leading = later("model")  # noqa: RUF009
    """"none" where the tokenizer's own leading tokens were left out of the context."""

    def __post_init__(self) -> None:
        if not self.context_ids:
            raise InputError("the context has 0 tokens: give at least 1")
        if self.n_steps < 1:
            raise InputError(f"the continuation has {self.n_steps} tokens: give at least 1")
        if self.continuation_ids is not None and len(self.continuation_ids) != self.n_steps:
            raise InputError(
                f"{len(self.continuation_ids)} true tokens are given for {self.n_steps} steps: give as many"
            )
        if self.leading not in get_args(Leading):
            raise InputError(f"leading tokens {self.leading!r} are unknown: use one of {', '.join(get_args(Leading))}")
        if self.dtype not in BYTES_PER_PARAMETER:
            raise InputError(f"dtype {self.dtype!r} is unknown: use one of {', '.join(BYTES_PER_PARAMETER)}")
        if self.reading not in READINGS:
            raise InputError(f"reading {self.reading!r} is unknown: use one of {', '.join(READINGS)}")
        if len(self.context_ids) + self.n_steps > MOST_SHORT:
            object.__setattr__(self, "long", True)

    def n_leading(self, card: Card) -> int:
        """Tokens at the head of the context that the model's tokenizer put there."""
        return len(card.leading_ids) if self.leading == "model" else 0

    @property
    def prompts(self) -> Prompts:
        truth = self.continuation_ids
        return Prompts(np.array([self.context_ids], np.int64), None if truth is None else np.array([truth], np.int64))

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where the prompt does not fit the model."""
        card, k = cards[0], len(self.context_ids)
        limit = card.n_positions
        if limit is not None and k + self.n_steps > limit:
            raise InputError(
                f"{k} context and {self.n_steps} continuation tokens are {k + self.n_steps}; "
                f"{card.name} reads at most {limit}: shorten one of them"
            )
        if self.decoding.bar_eos and not card.eos_ids:
            raise InputError(f"{card.name} has no end-of-sequence token to bar: leave the option out")
        for token_id in (*self.context_ids, *(self.continuation_ids or ())):
            if not 0 <= token_id < card.vocab_size:
                shown = str(token_id) if abs(token_id) < 10**20 else "of more than 20 digits"
                raise InputError(
                    f"token id {shown} is outside the vocabulary of {card.name}, "
                    f"whose ids are 0 to {card.vocab_size - 1}: was the text split by another model's tokenizer?"
                )

    def key(self, cards: Sequence[Card], device: Device) -> str:
        asked = {name: value for name, value in self.request().items() if name != "model"}
        barred = {"eos_ids": cards[0].eos_ids} if self.decoding.bar_eos else {}
        return result_key(asked | {"weights": cards[0].weights}, self.dtype, device, **barred)

    def compute(self, cards: Sequence[Card], context: Context) -> Trace:
        from memviz.engine.tracing import trace

        loaded, noise = context.loaded(cards[0], self.dtype)
        context.say("decoding")
        guesses = self._guesses(context)
        return trace(
            loaded,
            self.prompts,
            self.n_steps,
            self.decoding,
            noise,
            all_layers=self.all_layers,
            guesses=guesses,
            report=context.report,
            reading=self.reading,
            show=context.show,
        )

    def unpack(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Run:
        return Run(from_arrays(Trace, arrays), about["provenance"])

    def _guesses(self, context: Context) -> list[list[int]]:
        """What stored runs of the drafts wrote after the task's own context, the last one's first."""
        usable = [draft for draft in reversed(self.drafts) if draft.context_ids == self.context_ids]
        return [run.trace.generated_ids[0].tolist() for draft in usable if (run := stored(draft, context))]


def tokenizer_of(card: Card, settings: Settings) -> Tokenizer:
    """The tokenizer of a prepared model."""
    return Tokenizer(card_folder(find_model(card.name, settings), settings), card.leading_ids)


def task_of_text(
    text: str,
    card: Card,
    tokenizer: Tokenizer,
    n_context: int = DEFAULT_CONTEXT,
    n_continuation: int | None = None,
    with_truth: bool = True,
    **options: Any,
) -> TraceTask:
    """A task from text: its first tokens are the context, the next ones the truth; leading tokens come in front.

    n_continuation None takes what is left, at most `DEFAULT_CONTINUATION`. Without truth the whole text is context.
    Raises InputError for a text that is empty or too short.
    """
    check_text(text)
    return task_of_ids(tokenizer.encode(text), card, n_context, n_continuation, with_truth, **options)


def task_of_ids(
    ids: Sequence[int],
    card: Card,
    n_context: int = DEFAULT_CONTEXT,
    n_continuation: int | None = None,
    with_truth: bool = True,
    **options: Any,
) -> TraceTask:
    """A task from a row of token ids, divided as `task_of_text` does. Raises InputError for a row that is too short."""
    if n_continuation is not None and n_continuation < 1:
        raise InputError(f"the continuation has {n_continuation} tokens: give at least 1")
    if with_truth and n_context < 1:
        raise InputError(f"the context has {n_context} tokens: give at least 1")
    leading = () if options.get("leading") == "none" else card.leading_ids
    if not with_truth:
        return TraceTask(card.name, (*leading, *ids), None, n_continuation or DEFAULT_CONTINUATION, **options)
    n_wanted = n_continuation or 1
    if len(ids) < n_context + n_wanted:
        raise InputError(
            f"the text has {len(ids)} tokens under {card.name}'s tokenizer: {n_context} of context and {n_wanted} of "
            f"continuation need {n_context + n_wanted}; give a longer text or smaller numbers"
        )
    truth = ids[n_context : n_context + (n_continuation or DEFAULT_CONTINUATION)]
    return TraceTask(card.name, (*leading, *ids[:n_context]), tuple(truth), len(truth), **options)


def check_text(text: str) -> None:
    """Raise InputError for a text that is empty or too long to be one prompt."""
    if not text.strip():
        raise InputError("the text is empty: give at least a few words")
    n_bytes = len(text.encode("utf-8", "surrogatepass"))
    if n_bytes > MAX_TEXT_BYTES:
        raise InputError(f"the text has {n_bytes:,} bytes, more than the {MAX_TEXT_BYTES:,} of one prompt: cut it")
