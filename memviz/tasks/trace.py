"""Frozen requests that run. The key of a result is the hash of what decides its numbers, and of nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.catalog import Card, card_folder, find_model, read_card
from memviz.errors import InputError
from memviz.records import Decoding, Prompts, Run, Trace, from_arrays, to_arrays
from memviz.settings import Settings
from memviz.store import Store, request_hash
from memviz.store.keys import request_fields
from memviz.tasks.base import ENGINE, Report, Say
from memviz.tokenizer import Tokenizer
from memviz.weights import BYTES_PER_PARAMETER

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

DEFAULT_CONTEXT, DEFAULT_CONTINUATION = 32, 32
MAX_TEXT_BYTES = 2_000_000


@dataclass(frozen=True)
class TraceTask:
    """One prompt's decoding by one model. Raises InputError where a field cannot be used."""

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

    def __post_init__(self) -> None:
        if not self.context_ids:
            raise InputError("the context has 0 tokens: give at least 1")
        if self.n_steps < 1:
            raise InputError(f"the continuation has {self.n_steps} tokens: give at least 1")
        if self.continuation_ids is not None and len(self.continuation_ids) != self.n_steps:
            raise InputError(
                f"{len(self.continuation_ids)} true tokens are given for {self.n_steps} steps: give as many"
            )
        if self.dtype not in BYTES_PER_PARAMETER:
            raise InputError(f"dtype {self.dtype!r} is unknown: use one of {', '.join(BYTES_PER_PARAMETER)}")

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `task_from` makes an equal one."""
        return {"task": "trace", **asdict(self)}

    @property
    def prompts(self) -> Prompts:
        truth = self.continuation_ids
        return Prompts(np.array([self.context_ids], np.int64), None if truth is None else np.array([truth], np.int64))

    def check(self, card: Card) -> None:
        """Raise InputError where the prompt does not fit the model."""
        k, limit = len(self.context_ids), card.n_positions
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


@dataclass(frozen=True)
class IndexTask:
    """Building the n-gram index of the suite's corpus, once for all who ask about it."""

    name: str

    def run(self, settings: Settings, report: Report, say: Say) -> None:
        """Build it in the cache. Raises InputError, OSError, and whatever `report` raises to cancel."""
        from memviz.demo.index import build_suite_index

        say("indexing the training data")
        build_suite_index(settings, report)


def task_from(request: dict[str, Any]) -> TraceTask:
    """The task of a stored request. Raises InputError where it is of another kind or format."""
    try:
        decoding = Decoding(**request_fields(Decoding, request["decoding"]))
        return TraceTask(**request_fields(TraceTask, request), decoding=decoding)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this stored request cannot be read by this version of memviz ({error})") from None


def run_hash(task: TraceTask) -> str:
    """The hash of a request as asked, before anything is known of the model's files: the name of a link."""
    return request_hash(task.request())


def result_key(task: TraceTask, card: Card, device_kind: str) -> str:
    """The key of a result: ids, decoding, weight identity, dtype, ENGINE, and below float32 the kind of device."""
    request = {name: value for name, value in task.request().items() if name != "model"}
    where = {} if task.dtype == "float32" else {"device": device_kind}
    barred = {"eos_ids": card.eos_ids} if task.decoding.bar_eos else {}
    return request_hash({**request, "weights": card.weights, "engine": ENGINE, **where, **barred})


def stored_run(store: Store, key: str) -> Run | None:
    """A result from the store, or None where it must be computed."""
    found = store.get(key)
    if found is None:
        return None
    arrays, meta = found
    try:
        return Run(from_arrays(Trace, arrays), meta["provenance"])
    except (KeyError, TypeError, ValueError):
        store.delete(key)
        return None


def run_trace(
    task: TraceTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
    drafts: Sequence[TraceTask] = (),
) -> tuple[str, Run, bool]:
    """Key, result, and whether it was stored before; computes and stores it otherwise.

    What other models wrote after the same context (`drafts`, where stored) is offered as guesses; it changes no number.
    Raises InputError, Failure, and whatever `report` raises to cancel.
    """
    from memviz.engine.devices import device_lock
    from memviz.engine.preparing import prepare
    from memviz.engine.tracing import trace

    card = prepare(find_model(task.model, backend.settings), backend.settings, say)
    task.check(card)
    key = result_key(task, card, backend.device.type)
    names = {"model": card.name, "label": card.label, "revision": card.revision}
    run = stored_run(store, key)
    if run:
        return key, Run(run.trace, run.provenance | names), True
    with device_lock(backend.settings, backend.device, lambda: report(0, 0)):
        run = stored_run(store, key)  # another process may have computed it while this one waited
        if run:
            return key, Run(run.trace, run.provenance | names), True
        say(f"loading {card.name}")
        loaded = backend.load(card, task.dtype)
        report(0, 0)
        say("measuring how far two right ways of computing differ")
        noise = backend.logit_noise(loaded)
        say("decoding")
        start = time.perf_counter()
        guesses = _guesses(task, drafts, backend, store)
        result = trace(loaded, task.prompts, task.n_steps, task.decoding, noise, task.all_layers, guesses, report)
        # the same weights may be in memory under another name
        run = Run(result, backend.provenance(loaded, time.perf_counter() - start) | names)
    store.put(key, to_arrays(result), {"request": task.request(), "provenance": run.provenance, "engine": ENGINE})
    return key, run, False


def _guesses(task: TraceTask, drafts: Sequence[TraceTask], backend: Backend, store: Store) -> list[list[int]]:
    """What stored runs of the drafts wrote after the task's own context, the last one's first."""
    found = []
    for draft in reversed(drafts):
        card = read_card(find_model(draft.model, backend.settings), backend.settings)
        if card is not None and draft.context_ids == task.context_ids:
            run = stored_run(store, result_key(draft, card, backend.device.type))
            found += [] if run is None else [run.trace.generated_ids[0].tolist()]
    return found


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
    if not with_truth:
        return TraceTask(card.name, (*card.leading_ids, *ids), None, n_continuation or DEFAULT_CONTINUATION, **options)
    n_wanted = n_continuation or 1
    if len(ids) < n_context + n_wanted:
        raise InputError(
            f"the text has {len(ids)} tokens under {card.name}'s tokenizer: {n_context} of context and {n_wanted} of "
            f"continuation need {n_context + n_wanted}; give a longer text or smaller numbers"
        )
    truth = ids[n_context : n_context + (n_continuation or DEFAULT_CONTINUATION)]
    return TraceTask(card.name, (*card.leading_ids, *ids[:n_context]), tuple(truth), len(truth), **options)


def check_text(text: str) -> None:
    """Raise InputError for a text that is empty or too long to be one prompt."""
    if not text.strip():
        raise InputError("the text is empty: give at least a few words")
    n_bytes = len(text.encode("utf-8", "surrogatepass"))
    if n_bytes > MAX_TEXT_BYTES:
        raise InputError(f"the text has {n_bytes:,} bytes, more than the {MAX_TEXT_BYTES:,} of one prompt: cut it")
