"""The task that reads one prompt at every layer of one model; stored under its hash like every other result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.catalog import Card, find_model
from memviz.errors import InputError
from memviz.measures.lens import LensReading
from memviz.records import from_arrays, to_arrays
from memviz.store import Store, request_hash
from memviz.tasks.base import ENGINE, Report, Say
from memviz.tasks.trace import TraceTask

if TYPE_CHECKING:
    from memviz.engine.backend import Backend


@dataclass(frozen=True)
class LensTask:
    """One prompt with its truth at every layer of a model. Raises InputError where a field cannot be used."""

    model: str
    context_ids: tuple[int, ...]
    """k token ids, leading tokens included."""
    continuation_ids: tuple[int, ...]
    """m true token ids."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        self.whole  # noqa: B018 - checks the prompt

    @property
    def whole(self) -> TraceTask:
        """The prompt as the Trace page asks it."""
        return TraceTask(
            self.model, self.context_ids, self.continuation_ids, len(self.continuation_ids), dtype=self.dtype
        )

    def request(self) -> dict[str, Any]:
        """The task as plain JSON."""
        return {"task": "lens", **asdict(self)}

    @property
    def hash(self) -> str:
        """The name of the job."""
        return request_hash(self.request())

    def run(self, backend: Backend, store: Store, report: Report, say: Say) -> tuple[str, LensReading, bool]:
        """As `run_lens`."""
        return run_lens(self, backend, store, report, say)


def lens_of(task: TraceTask) -> LensTask:
    """The same prompt at every layer. Raises InputError where it has no truth."""
    if task.continuation_ids is None:
        raise InputError("the layers are asked about the true tokens: give a text that goes on after the context")
    return LensTask(task.model, task.context_ids, task.continuation_ids, task.dtype)


def lens_key(task: LensTask, card: Card, device_kind: str) -> str:
    """The key of a result: what was asked, weight identity, ENGINE, and below float32 the kind of device."""
    request = {name: value for name, value in task.request().items() if name != "model"}
    where = {} if task.dtype == "float32" else {"device": device_kind}
    return request_hash({**request, "weights": card.weights, "engine": ENGINE, **where})


def stored_lens(store: Store, key: str) -> LensReading | None:
    """A result from the store, or None where it must be computed."""
    found = store.get(key)
    try:
        return None if found is None else from_arrays(LensReading, found[0])
    except ValueError:
        store.delete(key)
        return None


def run_lens(
    task: LensTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> tuple[str, LensReading, bool]:
    """Key, result, and whether it was stored before: greedy decoding, a pass over the truth, one over what was written.

    `report(done, total)` counts positions. Raises InputError, Failure, and what `report` raises.
    """
    from memviz.engine.devices import device_lock
    from memviz.engine.lens import read_lens
    from memviz.engine.preparing import prepare
    from memviz.engine.tracing import survey

    card = prepare(find_model(task.model, backend.settings), backend.settings, say)
    task.whole.check(card)
    key = lens_key(task, card, backend.device.type)
    found = stored_lens(store, key)
    if found:
        return key, found, True
    prompts, m = task.whole.prompts, len(task.continuation_ids)
    assert prompts.continuation_ids is not None
    with device_lock(backend.settings, backend.device, lambda: report(0, 0)):
        say(f"loading {card.name}")
        loaded = backend.load(card, task.dtype)
        report(0, 0)
        noise = backend.logit_noise(loaded)
        say("decoding")
        generated = survey(loaded, prompts, noise, lambda *_: report(0, 2 * m)).generated_ids[0].astype(np.int64)
        say("reading every layer")
        context, truth = prompts.context_ids[0], prompts.continuation_ids[0]
        forced = read_lens(loaded, context, truth, truth, lambda done: report(done, 2 * m))
        free = read_lens(loaded, context, generated, truth, lambda done: report(m + done, 2 * m))
        provenance = backend.provenance(loaded, 0.0)
    result = LensReading(true_ids=truth, generated_ids=generated, teacher_forced=forced, free_running=free)
    store.put(key, to_arrays(result), {"request": task.request(), "provenance": provenance, "engine": ENGINE})
    return key, result, False
