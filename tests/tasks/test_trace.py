"""Requests: what they refuse, what their keys depend on, and that stored ones are not computed again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_folders import BOS, TEXT, VOCAB, change, write_model
from support.tasks import CPU, CUDA, context_of

from memviz.catalog import Card, find_model
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.errors import InputError
from memviz.records import Decoding
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks import base
from memviz.tasks import trace as tasks
from memviz.tasks.base import Device, answer, task_from
from memviz.tasks.trace import TraceTask, check_text, task_of_text, tokenizer_of

CARD = Card("m", "M", "", "local", "weights-1", [], 1, 100, 50, [7], [5])
TASK = TraceTask("m", (1, 2, 3), (4, 5), 2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"context_ids": ()}, "the context has 0 tokens: give at least 1"),
        ({"continuation_ids": None, "n_steps": 0}, "the continuation has 0 tokens: give at least 1"),
        ({"continuation_ids": None, "n_steps": -5}, "the continuation has -5 tokens: give at least 1"),
        ({"n_steps": 3}, "2 true tokens are given for 3 steps: give as many"),
        ({"dtype": "int8"}, "dtype 'int8' is unknown: use one of float32, bfloat16, float16"),
        ({"reading": "twice"}, "reading 'twice' is unknown: use one of verified, stepwise"),
    ],
)
def test_tasks_that_cannot_be(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        replace(TASK, **values)
    assert str(raised.value) == sentence


def test_a_trace_of_many_tokens_lets_others_in_between() -> None:
    few, many = (TraceTask("tiny", (1,) * 200, None, n_steps) for n_steps in (56, 57))
    assert not few.long and many.long and "long" not in many.request()


def test_prompts_that_do_not_fit_a_model() -> None:
    TraceTask("m", (99,) * 48, (0, 99), 2).check([CARD])
    TraceTask("m", (1,) * 1000, None, 2).check([replace(CARD, n_positions=None)])
    for task, sentence in (
        (
            TraceTask("m", (1,) * 49, None, 2),
            "49 context and 2 continuation tokens are 51; m reads at most 50: shorten",
        ),
        (TraceTask("m", (1, 100), None, 2), "token id 100 is outside the vocabulary of m, whose ids are 0 to 99: was"),
        (TraceTask("m", (1,), (3, -1), 2), "token id -1 is outside the vocabulary of m"),
        (TraceTask("m", (10**30,), None, 2), "token id of more than 20 digits is outside the vocabulary of m"),
    ):
        with pytest.raises(InputError, match=f"^{sentence}"):
            task.check([CARD])
    barred = TraceTask("m", (1,), None, 2, Decoding(bar_eos=True))
    barred.check([CARD])
    with pytest.raises(InputError, match=r"^m has no end-of-sequence token to bar: leave the option out$"):
        barred.check([replace(CARD, eos_ids=[])])


IDS = st.lists(st.integers(0, 2**40), min_size=1, max_size=4).map(tuple)
DECODINGS = st.one_of(
    st.builds(Decoding, bar_eos=st.booleans()),
    st.builds(
        Decoding,
        temperature=st.floats(0.01, 9),
        top_k=st.none() | st.integers(1, 99),
        top_p=st.none() | st.floats(0.01, 1),
        seed=st.integers(0, 2**63 - 1),
        bar_eos=st.booleans(),
    ),
)


@settings(deadline=None)
@given(st.text(), IDS, st.none() | IDS, DECODINGS, st.sampled_from(["float32", "bfloat16"]), st.booleans())
def test_a_request_makes_an_equal_task(
    name: str, context: Any, truth: Any, decoding: Any, dtype: str, all: bool
) -> None:
    task = TraceTask(name, context, truth, len(truth or [1]), decoding, dtype, all)
    again = task_from(json.loads(json.dumps(task.request())))
    assert again == task and again.hash == task.hash


@pytest.mark.parametrize(
    "change_request",
    [
        lambda request: {"task": "trace"},
        lambda request: request | {"context_ids": None},
        lambda request: request | {"context_ids": []},
        lambda request: request | {"dtype": "int8"},
        lambda request: request | {"decoding": {"temperature": -1}},
        lambda request: request | {"decoding": {"beams": 3}},
        lambda request: {key: value for key, value in request.items() if key != "n_steps"},
    ],
)
def test_stored_requests_that_cannot_be_read(change_request: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="this stored request cannot be read by this version of memviz"):
        task_from(change_request(TASK.request()))


def test_a_key_depends_on_what_decides_numbers_and_on_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def result_key(task: TraceTask, card: Card, device: Device) -> str:
        return task.key([card], device)

    key = result_key(TASK, CARD, CPU)
    assert result_key(replace(TASK, model="other"), replace(CARD, name="other", folder="f"), CUDA) == key
    assert result_key(TASK, replace(CARD, eos_ids=[1]), CPU) == key
    sampled = Decoding(temperature=1.0)
    others = [
        result_key(TASK, replace(CARD, weights="weights-2"), CPU),
        result_key(replace(TASK, context_ids=(1, 2)), CARD, CPU),
        result_key(replace(TASK, context_ids=(1, 2, 3, 4), continuation_ids=(5,), n_steps=1), CARD, CPU),
        result_key(replace(TASK, continuation_ids=(4, 6)), CARD, CPU),
        result_key(replace(TASK, continuation_ids=None), CARD, CPU),
        result_key(replace(TASK, all_layers=True), CARD, CPU),
        result_key(replace(TASK, decoding=Decoding(bar_eos=True)), CARD, CPU),
        result_key(replace(TASK, decoding=Decoding(bar_eos=True)), replace(CARD, eos_ids=[1]), CPU),
        result_key(replace(TASK, decoding=sampled), CARD, CPU),
        result_key(replace(TASK, decoding=replace(sampled, seed=1)), CARD, CPU),
        result_key(replace(TASK, decoding=replace(sampled, temperature=1.1)), CARD, CPU),
        result_key(replace(TASK, decoding=replace(sampled, top_k=3)), CARD, CPU),
        result_key(replace(TASK, decoding=replace(sampled, top_p=0.5)), CARD, CPU),
        result_key(replace(TASK, dtype="bfloat16"), CARD, CPU),
        result_key(replace(TASK, dtype="bfloat16"), CARD, CUDA),
        result_key(replace(TASK, dtype="float16"), CARD, CPU),
        result_key(replace(TASK, dtype="bfloat16"), CARD, Device(lambda: ("cuda", "cuda (another GPU)"))),
        result_key(replace(TASK, dtype="bfloat16", reading="stepwise"), CARD, CPU),
        result_key(replace(TASK, reading="stepwise"), CARD, CPU),
    ]
    monkeypatch.setattr(base, "ENGINE", base.ENGINE + 1)
    assert len({key, *others, result_key(TASK, CARD, CPU)}) == len(others) + 2


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "plain")
    write_model(home / "models" / "bos", tokenizer="bos")
    write_model(home / "models" / "bos-again", tokenizer="bos")
    change(write_model(home / "models" / "other") / "config.json", rms_norm_eps=0.1)
    return Backend(Settings(cache=home / "cache", model_roots=(home / "models",), device="cpu"))


def card_of(backend: Backend, name: str) -> Card:
    return prepare(find_model(name, backend.settings), backend.settings)


def test_a_text_becomes_a_task(backend: Backend) -> None:
    card = card_of(backend, "bos")
    tokenizer = tokenizer_of(card, backend.settings)
    ids = tokenizer.encode(TEXT)
    assert card.leading_ids == [BOS] and len(ids) == 23 and BOS not in ids
    task = task_of_text(TEXT, card, tokenizer, 4, 5)
    assert task == TraceTask("bos", (BOS, *ids[:4]), tuple(ids[4:9]), 5)
    assert task_of_text(TEXT, card, tokenizer, 22).continuation_ids == tuple(ids[22:])
    assert len(task_of_text(TEXT * 9, card, tokenizer, 4).continuation_ids or ()) == tasks.DEFAULT_CONTINUATION
    open_end = task_of_text(TEXT, card, tokenizer, with_truth=False, dtype="float16")
    assert open_end == TraceTask("bos", (BOS, *ids), None, tasks.DEFAULT_CONTINUATION, dtype="float16")
    for values, sentence in (
        ((0, 5), "the context has 0 tokens: give at least 1"),
        ((-1, 5), "the context has -1 tokens: give at least 1"),
        ((5, 0), "the continuation has 0 tokens: give at least 1"),
        ((5, 0, False), "the continuation has 0 tokens: give at least 1"),
        ((23, None), "the text has 23 tokens under bos's tokenizer: 23 of context and 1 of continuation need 24; give"),
    ):
        with pytest.raises(InputError, match=f"^{sentence}"):
            task_of_text(TEXT, card, tokenizer, *values)
    for text in ("", " \n", "\u2003"):
        with pytest.raises(InputError, match=r"^the text is empty: give at least a few words$"):
            task_of_text(text, card, tokenizer)
    with pytest.raises(
        InputError, match=r"^the text has 2,000,002 bytes, more than the 2,000,000 of one prompt: cut it$"
    ):
        check_text("é" * 1_000_001)
    check_text("a lone surrogate \ud800 is no reason to fail")


def test_a_result_is_computed_once_whatever_the_model_is_called(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "results", 2**30)
    said: list[str] = []
    task = TraceTask("bos", (BOS, 20, 30), (40, 50), 2)
    key, run, stored = answer(task, context_of(backend, store, say=said.append))
    assert not stored and said[-1] == "decoding" and key == task.key([card_of(backend, "bos")], CPU)
    assert run.provenance["model"] == "bos" and run.provenance["device"] == "cpu"
    monkeypatch.setattr("memviz.engine.tracing.trace", lambda *_: pytest.fail("computed again"))
    same_key, again, stored = answer(replace(task, model="bos-again"), context_of(backend, store))
    assert (
        stored and same_key == key and again.provenance == run.provenance | {"model": "bos-again", "label": "bos-again"}
    )
    np.testing.assert_array_equal(again.trace.free_running.entropy, run.trace.free_running.entropy)
    assert card_of(backend, "other").weights != card_of(backend, "plain").weights


def test_a_stored_result_of_another_shape_is_removed(tmp_path: Path) -> None:
    store, key = Store(tmp_path / "results", 2**30), TASK.hash
    context = base.Context(Settings(cache=tmp_path), store)
    assert TASK.find(key, [CARD], context) is None
    store.put(key, {"context_ids": np.zeros((1, 2), np.int64)}, {"provenance": {}})
    assert TASK.find(key, [CARD], context) is None and not store.has(key)


def test_giving_up_keeps_nothing(backend: Backend, tmp_path: Path) -> None:
    class GivenUp(Exception):
        pass

    def give_up(done: int, total: int) -> None:
        raise GivenUp

    store = Store(tmp_path / "results", 2**30)
    with pytest.raises(GivenUp):
        answer(TraceTask("plain", (1, 2), None, 3), context_of(backend, store, report=give_up))
    assert store.stats().n_results == 0
    with pytest.raises(InputError, match="outside the vocabulary"):
        answer(TraceTask("plain", (VOCAB + 40,), None, 3), context_of(backend, store))
