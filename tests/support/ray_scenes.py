"""What tests/sweeps/test_ray.py runs in an environment that has Ray: one scene a process, its findings as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from support.sweeps import Lab, lab_in, lab_settings, small_task

from memviz.catalog import Card
from memviz.engine.backend import Backend
from memviz.errors import Failure
from memviz.records import States
from memviz.store import Store
from memviz.sweeps import SweepTask
from memviz.sweeps.batch import BatchTask, digest_of
from memviz.sweeps.ray.cluster import PREFIX
from memviz.sweeps.ray.engine import RayEngine, ray_engine
from memviz.sweeps.running import run_sweep
from memviz.sweeps.states import StatesTask
from memviz.tasks.base import Context, Device, ready
from memviz.tasks.engines import answers

SOURCE, OUT = Path(sys.argv[2]) / "rows.jsonl", "ray"


@dataclass(frozen=True)
class Poisoned(BatchTask[States]):
    """Whatever is asked fails."""

    kind = "poisoned"
    record = States

    def asked(self, device: Device) -> dict[str, Any]:
        return {"tokens": digest_of(np.zeros(1))}

    def compute(self, cards: Sequence[Card], context: Context) -> States:
        raise RuntimeError("no such luck")


class Enough(Exception):
    pass


def task() -> SweepTask:
    return small_task(str(SOURCE), positions=True, context_modes=("sliding", "anchored"))


def at_call(number: int, act: Callable[[], None]) -> Callable[[int, int], None]:
    """A report that acts once, when batches are being answered."""
    seen = 0

    def report(done: int, total: int) -> None:
        nonlocal seen
        seen += done > 0
        if seen == number and done:
            seen += 1
            act()

    return report


def engine_of(context: Context) -> RayEngine:
    assert isinstance(context.engine, RayEngine)
    return context.engine


def pids(context: Context) -> list[int]:
    return [hand.about.pid for hand in engine_of(context)._hands if hand.about]


def all_started(context: Context) -> None:
    while len(pids(context)) < engine_of(context).n:
        engine_of(context)._step(context)


def listening() -> list[str]:
    me = psutil.Process()
    found = [each for process in (me, *me.children(recursive=True)) for each in process.net_connections()]
    return sorted({each.laddr.ip.removeprefix("::ffff:") for each in found if each.status == psutil.CONN_LISTEN})


def together(lab: Lab) -> dict[str, Any]:
    """A worker is killed, states are read, an ask fails, and a sweep is cancelled: one cluster for all."""
    found: dict[str, Any] = {}
    context = lab.context(Store(lab.folder / "results-1", 10**9))
    with ray_engine("local", 2, 0, context) as context:
        all_started(context)
        found["listening"], first = listening(), pids(context)
        context.report = at_call(4, lambda: os.kill(pids(context)[0], signal.SIGKILL))
        found["made"] = run_sweep(task(), context, lab.folder / OUT, 4).manifest["provenance"]["batches_computed"]
        context.report = lambda done, total: None
        all_started(context)
        found["new workers"] = len(set(pids(context)) - set(first))
        ids = np.arange(6, 30).reshape(2, 12)
        asked = [StatesTask(ready("tiny", context), "float32", ids + n, (1,)) for n in range(3)]
        theirs = [each.result.hidden for each in answers(asked, context)]
        ours = [each.result.hidden for each in answers(asked, lab.context(Store(lab.folder / "results-2", 10**9)))]
        found["states"] = [a.tobytes() == b.tobytes() for a, b in zip(theirs, ours, strict=True)]
        try:
            list(answers([Poisoned(ready("tiny", context), "float32", where="rows 3 to 5")], context))
        except Failure as error:
            found["poisoned"] = str(error)
        context.store = Store(lab.folder / "results-3", 10**9)

        def stop() -> None:
            raise Enough

        context.report = at_call(3, stop)
        try:
            run_sweep(task(), context, lab.folder / "cancelled", 4)
        except Enough:
            found["cancelled"] = True
    time.sleep(1)
    found["left"] = [each.name() for each in psutil.Process().children(recursive=True)]
    found["folders"] = [each.name for each in Path("/tmp").glob(f"{PREFIX}*")]
    return found


def killed(lab: Lab) -> dict[str, Any]:
    """The driver is killed in the middle."""
    with ray_engine("local", 2, 0, lab.context()) as context:
        all_started(context)
        context.report = at_call(5, lambda: os.kill(os.getpid(), signal.SIGKILL))
        run_sweep(task(), context, lab.folder / OUT, 4)
    raise AssertionError("it lives")


def resumed(lab: Lab) -> dict[str, Any]:
    """After `killed`: what it left is ended, and its batches are there."""
    with ray_engine("local", 2, 0, lab.context()) as context:
        mine = {each.pid for each in psutil.Process().children(recursive=True)}
        theirs = [each for each in psutil.process_iter() if each.name().startswith("ray::") and each.pid not in mine]
        made = run_sweep(task(), context, lab.folder / OUT, 4).manifest["provenance"]
        return {"left": [each.name() for each in theirs], "reused": made["batches_reused"]}


def nodes(lab: Lab) -> dict[str, Any]:
    """A cluster of two nodes, simulated on this machine, loses one: there is no room for another worker."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    lost = cluster.add_node(num_cpus=1)
    try:
        with ray_engine(cluster.address, 2, 0, lab.context()) as context:
            all_started(context)
            away = threading.Thread(target=lambda: cluster.remove_node(lost, allow_graceful=False))
            context.report = at_call(4, away.start)
            made = run_sweep(task(), context, lab.folder / OUT, 4).manifest["provenance"]
            away.join()
            return {"made": made["batches_computed"], "workers": len(pids(context))}
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    scene, folder, home = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    print("FOUND", json.dumps(globals()[scene](lab_in(folder, Backend(lab_settings(home))))), flush=True)
