"""Stand-ins for the engine behind a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable

from support.waiting import until

from memviz.jobs import Job, Worker
from memviz.tasks.base import Answer, Context
from memviz.tasks.trace import TraceTask

GRACE = 0.05


class Engine:
    """Stands for the engine: notes what runs, and lets the test decide when a pass ends."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.devices: dict[int, str] = {}
        """Where each ran."""
        self.at_once = 0
        self.most_at_once = 0
        self.passes = threading.Semaphore(0)
        self.fail: Exception | None = None

    def answer(self, task: TraceTask, context: Context) -> Answer[None]:
        machine: Machine = context.backend
        machine.held = [task.model]
        self.devices[task.context_ids[0]] = machine.device
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.ran.append(task.context_ids[0])
            context.say("decoding")
            if self.fail:
                raise self.fail
            for step in range(task.n_steps):
                self.passes.acquire()
                context.report(step + 1, task.n_steps)
            return Answer("f" * 64, None, False)
        finally:
            self.at_once -= 1


class Machine:
    """Stands for one device's engine: the first has two others beside it where the test says so."""

    beside: tuple[str, ...] = ()

    def __init__(self, device: str) -> None:
        self.device, self.where = device, ("cuda", "cuda (a GPU)")
        self.others = list(self.beside)
        self.held: list[str] = []
        self.residents = self

    def names(self) -> list[str]:
        return self.held


def task(n: int, n_steps: int = 1, model: str = "tiny") -> TraceTask:
    return TraceTask(model, (n,), None, n_steps)


def ended(job: Job) -> Callable[[], bool]:
    return lambda: not job.active


def end_all(worker: Worker, passes: threading.Semaphore) -> None:
    """Wait for the end of every job: one that is left would take the passes of the next test's engine."""
    for job in worker.jobs():
        worker.cancel(job)
    passes.release(1000)
    until(lambda: worker.n_active == 0, "the end of every job")
