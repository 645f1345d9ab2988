"""The one way to an answer: once for all processes, with what it took, and with nothing started that is not needed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.model_folders import write_model
from support.serving import ROOT
from support.suite import SMALLEST
from support.tasks import CPU, CUDA, context_of

from memviz.catalog import Card
from memviz.engine.backend import Backend
from memviz.engine.turns import turn
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Context, Device, Task, answer, key_of, ready, stored, task_from, where
from memviz.tasks.ladder import LadderTask
from memviz.tasks.lens import LensTask
from memviz.tasks.perturbation import PerturbationTask
from memviz.tasks.preparing import EngineTask, PrepareTask
from memviz.tasks.trace import TraceTask

CONTEXT, TRUTH = (20, 30, 40, 50, 60), (70, 80, 90)
TASKS: list[Task[Any]] = [
    TraceTask("tiny", CONTEXT, TRUTH, 3),
    LensTask("tiny", CONTEXT, TRUTH),
    PerturbationTask("tiny", CONTEXT, 0, TRUTH, "suffix"),
]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    folder = tmp_path_factory.mktemp("base")
    for name in ("tiny", "twin"):
        write_model(folder / "models" / name, family="llama" if name == "tiny" else "gpt_neox")
    return Backend(Settings(cache=folder / "cache", model_roots=(folder / "models",), device="cpu"))


@pytest.fixture
def context(backend: Backend, tmp_path: Path) -> Context:
    return context_of(backend, Store(tmp_path / "results", 2**30))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_what_another_process_computes_meanwhile_is_not_computed_again(
    task: Task[Any], context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards, waits, given = [ready("tiny", context)], threading.Event(), []
    other = context.telling(lambda *_: None)
    with turn(context.settings.cache, context.backend.place, lambda: None):  # the other process has the device
        late = context.telling(lambda *_: waits.set())
        thread = threading.Thread(target=lambda: given.append(answer(task, late)))
        thread.start()
        assert waits.wait(60), "it waits for the device"
        key = task.key(cards, CPU)
        other.started = time.perf_counter()
        task.keep(key, task.compute(cards, other), cards, other)
        monkeypatch.setattr(type(task), "compute", lambda *_: pytest.fail("computed again"))
    thread.join(60)
    assert given and given[0].was_stored and given[0].key == key


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_provenance_has_the_seconds_it_took(task: Task[Any], context: Context) -> None:
    start = time.perf_counter()
    key = answer(task, context).key
    took = time.perf_counter() - start
    found = context.store.get(key)
    assert found is not None
    about = found[1]["provenance"]
    assert 0 < about["seconds"] <= took and about["model"] == "tiny" and about["device"] == "cpu"
    assert found[1]["request"] == task.request() and found[1]["engine"] == 1


def test_what_says_nothing_on_its_way_is_told_of_meanwhile(tmp_path: Path) -> None:
    told, may_end, never = [], threading.Event(), threading.Event()

    def report(done: int, total: int) -> None:
        told.append(threading.current_thread())
        if len(told) == 2:
            may_end.set()

    context = Context(Settings(cache=tmp_path), Store(tmp_path / "results", 2**20), report)
    assert context.meanwhile(lambda: may_end.wait(20)) and set(told) == {threading.current_thread()}
    with pytest.raises(InputError, match="no points"):
        context.meanwhile(partial(_raise, InputError("no points")))
    with pytest.raises(KeyboardInterrupt):
        Context(context.settings, context.store, lambda *_: _raise(KeyboardInterrupt())).meanwhile(never.wait)
    never.set()


def _raise(error: BaseException) -> None:
    raise error


def test_the_device_is_asked_for_below_float32_alone() -> None:
    never = Device(lambda: pytest.fail("the device was asked for"))
    card = Card("m", "M", "", "local", "w", [], 1, 100, 50, [], [])
    assert where("float32", never) == {} and where("bfloat16", CUDA) == {"device": CUDA.name, "reading": "verified"}
    for task in TASKS:
        half = task_from({**task.request(), "dtype": "float16"})
        assert task.key([card], never) == task.key([card], CUDA)
        assert len({half.key([card], CPU), half.key([card], CUDA), task.key([card], CPU)}) == 3


def test_pages_look_up_without_torch_and_without_making_a_model_ready(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "tiny")
    code = f"""
