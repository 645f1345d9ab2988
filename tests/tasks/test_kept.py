"""What was kept by memviz before tasks had one shape is found again: links, results, sweep, row set, pin."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.serving import ROOT

from memviz.maps import MapTask, SimilarityTask
from memviz.predictor import FitTask
from memviz.predictor.forecast import Forecast, ForecastTask
from memviz.records import Run, to_arrays
from memviz.settings import Settings
from memviz.store import Store
from memviz.sweeps import RowSet, SweepTask, kept, read_row_set, read_sweep, run_sweep
from memviz.sweeps.states import states_of, texts_of
from memviz.tasks import base
from memviz.tasks.base import Context, Task, answer, key_of, stored, task_from
from memviz.tasks.ladder import LadderTask
from memviz.tasks.lens import LensTask
from memviz.tasks.perturbation import PerturbationTask
from memviz.tasks.trace import TraceTask

KEPT = ROOT / "tests" / "fixtures" / "kept"
ABOUT = json.loads((KEPT / "links.json").read_text("utf-8"))
LINKS: list[dict[str, Any]] = ABOUT["links"]
KINDS: dict[str, type[Task[Any]]] = {
    "trace": TraceTask,
    "ladder": LadderTask,
    "lens": LensTask,
    "perturbation": PerturbationTask,
    "sweep": SweepTask,
    "map": MapTask,
    "similarity": SimilarityTask,
    "predictor": FitTask,
    "forecast": ForecastTask,
}


class NoEngine:
    """On a CPU, with nothing to compute."""

    where = ("cpu", "cpu")

    def load(self, *_: object) -> None:
        pytest.fail("a model is loaded for what is stored")

    def provenance(self, *_: object) -> dict[str, Any]:
        return {}


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A copy of the cache, in which the sweep's folder is named from."""
    cache = tmp_path / "cache"
    shutil.copytree(KEPT, cache)
    monkeypatch.chdir(cache)
    for module in (base, kept):  # a later engine computes anew; what is kept of this one is still found by its keys
        monkeypatch.setattr(module, "ENGINE", ABOUT["engine"])
    settings = Settings(cache=cache, device="cpu")
    return Context(settings, Store(cache / "results", 10**9), start=NoEngine)  # type: ignore[arg-type]


def digest(array: np.ndarray) -> str:
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype.str} {'x'.join(map(str, array.shape))} {content[:16]}"


def arrays_of(result: object) -> dict[str, np.ndarray]:
    if isinstance(result, Forecast):
        return {"probability": result.probability}
    return to_arrays(result.trace if isinstance(result, Run) else result)


def test_every_kind_is_there_once_or_more() -> None:
    assert {link["kind"] for link in LINKS} == set(KINDS)
    assert sum(file.stat().st_size for file in KEPT.rglob("*") if file.is_file()) < 500_000


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link['kind']}-{link['hash'][:6]}")
def test_a_link_opens(link: dict[str, Any], context: Context) -> None:
    request = context.store.get_request(link["hash"][:16])
    assert request is not None
    task = task_from(request)
    assert type(task) is KINDS[link["kind"]] and task.request() == request
    assert task == task_from(request, KINDS[link["kind"]])
    if link["kind"] != "forecast":  # whose key was its hash
        assert task.hash == link["hash"]
    if "key" not in link:
        return
    if task.precision != "float32":  # keys have named the way of reading and the device since then: computed anew
        assert key_of(task, context) != link["key"] and stored(task, context) is None
        return
    if link["kind"] != "forecast":
        assert key_of(task, context) == link["key"]
    found = arrays_of(stored(task, context))
    assert {name: digest(array) for name, array in found.items()} == link["arrays"]
    again = answer(task, context)
    assert again.was_stored and again.key == key_of(task, context)


def test_a_comparison_has_all_its_runs(context: Context) -> None:
    link = next(link for link in LINKS if link["kind"] == "ladder")
    task = task_from(context.store.get_request(link["hash"]) or {}, LadderTask)
    runs = stored(task, context)
    assert runs is not None and [run.provenance["model"] for run in runs] == ["suite-0.3m", "suite-0.3m@seed1"]


def test_a_forecast_of_before_is_taken_for_its_model_alone(context: Context) -> None:
    link = next(link for link in LINKS if link["kind"] == "forecast")
    request = context.store.get_request(link["hash"]) or {}
    assert stored(task_from(request), context) is not None
    for change in ({"model": "suite-0.3m@seed1"}, {"dtype": "bfloat16"}):
        assert stored(task_from(request | change), context) is None


def test_a_sweep_and_its_batches_are_found(context: Context, tmp_path: Path) -> None:
    link = next(link for link in LINKS if link["kind"] == "sweep")
    task = task_from(context.store.get_request(link["hash"]) or {}, SweepTask)
    found = answer(task, context)
    assert found.was_stored and len(found.result.rows) == 24
    again = run_sweep(task, context, tmp_path / "again")
    assert again.manifest["provenance"]["batches_computed"] == 0 < again.manifest["provenance"]["batches_reused"]
    kept = found.result.sequences  # what sweeps have since been given stands beside it
    assert again.sequences[list(kept)].equals(kept)


def test_states_are_found(context: Context) -> None:
    link = next(link for link in LINKS if link["kind"] == "map")
    task = task_from(context.store.get_request(link["hash"]) or {}, MapTask)
    sweep, scope = read_sweep(task.scope.folder), task.scope
    texts = texts_of(sweep, task.model, scope.k, scope.m, scope.mode)
    found = list(states_of(texts, np.arange(len(texts.rows)), (1,), scope.dtype, context))
    assert sum(len(places) for places, _ in found) == len(texts.rows) >= 22


def test_a_row_set_and_a_pin_are_kept(context: Context) -> None:
    rows = read_row_set("a few rows", context.settings)
    assert rows == RowSet(sample=24, seed=4, parts=("planted", "held-out"))
    context.store.clear()
    assert context.store.stats().n_results == 1 and context.store.has(ABOUT["pinned"])
