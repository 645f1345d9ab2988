"""Steps on a fixed cache, captured or compiled, beside steps on one that grows: the same tokens, one graph a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB, plain_generate, step_by_step, tiny
from torch._dynamo.testing import CompileCounter

from memviz.engine import fixed, tracing
from memviz.engine.fixed import Steps
from memviz.engine.loading import Loaded
from memviz.engine.noise import measure_logit_noise
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts, Survey

K, M = 9, 40
CLOSE = 1e-4
PLAIN = ("gpt_neox", "llama", "gpt2")
EXACT = ("generated_ids", "teacher_forced_rank")


def fresh(family: str, dtype: str = "float32") -> Loaded:
    """A tiny model that no step was made for."""
    return replace(tiny(family, dtype), made={})


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounter]:
    """Graphs that are made, each run as it was traced."""
    counter = CompileCounter()
    monkeypatch.setattr(fixed, "BACKEND", counter)
    yield counter
    torch._dynamo.reset()


def prompts_of(loaded: Loaded, n: int, seed: int = 0) -> Prompts:
    """Rows that leave what the model writes at the first token, somewhere, or never."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, VOCAB, (n, K))
    truth = plain_generate(loaded, torch.from_numpy(context), M).numpy().copy()
    for row in range(n):
        if row % 3:
            at = 0 if row % 3 == 1 else rng.integers(0, M)
            truth[row, at] = (truth[row, at] + 1) % VOCAB
    return Prompts(context, truth)


def assert_same(one: Survey, other: Survey) -> None:
    for name, value in vars(one).items():
        if name in EXACT:
            assert (value == getattr(other, name)).all(), name
        else:
            np.testing.assert_allclose(value, getattr(other, name), atol=CLOSE, err_msg=name)


@pytest.mark.parametrize(
    ("steps", "family_name"),
    [
        *(("fixed", family) for family in PLAIN),
        ("compiled", PLAIN[0]),
        *(pytest.param("compiled", family, marks=pytest.mark.wide) for family in PLAIN[1:]),
    ],
)
def test_a_fixed_cache_changes_nothing(family_name: str, steps: Steps, counter: CompileCounter) -> None:
    """Batches of several sizes, in buckets whose other places hold what an earlier batch left there."""
    loaded = fresh(family_name)
    for n in (30, 3, 12):
        prompts = prompts_of(loaded, n, seed=n)
        assert_same(survey(loaded, prompts, 0.0, steps="dynamic"), survey(loaded, prompts, 0.0, steps=steps))
    made = loaded.made["room"][0].steps
    assert set(made) == {(32, 64, steps == "compiled"), (8, 64, steps == "compiled")} and None not in made.values()
    assert counter.frame_count == (2 if steps == "compiled" else 0), "one graph a bucket"


def test_every_step_of_every_batch_is_one_graph(counter: CompileCounter) -> None:
    loaded = fresh("gpt_neox")
    for seed, m in ((0, M), (1, M), (2, 20)):
        prompts = prompts_of(loaded, 12, seed)
        assert prompts.continuation_ids is not None
        survey(loaded, Prompts(prompts.context_ids, prompts.continuation_ids[:, :m]), 0.0, steps="compiled")
    assert (counter.frame_count, len(loaded.made["room"][0].steps)) == (1, 1)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(bar_eos=True)], ids=["greedy", "barred"])
def test_a_trace_with_states_and_guesses(decoding: Decoding) -> None:
    """A single row is offered guesses, several tokens at once, on the same places."""
    loaded = fresh("llama")
    prompts = prompts_of(loaded, 5)
    for some in (prompts, Prompts(prompts.context_ids[1:2], prompts.continuation_ids[1:2])):
        for truth in (some.continuation_ids, None):
            asked = Prompts(some.context_ids, truth)
            ours, theirs = (trace(loaded, asked, M, decoding, 0.0, steps=steps) for steps in ("fixed", "dynamic"))
            assert (ours.generated_ids == theirs.generated_ids).all()
            assert ours.hidden is not None and theirs.hidden is not None
            np.testing.assert_allclose(ours.hidden.free_running, theirs.hidden.free_running, atol=CLOSE)
            np.testing.assert_allclose(ours.free_running.top_logprobs, theirs.free_running.top_logprobs, atol=CLOSE)
    assert None not in loaded.made["room"][0].steps.values()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_first_differences_of_half_precision_are_fragile(dtype: str) -> None:
    loaded = fresh("llama", dtype)
    prompts, noise = prompts_of(loaded, 24), measure_logit_noise(loaded)
    found = survey(loaded, prompts, noise, steps="fixed")
    expected = step_by_step(loaded, torch.from_numpy(prompts.context_ids), M)[0].numpy()
    differs = found.generated_ids != expected
    rows = np.flatnonzero(differs.any(axis=1))
    assert (found.free_running_margin[rows, differs[rows].argmax(axis=1)] < 2 * noise).all() and len(rows) < 12
    assert None not in loaded.made["room"][0].steps.values()


@pytest.mark.parametrize("family_name", ["gemma3_text", "qwen3_next"])
def test_unusual_caches_stay_as_they_are(family_name: str) -> None:
    loaded = fresh(family_name)
    prompts = prompts_of(loaded, 3)
    assert_same(survey(loaded, prompts, 0.0, steps="fixed"), survey(loaded, prompts, 0.0, steps="dynamic"))
    assert "room" not in loaded.made


@pytest.mark.parametrize("fault", ["wrong", "fails"])
def test_a_step_that_does_not_agree_is_not_used(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a model's own forward makes of a fixed cache is tried, not assumed."""
    update = fixed.FixedLayer.update

    def broken(self: fixed.FixedLayer, keys: torch.Tensor, values: torch.Tensor, *args: object) -> object:
        if fault == "fails":
            raise TypeError("no such cache")
        return update(self, keys, values * 0, *args)

    monkeypatch.setattr(fixed.FixedLayer, "update", broken)
    loaded = fresh("gpt_neox")
    prompts = prompts_of(loaded, 3)
    assert_same(survey(loaded, prompts, 0.0, steps="fixed"), survey(loaded, prompts, 0.0, steps="dynamic"))
    assert list(loaded.made["room"][0].steps.values()) == [None]
    assert ("no such cache" if fault == "fails" else "is off by") in caplog.text


def test_memory_that_runs_out_takes_the_places_along(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, used = fresh("gpt_neox"), []
    prompts = prompts_of(loaded, 12)
    whole = survey(loaded, prompts, 0.0, steps="dynamic")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    step = fixed.Room.step

    def scarce(self: fixed.Room, *args: object) -> object:
        used.append(args[2])
        if len(used) == 1:
            raise torch.OutOfMemoryError("none left")
        return step(self, *args)

    monkeypatch.setattr(fixed.Room, "step", scarce)
    found = survey(loaded, prompts, 0.0, steps="fixed")
    assert used == [8, 8, 8]
    assert int(found.rows_at_once) == 6 and tracing.room_bytes(loaded) > 0
    assert (found.generated_ids == whole.generated_ids).all()