import sys
from pathlib import Path
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import Context, key_of, stored
from memviz.tasks.trace import TraceTask

settings = Settings(cache=Path({str(tmp_path / "cache")!r}), model_roots=(Path({str(tmp_path / "models")!r}),))
context = Context(settings, Store(settings.cache / "results", 10**6), find_device=lambda: ("cuda", "a GPU"))
for name, ready in (("tiny", False), ({SMALLEST!r}, True)):
    task = TraceTask(name, (1, 2), None, 3, dtype="bfloat16")
    assert stored(task, context) is None and (key_of(task, context) is not None) == ready
print(*sorted({{"torch", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_comparison_is_the_answers_of_its_models(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = tuple(TraceTask(name, CONTEXT, TRUTH, 3) for name in ("tiny", "twin"))
    runs = answer(LadderTask(tasks, "hand"), context).result
    assert [run.provenance["model"] for run in runs] == ["tiny", "twin"]
    monkeypatch.setattr(TraceTask, "compute", lambda *_: pytest.fail("computed again"))
    assert answer(LadderTask(tasks[::-1], "hand"), context).was_stored
    for task, run in zip(tasks, runs, strict=True):
        again = stored(task, context)
        assert again is not None and again.provenance == run.provenance
        np.testing.assert_array_equal(again.trace.generated_ids, run.trace.generated_ids)


def test_a_model_is_got_ready_and_loaded_where_that_is_asked(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PrepareTask("tiny", load=False) == PrepareTask("tiny")  # one job, whoever asks
    monkeypatch.setattr(Context, "loaded", lambda *_: pytest.fail("loaded"))
    found = answer(PrepareTask("tiny", load=False), context)
    assert found.was_stored and found.result.name == "tiny"
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        answer(PrepareTask("tiny"), context)


def test_the_engine_is_started_by_a_task_that_says_why_it_cannot(tmp_path: Path) -> None:
    def no_device() -> Backend:
        raise InputError("device cuda is not there: set MEMVIZ_DEVICE to auto or cpu")

    context = Context(Settings(cache=tmp_path), Store(tmp_path / "results", 10**6), start=no_device)
    with pytest.raises(InputError, match="device cuda is not there"):
        answer(EngineTask(), context)


@dataclass(frozen=True)
class Doubled:
    values: np.ndarray


@dataclass(frozen=True)
class DoubleTask(Task[Doubled]):
    """A new kind of task, without a model."""

    kind = "double"
    record = Doubled
    on_device = False
    values: tuple[int, ...]

    @property
    def model(self) -> str:
        return "none"

    @property
    def model_names(self) -> tuple[str, ...]:
        return ()

    def key(self, cards: Sequence[Card], device: Device) -> str:
        return self.hash

    def compute(self, cards: Sequence[Card], context: Context) -> Doubled:
        context.show(self.values[:1])
        context.report(1, 1)
        return Doubled(2 * np.array(self.values))


def test_a_new_kind_needs_one_class_and_streams_what_it_has(tmp_path: Path) -> None:
    shown: list[Any] = []
    store = Store(tmp_path / "results", 10**6)
    context = Context(Settings(cache=tmp_path), store, show=shown.append, start=lambda: pytest.fail("an engine"))
    task = DoubleTask((1, 2, 3))
    assert stored(task, context) is None and key_of(task, context) == task.hash
    key, found, was_stored = answer(task, context)
    assert not was_stored and found.values.tolist() == [2, 4, 6] and shown == [(1,)]
    again = answer(task_from(task.request(), DoubleTask), context)
    assert again.was_stored and again.key == key and again.result.values.tolist() == [2, 4, 6]
    store.put(key, {"other": np.zeros(1)}, {})
    assert stored(task, context) is None and not store.has(key), "what cannot be read is removed"
