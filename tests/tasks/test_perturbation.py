"""Changed contexts on a tiny model, against decoding each of them alone, token by token."""

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
from memviz.engine.loading import Loaded
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import answer, task_from
from memviz.tasks.perturbation import PerturbationTask

CONTEXT = (1, 20, 30, 40, 50, 60, 70)
M = 6


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    folder = tmp_path_factory.mktemp("perturbation")
    write_model(folder / "models" / "bos", "llama", "bos")
    return Backend(Settings(cache=folder / "cache", model_roots=(folder / "models",), device="cpu"))


@pytest.fixture(scope="module")
def loaded(backend: Backend) -> Loaded:
    from memviz.engine.preparing import prepare

    return backend.load(prepare(find_model("bos", backend.settings), backend.settings), "float32")


def decoded(loaded: Loaded, context: tuple[int, ...]) -> list[int]:
    return step_by_step(loaded, torch.tensor([context]), M)[0][0].tolist()


def asked(loaded: Loaded, operation: str, **given: object) -> PerturbationTask:
    truth = tuple(decoded(loaded, CONTEXT))  # so the whole context elicits all of it
    return PerturbationTask("bos", CONTEXT, 1, truth, operation, **given)  # type: ignore[arg-type]


BY_HAND = {
    "suffix": {n: (1, *CONTEXT[7 - n :]) for n in range(7)},
    "drop": {i: CONTEXT[: 1 + i] + CONTEXT[3 + i :] for i in range(5)},
    "replace": {i: (*CONTEXT[: 1 + i], 100 + i, 101 + i, *CONTEXT[3 + i :]) for i in range(5)},
    "prepend": {n: (1, *range(100, 100 + n), *CONTEXT[1:]) for n in (1, 2, 4, 6)},
}
GIVEN = {
    "suffix": {},
    "drop": {"width": 2},
    "replace": {"width": 2, "filler_ids": tuple(range(100, 106))},
    "prepend": {"filler_ids": tuple(range(100, 106))},
}


@pytest.mark.parametrize("operation", BY_HAND)
def test_each_variant_is_what_decoding_it_alone_gives(
    backend: Backend, loaded: Loaded, operation: str, tmp_path: Path
) -> None:
    task = asked(loaded, operation, **GIVEN[operation])
    counts: list[tuple[int, int]] = []
    _, found, was_stored = answer(
        task, context_of(backend, Store(tmp_path, 2**30), report=lambda *done: counts.append(done))
    )
    expected = {at: decoded(loaded, context) for at, context in BY_HAND[operation].items()}
    assert not was_stored and found.at.tolist() == list(expected)
    assert found.generated_ids.tolist() == list(expected.values())
    assert found.whole_score == 1
    for place, context in enumerate(BY_HAND[operation].values()):
        ids = torch.tensor([[*context, *task.continuation_ids]])
        with torch.inference_mode():
            logprobs = loaded.model(ids).logits.float().log_softmax(-1)[0, len(context) - 1 : -1]
        true = logprobs.gather(-1, torch.tensor(task.continuation_ids)[:, None])[:, 0]
        np.testing.assert_allclose(found.logprob[place], true, atol=2e-4)
    total = len(expected) + 1
    assert counts[-1] == (total, total) and counts == sorted(counts)


def test_it_is_stored_under_what_was_asked(backend: Backend, loaded: Loaded, tmp_path: Path) -> None:
    store, task = Store(tmp_path, 2**30), asked(loaded, "suffix")
    context = context_of(backend, store)
    key, found, _ = answer(task, context)
    same, again, was_stored = answer(task_from(task.request(), PerturbationTask), context)
    assert was_stored and same == key
    np.testing.assert_array_equal(again.generated_ids, found.generated_ids)
    card = read_card(find_model("bos", backend.settings), backend.settings)
    assert card is not None
    others = [asked(loaded, "drop"), asked(loaded, "drop", width=2), asked(loaded, "prepend", filler_ids=(9,))]
    assert len({key, *(other.key([card], CPU) for other in others)}) == 4


def test_giving_up_keeps_nothing(backend: Backend, loaded: Loaded, tmp_path: Path) -> None:
    class GivenUp(Exception):
        pass

    def report(done: int, total: int) -> None:
        if done > 2:
            raise GivenUp

    store = Store(tmp_path, 2**30)
    with pytest.raises(GivenUp):
        answer(asked(loaded, "suffix"), context_of(backend, store, report=report))
    assert store.stats().n_results == 0


def test_what_cannot_be_asked(backend: Backend, loaded: Loaded) -> None:
    with pytest.raises(InputError, match="prepend needs tokens to put in"):
        asked(loaded, "prepend")
    with pytest.raises(InputError, match="operation 'shuffle' is unknown"):
        asked(loaded, "shuffle")
    with pytest.raises(InputError, match="7 tokens cannot be changed at once: the context has 6"):
        asked(loaded, "drop", width=7)
    with pytest.raises(InputError, match="is of kind 'nothing', not a perturbation"):
        task_from({"task": "nothing"}, PerturbationTask)
    with pytest.raises(InputError, match="outside the vocabulary"):
        asked(loaded, "prepend", filler_ids=(10**6,)).check([loaded.card])
