"""How often the engine calls the model, waits for the device, and starts an operation on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB, plain_generate, tiny
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, DynamicCache, GPTNeoXConfig

from memviz.catalog import Card
from memviz.engine import decoding, stretch, tracing
from memviz.engine.loading import Loaded
from memviz.engine.statistics import Distributions
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts

WAITS = ("cpu", "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "nonzero")


@contextmanager
def calls_of(loaded: Loaded) -> Iterator[Counter]:
    """How often the model's body is called, by the number of tokens read of each row."""
    seen: Counter = Counter()

    def count(_: object, args: tuple, kwargs: dict) -> None:
        seen[(args[0] if args else kwargs["input_ids"]).shape[1]] += 1

    assert loaded.head is not None  # found by calls of its own, once
    hook = loaded.model.base_model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def with_vocabulary(size: int) -> Loaded:
    """A body of next to nothing under a vocabulary."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = GPTNeoXConfig(**sizes, vocab_size=size, max_position_embeddings=128)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    card = Card("wide", "wide", "", "local", "wide", [], 1, size, 128, [], [])
    return Loaded(model.eval().requires_grad_(False), card, "float32", torch.device("cpu"))


def likeliest_only(logits: torch.Tensor, n_kept: int) -> Distributions:
    """No more of the statistics than the tokens, which take long over so many logits."""
    ids = torch.from_numpy(logits.numpy().argmax(-1))[:, None]
    nothing = torch.zeros(len(logits))
    return Distributions(nothing, nothing, nothing, nothing, ids, logits.gather(-1, ids))


@pytest.mark.parametrize("size", [512, pytest.param(50304, marks=pytest.mark.wide)])
def test_calls_of_the_model_for_a_batch_as_sweeps_have_it(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """128 rows, k = 32, m = 64: once where all is memorized, else once and a step for each token after a divergence."""
    monkeypatch.setattr(stretch, "distributions", likeliest_only)
    monkeypatch.setattr(tracing, "LOGIT_BYTES", tracing.LOGIT_BYTES * size // 50304)  # as scarce as at Pythia's size
    loaded, rng = with_vocabulary(size), np.random.default_rng(0)
    context, foreign = rng.integers(0, size, (128, 32)), rng.integers(0, size, (128, 64))
    with calls_of(loaded) as seen:
        found = survey(loaded, Prompts(context, foreign), 0.0)
    assert seen == {96: 1, 1: 63}
    written = found.generated_ids.astype(np.int64)
    assert (plain_generate(loaded, torch.from_numpy(context[:4]), 64).numpy() == written[:4]).all()
    with calls_of(loaded) as seen:
        assert (survey(loaded, Prompts(context, written), 0.0).generated_ids == written).all()
    assert seen == {96: 1}
    late = written.copy()
    late[[5, 77], [40, 43]] = (written[[5, 77], [40, 43]] + 1) % size
    with calls_of(loaded) as seen:
        survey(loaded, Prompts(context, late), 0.0)
    assert seen == {96: 1, 1: 63 - 40}


@contextmanager
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every look at a tensor's content, by name."""
    seen: list[str] = []

    def watched(name: str) -> None:
        plain = getattr(torch.Tensor, name)

        def look(self: torch.Tensor, *args: object, **kwargs: object) -> object:
            seen.append(name)
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, look)

    with monkeypatch.context() as patches:
        monkeypatch = patches
        for name in WAITS:
            watched(name)
        yield seen


@pytest.mark.parametrize("family_name", ["gpt_neox", "llama", "gpt2", "gemma3_text", "qwen3_next"])
@pytest.mark.parametrize("whole", [False, True], ids=["survey", "trace"])
def test_no_step_waits_for_the_device(family_name: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first and the last step of a block nothing looks at the device."""
    loaded, rng, looks = tiny(family_name), np.random.default_rng(1), []
    steps = decoding.FreeRun._steps
    keep = decoding.FreeRun._keep

    def watched(self: decoding.FreeRun, *args: object) -> None:
        with waits(monkeypatch) as seen:
            monkeypatch.setattr(
                decoding.FreeRun, "_keep", lambda self, *args: (looks.append(len(seen)), keep(self, *args))
            )
            steps(self, *args)

    monkeypatch.setattr(decoding.FreeRun, "_steps", watched)
    prompts = Prompts(rng.integers(0, VOCAB, (5, 9)), rng.integers(0, VOCAB, (5, 60)))
    if whole:
        trace(loaded, prompts, 60, Decoding(), 0.0)
    else:
        survey(loaded, prompts, 0.0)
    assert looks and set(looks) == {0}


class Dispatched(TorchDispatchMode):
    """How many operations are started; views of a tensor start none."""

    n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        aliases = [each.alias_info for each in func._schema.returns]
        self.n += not any(alias is not None and not alias.is_write for alias in aliases)
        return func(*args, **(kwargs or {}))


@torch.inference_mode()
def test_a_step_starts_few_operations_beside_the_forward_pass() -> None:
    loaded, rng = tiny("gpt_neox"), np.random.default_rng(2)
    context = rng.integers(0, VOCAB, (4, 9))
    counts = []
    for m in (40, 72):  # 32 steps more
        with Dispatched() as mode:
            survey(loaded, Prompts(context, rng.integers(0, VOCAB, (4, m))), 0.0)
        counts.append(mode.n)
    cache = DynamicCache(config=loaded.model.config)
    loaded.model(torch.from_numpy(context), past_key_values=cache)
    with Dispatched() as mode:
        loaded.model(torch.from_numpy(context[:, :1]), past_key_values=cache)
    assert (counts[1] - counts[0]) / 32 <= mode.n + 10
