"""The engine against plain decoding: token for token, and number for number, over many random prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import EOS, LIMIT, VOCAB, generate, noise_of, one_pass, plain_generate, step_by_step, tiny

from memviz.engine import reader as reader_module
from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.tracing import trace
from memviz.records import Decoding, Partial, Prompts, to_arrays

GREEDY = Decoding()
CLOSE = 1e-4


def prompts_for(loaded: Loaded, n: int, k: int, m: int, seed: int) -> Prompts:
    """Random contexts whose truth is what the model writes, with a few tokens changed: it diverges and fits again."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, VOCAB, (n, k))
    truth = plain_generate(loaded, torch.from_numpy(context), m).numpy().copy()
    for row in truth:
        for _ in range(rng.integers(0, 4)):
            row[rng.integers(0, m)] = rng.integers(0, VOCAB)
    return Prompts(context, truth)


def test_the_families_cover_what_the_engine_distinguishes(family: Loaded) -> None:
    assert Reader(family).can_roll_back == (family.card.name != "qwen3_next")
    logits = one_pass(family, torch.arange(20)[None])[0]
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
    assert 0.1 < entropy < 3.5, "the tiny model should have preferences, as trained ones do"


def test_the_plain_loop_is_transformers_own_generate(family: Loaded) -> None:
    contexts = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, (3, 12)))
    assert (step_by_step(family, contexts, 40)[0] == plain_generate(family, contexts, 40)).all()


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.wide) for seed in (1, 2))]
SHAPES = [(1, 1, 1), (1, 1, 20), (1, 30, 1), (3, 9, 17), (2, 20, 40), (1, 25, 64), (4, 13, 13), (1, LIMIT - 30, 30)]


