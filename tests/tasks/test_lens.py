"""The lens as a task: decoded greedily, read both ways, stored under what was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.model_folders import write_model
from support.tasks import CPU, context_of
from support.tiny_models import step_by_step

from memviz.catalog import find_model, read_card
from memviz.engine.backend import Backend
from memviz.errors import InputError
from memviz.measures.lens import NEVER
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import answer
from memviz.tasks.lens import LensTask, lens_of
from memviz.tasks.trace import TraceTask

CONTEXT, M = (1, 20, 30, 40, 50, 60, 70), 6


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    folder = tmp_path_factory.mktemp("lens")
    write_model(folder / "models" / "bos", "llama", "bos")
    return Backend(Settings(cache=folder / "cache", model_roots=(folder / "models",), device="cpu"))


@pytest.fixture(scope="module")
def written(backend: Backend) -> tuple[int, ...]:
    from memviz.engine.preparing import prepare

    loaded = backend.load(prepare(find_model("bos", backend.settings), backend.settings), "float32")
    return tuple(step_by_step(loaded, torch.tensor([CONTEXT]), M)[0][0].tolist())


def test_both_ways_agree_until_they_part(backend: Backend, written: tuple[int, ...], tmp_path: Path) -> None:
    truth = (*written[:3], (written[3] + 1) % 300, *written[4:])
    counts: list[tuple[int, int]] = []
    _, found, was_stored = answer(
        LensTask("bos", CONTEXT, truth), context_of(backend, Store(tmp_path, 2**30), report=lambda *d: counts.append(d))
    )
    assert not was_stored and found.generated_ids.tolist() == list(written) and found.true_ids.tolist() == list(truth)
    forced, free = found.teacher_forced, found.free_running
    np.testing.assert_allclose(forced.logprob[:, :4], free.logprob[:, :4], atol=1e-5)
    assert np.abs(forced.logprob[:, 4:] - free.logprob[:, 4:]).max() > 1e-3
    assert (forced.commit[:3] != NEVER).all() and forced.commit[3] == free.commit[3] == NEVER
    assert counts[-1] == (2 * M, 2 * M)


def test_it_is_stored_under_what_was_asked(backend: Backend, written: tuple[int, ...], tmp_path: Path) -> None:
    store, task = Store(tmp_path, 2**30), LensTask("bos", CONTEXT, written)
    context = context_of(backend, store)
    key, found, _ = answer(task, context)
    same, again, was_stored = answer(lens_of(task.whole), context)
    assert was_stored and same == key
    np.testing.assert_array_equal(again.free_running.top_ids, found.free_running.top_ids)
    card = read_card(find_model("bos", backend.settings), backend.settings)
    assert card is not None
    others = [LensTask("bos", CONTEXT[1:], written), LensTask("bos", CONTEXT, written[:-1])]
    assert len({key, *(other.key([card], CPU) for other in others)}) == 3


def test_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="the context has 0 tokens"):
        LensTask("bos", (), (1,))
    with pytest.raises(InputError, match="give a text that goes on"):
        lens_of(TraceTask("bos", (1, 2), None, 4))
