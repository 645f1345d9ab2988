"""An engine that asks workers of a Ray cluster; what a lost one had goes to others."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from memviz.catalog import Card
from memviz.errors import Failure, InputError, MemvizError
from memviz.records import from_arrays
from memviz.settings import Settings
from memviz.sweeps.batch import BatchTask
from memviz.sweeps.ray.cluster import LOCAL, Cluster, check_address, connected
from memviz.sweeps.ray.worker import About, Worker
from memviz.tasks.base import ENGINE, Answer, Context

TRIES = 3
"""An ask that fails so often stops the sweep."""
IN_HAND = 2
"""Asks that a worker has at a time: it goes on while the driver writes."""
START_SECONDS = 300.0
"""Within which one worker must have started."""


@dataclass(eq=False)
class _Slot:
    """One ask on its way."""

    task: BatchTask[Any]
    key: str
    answer: Answer[Any] | None = None
    n_tries: int = 0


@dataclass(eq=False)
class _Hand:
    """One worker, and what it is at, oldest first."""

    actor: Any
    slots: deque[_Slot] = field(default_factory=deque)
    about: About | None = None
    """Known once it has started."""


class RayEngine:
    """`n` workers of a cluster; new ones are started for lost ones where there is room."""

    def __init__(self, cluster: Cluster, n: int, n_threads: int, n_gpus: float, settings: Settings) -> None:
        self._cluster, self.n, self._settings = cluster, n, settings
        variables = {"OMP_NUM_THREADS": str(n_threads)}  # Ray sets it to 1 unless told
        self._options = {
            "num_cpus": n_threads, "num_gpus": n_gpus, "max_restarts": 0, "max_task_retries": 0,
            "scheduling_strategy": "SPREAD", "runtime_env": {"env_vars": variables},
        }  # fmt: skip
        self._hands: list[_Hand] = []
        self._under_way: dict[Any, tuple[_Hand, _Slot | None]] = {}
        """What Ray will answer by -> who was asked what; None: of itself."""
        self._queue: deque[_Slot] = deque()
        self._noise: dict[tuple[str, str], float] = {}
        self._n_not_started = 0
        self._alone_since = time.monotonic()
        """When there was a started worker last."""
        self.seconds = 0.0
        """Of computing, of all workers together."""

    def start(self, context: Context) -> None:
        """Start the workers and wait for the first. Raises Failure, and what `report` raises."""
        context.say(f"starting {self.n} workers")
        for _ in range(self.n):
            self._add()
        while not self._started:
            self._step(context)

    def end(self) -> None:
        """Let go of the workers, whatever they are at."""
        for hand in self._hands:
            with suppress(Exception):  # a cluster that is gone has none
                self._cluster.ray.kill(hand.actor)
        self._hands, self._under_way = [], {}

    def where(self) -> tuple[str, str]:
        """Kind and name of the device of the workers."""
        about = self._started[0].about
        assert about is not None
        return about.kind, about.device

    def about(self) -> str:
        return f"{len(self._started)} of {self.n} workers"

    @property
    def _started(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.about is not None]

    def answers(self, tasks: Iterable[BatchTask[Any]], context: Context) -> Iterator[Answer[Any]]:
        """As `Engine.answers`. Raises Failure where an ask fails three times, or no worker is left."""
        source = iter(tasks)
        waiting: deque[tuple[_Slot, bool]] = deque()
        open_slots: dict[str, _Slot] = {}
        try:
            while True:
                while len(waiting) < 2 * IN_HAND * self.n and (task := next(source, None)) is not None:
                    key = task.key([], context.device)
                    slot, again = open_slots.get(key), key in open_slots
                    if slot is None:
                        slot = open_slots[key] = self._slot(task, key, context)
                    waiting.append((slot, again))
                if not waiting:
                    return
                slot, again = waiting[0]
                if slot.answer is None:
                    self._step(context)
                    continue
                waiting.popleft()
                if not any(each.key == slot.key for each, _ in waiting):
                    del open_slots[slot.key]
                yield slot.answer._replace(was_stored=True) if again else slot.answer
        finally:
            self._queue.clear()

    def _slot(self, task: BatchTask[Any], key: str, context: Context) -> _Slot:
        found = task.find(key, [], context)
        slot = _Slot(task, key, None if found is None else Answer(key, found, True))
        if found is None:
            self._check_devices(task)
            self._queue.append(slot)
        return slot

    def _check_devices(self, task: BatchTask[Any]) -> None:
        devices = sorted({hand.about.device for hand in self._started if hand.about})
        if task.dtype != "float32" and len(devices) > 1:
            raise InputError(
                f"the workers run on {' and '.join(devices)}, whose numbers differ in {task.dtype}: use one kind, or "
                "float32"
            )

    def _add(self) -> None:
        actor = self._cluster.ray.remote(Worker).options(**self._options).remote(self._settings)
        hand = _Hand(actor)
        self._hands.append(hand)
        self._under_way[actor.about.remote()] = (hand, None)

    def _step(self, context: Context) -> None:
        """Hand out asks, and take what is answered within a moment. Raises what `report` raises."""
        for hand in self._started:
            while self._queue and len(hand.slots) < IN_HAND:
                slot = self._queue.popleft()
                noise = self._noise_of(slot.task, context) if slot.task.needs_noise else None
                hand.slots.append(slot)
                self._under_way[hand.actor.compute.remote(slot.task, noise)] = (hand, slot)
        done, _ = self._cluster.ray.wait(list(self._under_way), num_returns=1, timeout=0.5)
        for ref in done:
            if ref in self._under_way:  # not of a worker that was lost just now
                self._take(ref, *self._under_way.pop(ref), context)
        if self._started:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > START_SECONDS:
            raise self._no_room()
        context.report(0, 0)

    def _no_room(self) -> Failure:
        there, asked = self._cluster.ray.cluster_resources(), self._options
        return Failure(
            f"no worker could start: one needs {asked['num_cpus']} CPUs and {asked['num_gpus']:g} GPUs, the "
            f"cluster has {there.get('CPU', 0):g} and {there.get('GPU', 0):g}; ask for less"
        )

    def _take(self, ref: Any, hand: _Hand, slot: _Slot | None, context: Context) -> None:
        errors = self._cluster.ray.exceptions
        try:
            found = self._cluster.ray.get(ref)
        except errors.RayTaskError as error:
            hand.slots = deque(each for each in hand.slots if each is not slot)
            self._failed(slot, error.cause if isinstance(error.cause, MemvizError) else error)
            return
        except errors.RayError as error:  # the worker, its node, or what it had answered is gone
            self._lost(hand, error)
            return
        if slot is None:
            self._take_about(hand, found)
            return
        hand.slots.remove(slot)
        arrays, seconds = found
        self.seconds += seconds
        record: Any = from_arrays(slot.task.record, arrays)
        slot.answer = Answer(slot.key, slot.task.keep(slot.key, record, [], context), False)

    def _take_about(self, hand: _Hand, about: About) -> None:
        if about.engine != ENGINE:
            raise Failure(f"the memviz of {about.host} has another engine than this one: bring the same version")
        hand.about = about
        self._cluster.write_down()

    def _failed(self, slot: _Slot | None, error: Exception) -> None:
        if isinstance(error, InputError) or slot is None:
            raise error
        slot.n_tries += 1
        if slot.n_tries >= TRIES:
            said = (str(error) or type(error).__name__).splitlines()[0][:300]
            raise Failure(f"{slot.task.where} failed {TRIES} times, last with: {said}") from None
        self._queue.appendleft(slot)

    def _lost(self, hand: _Hand, error: Exception) -> None:
        """What a lost worker had goes to others, first of all what it was at; a new one starts where there is room."""
        if hand not in self._hands:
            return
        self._hands.remove(hand)
        self._under_way = {ref: asked for ref, asked in self._under_way.items() if asked[0] is not hand}
        self._n_not_started += hand.about is None
        if self._n_not_started >= TRIES and not self._started:
            raise Failure(f"no worker could start: {str(error).splitlines()[0][:300]}")
        at, others = next(iter(hand.slots), None), [*hand.slots][1:]
        self._queue.extendleft(reversed(others))
        if self._n_not_started < TRIES:
            self._add()
        if at is not None:
            self._failed(at, Failure("the worker was lost"))

    def _noise_of(self, task: BatchTask[Any], context: Context) -> float:
        """Measured once, by one worker, for all."""
        of = (task.card.weights, task.dtype)
        if of not in self._noise:
            self._noise[of] = context.noise_of(
                task.card, task.dtype, lambda: self._measured(task.card, task.dtype, context)
            )
        return self._noise[of]

    def _measured(self, card: Card, dtype: str, context: Context) -> float:
        context.say(f"loading {card.name}")
        ray, error = self._cluster.ray, None
        for hand in self._started:
            ref = hand.actor.noise.remote(card, dtype)
            while not ray.wait([ref], timeout=0.5)[0]:
                context.report(0, 0)
            try:
                return float(ray.get(ref))
            except ray.exceptions.RayTaskError as failed:
                self._failed(None, failed.cause if isinstance(failed.cause, MemvizError) else failed)
            except ray.exceptions.RayError as failed:  # this worker is lost, which is seen when it is asked next
                error = failed
        raise Failure(f"no worker is left that could measure {card.name} ({error})")


@contextmanager
def ray_engine(address: str, n_workers: int, n_gpus: float, context: Context) -> Iterator[Context]:
    """The context with workers of a Ray cluster for an engine; "local" starts one on this machine, for the block.

    A worker has as many threads as OMP_NUM_THREADS says, on this machine else its share of the cores. Raises Failure.
    """
    check_address(address)
    if n_workers < 1 or n_gpus < 0:
        raise InputError(f"{n_workers} workers with {n_gpus:g} GPUs each were asked for: ask for at least one worker")
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = os.environ.get("OMP_NUM_THREADS", "")
    n_threads = int(said) if said.isdecimal() else max(1, n_cores // n_workers) if address == LOCAL else 1
    with connected(address, max(n_cores, n_workers * n_threads), context.settings) as cluster:
        engine = RayEngine(cluster, n_workers, n_threads, n_gpus, context.settings)
        try:
            engine.start(context)
            yield replace(context, engine=engine, find_device=engine.where)
        finally:
            engine.end()
