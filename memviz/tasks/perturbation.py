"""The task that tries changed contexts on one model; stored under its hash like every other result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from memviz.catalog import Card, find_model
from memviz.errors import InputError
from memviz.measures.perturbation import Operation, Perturbed, Variant, variants
from memviz.records import Prompts, from_arrays, to_arrays
from memviz.store import Store, request_hash
from memviz.tasks.base import ENGINE
from memviz.tasks.trace import TraceTask

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

Report = Callable[[int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class PerturbationTask:
    """Changed contexts of one prompt under one model. Raises InputError where a field cannot be used."""

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

    def check(self, card: Card) -> None:
        """Raise InputError where prompt or filler do not fit the model."""
        self.whole.check(card)
        if any(not 0 <= token_id < card.vocab_size for token_id in self.filler_ids):
            raise InputError(f"the filler holds ids outside the vocabulary of {card.name}: 0 to {card.vocab_size - 1}")

    def request(self) -> dict[str, Any]:
        """The task as plain JSON, from which `perturbation_from` makes an equal one."""
        return {"task": "perturbation", **asdict(self)}

    @property
    def hash(self) -> str:
        """The name of a link and of the job."""
        return request_hash(self.request())

    def run(self, backend: Backend, store: Store, report: Report, say: Say) -> tuple[str, Perturbed, bool]:
        """As `run_perturbation`."""
        return run_perturbation(self, backend, store, report, say)


def perturbation_from(request: dict[str, Any]) -> PerturbationTask:
    """The task of a stored request. Raises InputError where it is of another kind or format."""
    try:
        values = {f.name: request[f.name] for f in fields(PerturbationTask)}
        values |= {name: tuple(values[name]) for name in ("context_ids", "continuation_ids", "filler_ids")}
        return PerturbationTask(**values)
    except (KeyError, TypeError) as error:
        raise InputError(f"this stored request is no change of a context ({error})") from None


def perturbation_key(task: PerturbationTask, card: Card, device_kind: str) -> str:
    """The key of a result: what was asked, weight identity, ENGINE, and below float32 the kind of device."""
    request = {name: value for name, value in task.request().items() if name != "model"}
    where = {} if task.dtype == "float32" else {"device": device_kind}
    return request_hash({**request, "weights": card.weights, "engine": ENGINE, **where})


def stored_perturbation(store: Store, key: str) -> Perturbed | None:
    """A result from the store, or None where it must be computed."""
    found = store.get(key)
    try:
        return None if found is None else from_arrays(Perturbed, found[0])
    except ValueError:
        store.delete(key)
        return None


def _tick(report: Report, n_done: int, n: int, done: int, total: int) -> None:
    """Progress inside one group: the variants before it are done."""
    report(n_done, n)


def run_perturbation(
    task: PerturbationTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> tuple[str, Perturbed, bool]:
    """Key, result, and whether it was stored before; variants of equal length are read together.

    `report(done, total)` counts variants. Raises InputError, Failure, and what `report` raises.
    """
    from memviz.engine.devices import device_lock
    from memviz.engine.preparing import prepare
    from memviz.engine.tracing import survey

    card = prepare(find_model(task.model, backend.settings), backend.settings, say)
    task.check(card)
    key = perturbation_key(task, card, backend.device.type)
    found = stored_perturbation(store, key)
    if found:
        return key, found, True
    longest = None if card.n_positions is None else card.n_positions - len(task.continuation_ids)
    tried = task.variants(longest)
    contexts = [task.context_ids, *(one.context_ids for one in tried)]
    generated = np.zeros((len(contexts), len(task.continuation_ids)), np.int32)
    logprob = np.zeros(generated.shape, np.float32)
    with device_lock(backend.settings, backend.device, lambda: report(0, 0)):
        say(f"loading {card.name}")
        loaded = backend.load(card, task.dtype)
        report(0, len(contexts))
        noise = backend.logit_noise(loaded)
        say("trying changed contexts")
        n_done = 0
        order = sorted(range(len(contexts)), key=lambda place: len(contexts[place]))
        for _, group in groupby(order, key=lambda place: len(contexts[place])):
            places = list(group)
            truth = np.tile(np.array(task.continuation_ids, np.int64), (len(places), 1))
            prompts = Prompts(np.array([contexts[place] for place in places], np.int64), truth)
            here = survey(loaded, prompts, noise, partial(_tick, report, n_done, len(contexts)))
            generated[places], logprob[places] = here.generated_ids, here.teacher_forced_logprob
            n_done += len(places)
            report(n_done, len(contexts))
    result = Perturbed(
        at=np.array([one.at for one in tried], np.int64),
        generated_ids=generated[1:],
        logprob=logprob[1:],
        true_ids=np.array(task.continuation_ids, np.int64),
        whole_ids=generated[0],
        whole_logprob=logprob[0],
    )
    provenance = backend.provenance(loaded, 0.0)
    store.put(key, to_arrays(result), {"request": task.request(), "provenance": provenance, "engine": ENGINE})
    return key, result, False