@pytest.mark.parametrize(("n", "k", "m"), SHAPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_equals_plain_decoding_token_for_token(family: Loaded, n: int, k: int, m: int, seed: int) -> None:
    prompts = prompts_for(family, n, k, m, seed)
    result = trace(family, prompts, m, GREEDY, noise_of(family))
    expected, logits = generate(family, torch.from_numpy(prompts.context_ids), m)
    excused = 0
    for row in range(n):
        differs = np.flatnonzero(result.generated_ids[row] != expected[row].numpy())
        if len(differs):
            assert result.fragile[row, differs[0]], "a difference is only excused where the margin is within the noise"
            excused += 1
            continue
        logprobs = logits[row].log_softmax(-1)
        scores = result.free_running
        own = logprobs.gather(-1, expected[row][:, None])[:, 0]
        np.testing.assert_allclose(scores.logprob[row], own, atol=CLOSE)
        np.testing.assert_allclose(
            scores.entropy[row], torch.distributions.Categorical(logits=logits[row]).entropy(), atol=CLOSE
        )
        np.testing.assert_allclose(
            scores.second_moment[row], (logprobs.exp() * logprobs**2).sum(-1), atol=CLOSE, rtol=1e-5
        )
        top = logits[row].topk(2).values
        np.testing.assert_allclose(scores.margin[row], top[:, 0] - top[:, 1], atol=CLOSE)
        assert (scores.rank[row] == 1).all()
        truth = torch.from_numpy(prompts.continuation_ids[row])[:, None]
        assert result.free_running_true is not None
        np.testing.assert_allclose(result.free_running_true.logprob[row], logprobs.gather(-1, truth)[:, 0], atol=CLOSE)
    assert excused <= 1


def test_teacher_forced_scores_equal_one_plain_forward(family: Loaded) -> None:
    k, m = 21, 30
    prompts = prompts_for(family, 3, k, m, seed=9)
    result = trace(family, prompts, m, GREEDY, 0.0)
    row = torch.from_numpy(np.concatenate([prompts.context_ids, prompts.continuation_ids], axis=1))
    logits, states = one_pass(family, row)
    logprobs = logits.log_softmax(-1)[:, :-1]
    true = logprobs.gather(-1, row[:, 1:, None])[..., 0].numpy()
    forced, hidden = result.teacher_forced, result.hidden
    assert forced is not None and hidden is not None and hidden.teacher_forced is not None
    np.testing.assert_allclose(forced.logprob, true[:, k - 1 :], atol=CLOSE)
    np.testing.assert_allclose(result.context.logprob[:, 1:], true[:, : k - 1], atol=CLOSE)
    entropy = torch.distributions.Categorical(logits=logits[:, :-1]).entropy().numpy()
    np.testing.assert_allclose(forced.entropy, entropy[:, k - 1 :], atol=CLOSE)
    np.testing.assert_allclose(result.context.entropy[:, 1:], entropy[:, : k - 1], atol=CLOSE)
    assert np.isnan(result.context.entropy[:, 0]).all() and (result.context.rank[:, 0] == 0).all()
    assert (result.context.top_ids[:, 0] == -1).all()
    last = states[-1].numpy()
    np.testing.assert_allclose(hidden.context[:, :, 0], last[:, :k], atol=CLOSE)
    np.testing.assert_allclose(hidden.teacher_forced[:, :, 0], last[:, k:], atol=CLOSE)
    np.testing.assert_allclose(hidden.emitting("teacher_forced")[:, :, 0], last[:, k - 1 : -1], atol=CLOSE)


def test_free_running_states_equal_one_forward_over_the_output(family: Loaded) -> None:
    k, m = 14, 33
    prompts = prompts_for(family, 2, k, m, seed=4)
    result = trace(family, prompts, m, GREEDY, 0.0, all_layers=True)
    row = torch.from_numpy(np.concatenate([prompts.context_ids, result.generated_ids], axis=1))
    states = one_pass(family, row)[1]
    assert result.hidden is not None and result.hidden.layers.tolist() == list(range(len(states)))
    for layer, expected in enumerate(states):
        np.testing.assert_allclose(result.hidden.free_running[:, :, layer], expected[:, k:], atol=CLOSE)


def test_ranks_and_alternatives_against_a_full_sort(family: Loaded) -> None:
    prompts = prompts_for(family, 2, 6, 25, seed=5)
    result = trace(family, prompts, 25, GREEDY, 0.0)
    row = torch.from_numpy(np.concatenate([prompts.context_ids, prompts.continuation_ids], axis=1))
    logits = one_pass(family, row)[0][:, 5:-1].numpy()
    order = np.argsort(-logits, axis=-1, kind="stable")
    ranks = 1 + np.argmax(order == prompts.continuation_ids[..., None], axis=-1)
    assert result.teacher_forced is not None
    gaps = np.diff(-np.sort(-logits, axis=-1), axis=-1).max(
        axis=-1
    )  # the closest neighbours; ranks hold where all differ
    clear = gaps < -1e-5
    assert clear.any()
    assert (result.teacher_forced.rank == ranks)[clear].all()
    assert (result.teacher_forced.top_ids[clear] == order[..., :64][clear]).all()


def test_batch_mates_do_not_matter(family: Loaded) -> None:
    prompts = prompts_for(family, 5, 11, 22, seed=6)
    together = to_arrays(trace(family, prompts, 22, GREEDY, 0.0))
    for row in range(5):
        one = Prompts(prompts.context_ids[row : row + 1], prompts.continuation_ids[row : row + 1])
        alone = to_arrays(trace(family, one, 22, GREEDY, 0.0))
        for name, values in alone.items():
            if name in ("logit_noise", "hidden.layers") or "top_" in name:
                continue
            np.testing.assert_allclose(together[name][row], values[0], atol=CLOSE, err_msg=name)


def test_an_end_of_sequence_is_an_ordinary_token_unless_barred() -> None:
    loaded = tiny("gpt_neox")
    contexts = np.random.default_rng(0).integers(0, VOCAB, (60, 8))
    free = trace(loaded, Prompts(contexts), 30, GREEDY, 0.0)
    with_eos = np.flatnonzero((free.generated_ids[:, :-1] == EOS).any(axis=1))
    assert len(with_eos), "some prompt should make the model write an end of sequence"
    contexts = contexts[with_eos]
    expected = plain_generate(loaded, torch.from_numpy(contexts), 30)
    assert (trace(loaded, Prompts(contexts), 30, GREEDY, 0.0).generated_ids == expected.numpy()).all()
    barred = trace(loaded, Prompts(contexts), 30, Decoding(bar_eos=True), 0.0)
    assert not (barred.generated_ids == EOS).any()
    assert (barred.generated_ids == step_by_step(loaded, torch.from_numpy(contexts), 30, (EOS,))[0].numpy()).all()
    at_eos = barred.free_running.argmax_ids == EOS
    assert (barred.free_running.rank[at_eos] == 2).all() and at_eos.any()
    truth = trace(loaded, Prompts(contexts, barred.generated_ids), 30, Decoding(bar_eos=True), 0.0)
    assert (truth.generated_ids == barred.generated_ids).all()


def test_without_truth_the_same_tokens_and_numbers(family: Loaded) -> None:
    prompts = prompts_for(family, 2, 10, 20, seed=7)
    known = trace(family, prompts, 20, GREEDY, 0.0)
    unknown = trace(family, Prompts(prompts.context_ids), 20, GREEDY, 0.0)
    assert (known.generated_ids == unknown.generated_ids).all()
    np.testing.assert_allclose(known.free_running.entropy, unknown.free_running.entropy, atol=CLOSE)
    assert unknown.teacher_forced is None and unknown.free_running_true is None and unknown.continuation_ids is None


def test_guesses_save_steps_and_change_nothing() -> None:
    loaded = tiny("llama")
    prompts = prompts_for(loaded, 1, 12, 60, seed=1)
    right = plain_generate(loaded, torch.from_numpy(prompts.context_ids), 60).tolist()
    truth = np.random.default_rng(1).integers(0, VOCAB, (1, 60))
    ticks: dict[str, int] = {}
    results = {}
    for name, guesses in {"none": (), "right": right, "wrong": [[3] * 60]}.items():
        count = [0]

        def report(done: int, total: int, count: list[int] = count) -> None:
            count[0] += 1

        results[name] = trace(
            loaded, Prompts(prompts.context_ids, truth), 60, GREEDY, 0.0, guesses=guesses, report=report
        )
        ticks[name] = count[0]
    assert (results["none"].generated_ids == right).all()
    assert (results["right"].generated_ids == right).all() and (results["wrong"].generated_ids == right).all()
    assert ticks["right"] < 20 <= ticks["wrong"]


def test_progress_rises_to_its_total_and_cancels_within_one_pass() -> None:
    loaded = tiny("gpt2")
    prompts = prompts_for(loaded, 3, 9, 30, seed=2)
    seen: list[tuple[int, int]] = []
    trace(loaded, prompts, 30, GREEDY, 0.0, report=lambda done, total: seen.append((done, total)))
    done = [entry[0] for entry in seen]
    assert done == sorted(done) and seen[-1] == (3 * (9 + 60), 3 * (9 + 60))

    class Enough(Exception):
        pass

    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Enough

    with pytest.raises(Enough):
        trace(loaded, prompts, 30, GREEDY, 0.0, report=stop)
    assert calls == 2


def test_batches_are_halved_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("gpt_neox")
    prompts = prompts_for(loaded, 5, 8, 12, seed=3)
    expected = trace(loaded, prompts, 12, GREEDY, 0.0)
    feed, sizes = Reader.feed, []

    def scarce(self: Reader, token_ids: torch.Tensor):
        sizes.append(len(token_ids))
        if len(token_ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return feed(self, token_ids)

    monkeypatch.setattr(Reader, "feed", scarce)
    result = trace(loaded, prompts, 12, GREEDY, 0.0)
    assert sizes[:4] == [5, 3, 2, 1]
    assert (result.generated_ids == expected.generated_ids).all()
    np.testing.assert_allclose(result.free_running.entropy, expected.free_running.entropy, atol=CLOSE)


def test_long_rows_are_read_in_chunks_with_the_same_numbers(family: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    from memviz.engine import tracing

    prompts = prompts_for(family, 2, 40, 30, seed=8)
    whole = to_arrays(trace(family, prompts, 30, GREEDY, 0.0))
    monkeypatch.setattr(tracing, "LOGIT_BYTES", VOCAB * 20 * 7)  # seven positions at once
    chunked = to_arrays(trace(family, prompts, 30, GREEDY, 0.0))
    for name, values in whole.items():
        if "top_" not in name:
            np.testing.assert_allclose(chunked[name], values, atol=CLOSE, err_msg=name)


def test_a_pass_on_a_processor_is_read_in_blocks_that_end_soon(family: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, ticks = prompts_for(family, 2, 40, 30, seed=8), []
    whole = to_arrays(trace(family, prompts, 30, GREEDY, 0.0))
    monkeypatch.setattr(reader_module, "LEAST_TOKENS", 2 * 7)
    monkeypatch.setattr(reader_module, "MOST_WORK", 1)
    parts = to_arrays(trace(family, prompts, 30, GREEDY, 0.0, report=lambda done, total: ticks.append(done)))
    reader = Reader(family)
    assert ticks[0] == 2 * (7 if reader.can_roll_back and reader.cache_layers else 70)
    for name, values in whole.items():
        if "top_" not in name:
            np.testing.assert_allclose(parts[name], values, atol=CLOSE, err_msg=name)


@pytest.mark.parametrize(
    ("k", "m", "bad", "message"),
    [
        (LIMIT, 1, None, f"{LIMIT} context and 1 continuation tokens are {LIMIT + 1}; gpt2 reads at most {LIMIT}"),
        (4, 0, None, "continuation length is 0, expected at least 1 token"),
        (4, 3, VOCAB, f"context id {VOCAB} is outside the vocabulary of gpt2, which has ids 0 to {VOCAB - 1}"),
        (4, 3, -1, f"context id -1 is outside the vocabulary of gpt2, which has ids 0 to {VOCAB - 1}"),
    ],
)
def test_prompts_outside_the_model_are_refused(k: int, m: int, bad: int | None, message: str) -> None:
    context = np.ones((1, k), np.int64)
    if bad is not None:
        context[0, 2] = bad
    with pytest.raises(ValueError, match=message):
        trace(tiny("gpt2"), Prompts(context), m, GREEDY, 0.0)


def test_a_model_with_nan_weights_says_so() -> None:
    loaded = tiny("gpt2")
    weight = loaded.model.get_output_embeddings().weight
    kept = weight[3, 3].item()
    weight[3, 3] = float("nan")
    try:
        with pytest.raises(RuntimeError, match="logits that are not finite"):
            trace(loaded, Prompts(np.ones((1, 4), np.int64)), 2, GREEDY, 0.0)
    finally:
        weight[3, 3] = kept


def test_tokens_are_shown_as_they_come() -> None:
    loaded = tiny("gpt_neox")
    prompts = prompts_for(loaded, 1, 9, 30, seed=2)
    seen: list[Partial] = []
    result = trace(loaded, prompts, 30, GREEDY, 0.0, show=seen.append)
    lengths = [len(each.generated_ids) for each in seen]
    assert lengths == sorted(lengths) and len(lengths) > 3 and lengths[-1] == 30
    for each in seen:
        n = len(each.generated_ids)
        assert (each.generated_ids == result.generated_ids[0, :n]).all()
        assert (each.entropy == result.free_running.entropy[0, :n]).all()
