"""What a smaller model wrote, offered to the next as a draft, changes no result and no key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.model_folders import write_model
from support.tasks import context_of

from memviz.engine.backend import Backend
from memviz.records import to_arrays
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import answer
from memviz.tasks.trace import TraceTask

CONTEXT = (20, 30, 40, 50, 60)
TRUTH = tuple(range(10, 34))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    folder = tmp_path_factory.mktemp("drafts")
    for name, family in (("small", "llama"), ("large", "gpt_neox")):
        write_model(folder / "models" / name, family)
    return Backend(Settings(cache=folder / "cache", model_roots=(folder / "models",), device="cpu"))


@pytest.mark.parametrize("truth", [TRUTH, None])
def test_guesses_change_no_result(
    backend: Backend, tmp_path: Path, truth: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import memviz.engine.tracing as tracing

    offered: list[object] = []
    plain = tracing.trace

    def listening(*arguments, **named):  # type: ignore[no-untyped-def]
        offered.append(named["guesses"])
        return plain(*arguments, **named)

    monkeypatch.setattr(tracing, "trace", listening)
    small, large = (TraceTask(name, CONTEXT, truth, 24) for name in ("small", "large"))
    alone, together = Store(tmp_path / "alone", 2**30), Store(tmp_path / "together", 2**30)
    key, expected, _ = answer(large, context_of(backend, alone))
    _, before, _ = answer(small, context_of(backend, together))
    written = before.trace.generated_ids[0].tolist()
    same_key, found, _ = answer(replace(large, drafts=(small,)), context_of(backend, together))
    assert offered == [[], [], [written]], "the draft was there"
    assert same_key == key and replace(large, drafts=(small,)) == large == TraceTask("large", CONTEXT, truth, 24)
    assert replace(large, drafts=(small,)).request() == large.request() and "drafts" not in large.request()
    arrays, wanted = to_arrays(found.trace), to_arrays(expected.trace)
    np.testing.assert_array_equal(arrays["generated_ids"], wanted["generated_ids"])
    for name, values in wanted.items():
        np.testing.assert_allclose(arrays[name], values, rtol=1e-4, atol=1e-4, equal_nan=True, err_msg=name)


def test_its_own_output_as_a_draft_is_taken_over_and_verified(backend: Backend, tmp_path: Path) -> None:
    task = TraceTask("large", CONTEXT, None, 24)
    _, expected, _ = answer(task, context_of(backend, Store(tmp_path / "one", 2**30)))
    store = Store(tmp_path / "two", 2**30)
    again = TraceTask("large", CONTEXT, TRUTH, 24, drafts=(task,))
    answer(task, context_of(backend, store))
    _, found, _ = answer(again, context_of(backend, store))
    np.testing.assert_array_equal(found.trace.generated_ids, expected.trace.generated_ids)


def test_a_draft_of_another_prompt_or_without_a_result_is_no_draft(backend: Backend, tmp_path: Path) -> None:
    store = Store(tmp_path, 2**30)
    other = TraceTask("small", CONTEXT[::-1], None, 4)
    context = context_of(backend, store)
    answer(other, context)
    task = TraceTask("large", CONTEXT, None, 4, drafts=(other, TraceTask("small", CONTEXT, None, 4)))
    assert task._guesses(context) == []
