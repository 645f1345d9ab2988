"""The causal views: occlusion against as many single forwards, and how long heads and noise recovery take.

One row of 32 + 32 tokens, of the suite's largest model and of one with random weights in the shape of SmolLM2-135M
(Llama, 30 layers of 9 heads, V = 49,152). Each context token is replaced 8 times, which is held against 256 passes over
one row that give logits of the continuation alone; then the whole view, which also drops tokens and looks for the least
context, against the 320 rows it reads. Single passes are timed between the others, so both find the machine the same.
Aim: at most 0.5. What is said of noise recovery before it starts stands beside what it takes on the suite's model.

    python bench/causes.py [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from memviz.catalog import Card, find_model, read_card
from memviz.engine.causes import Row, read_occlusion, read_recovery
from memviz.engine.devices import choose_device, use_exact_float32
from memviz.engine.heads import cost_of_heads, read_heads
from memviz.engine.loading import Loaded, load_model
from memviz.settings import load_settings
from memviz.sweeps.estimate import reading_words
from memviz.tasks.causes import RecoveryTask

K = M = 32
N_DRAWN = 8
SUITE = "suite-7.6m"


def shaped() -> Loaded:
    """A model in the shape of SmolLM2-135M."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, intermediate_size=1536,
        vocab_size=49152, max_position_embeddings=2048, tie_word_embeddings=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    n = sum(each.numel() for each in model.parameters())
    card = Card("135M", "135M", "", "local", "0" * 64, [], n, config.vocab_size, 2048, [], [])
    return Loaded(model.eval().requires_grad_(False), card, "float32", torch.device("cpu"))


def of_suite() -> Loaded:
    settings = load_settings()
    card = read_card(find_model(SUITE, settings), settings)
    assert card is not None
    return load_model(card, "float32", choose_device("cpu"))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.inference_mode()
def measure(loaded: Loaded) -> None:
    """Print what one model takes."""
    rng, name = np.random.default_rng(0), loaded.card.name
    ids = rng.integers(1, loaded.card.vocab_size, K + M).tolist()
    row, others = Row(loaded, ids[:K], ids[K:]), rng.integers(1, loaded.card.vocab_size, (K, N_DRAWN))

    def single() -> float:
        return seconds(lambda: loaded.model(row.ids, use_cache=False, logits_to_keep=M + 1))

    single()
    alone: list[float] = []
    changed = least = 0.0
    since = time.perf_counter()

    def tick(n: int) -> None:
        nonlocal since, changed, least
        took = time.perf_counter() - since
        if n > 1:  # replaced and dropped together; the least context one by one
            changed += took
            alone.append(single())
        else:
            least += took
        since = time.perf_counter()

    read_occlusion(row, 0, others, tick)
    one, n_replaced = statistics.median(alone), K * N_DRAWN
    replaced, n_whole = changed * N_DRAWN / (N_DRAWN + 1), K * (N_DRAWN + 2)
    print(f"{name}: {K} x {N_DRAWN} tokens replaced {replaced:.1f} s, as many single forwards", end=" ")
    print(f"{n_replaced * one:.1f} s: {replaced / (n_replaced * one):.2f}; the whole view", end=" ")
    print(f"{changed + least:.1f} s, against {n_whole} forwards {(changed + least) / (n_whole * one):.2f}", flush=True)
    start = time.perf_counter()
    n_heads = len(cost_of_heads([row], lambda n: None)[0])
    print(f"{name}: each of {n_heads} heads silenced, {time.perf_counter() - start:.1f} s", flush=True)
    if name == SUITE:
        print(f"{name}: the whole view of heads, {seconds(lambda: read_heads(row, 0, lambda n: None)):.1f} s")
        task = RecoveryTask(name, tuple(ids[:K]), 0, tuple(ids[K:]), "float32")
        said = reading_words(task.n_rows(loaded.card), K + M, loaded.card.n_parameters)
        n_draws, sigma = task.n_draws, task.sigma
        took_noise = seconds(lambda: read_recovery(row, 0, sigma, n_draws, 0, lambda n: None))
        print(f"{name}: noise recovery {took_noise:.1f} s; said before: {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="the suite's model alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    use_exact_float32()
    for load in (of_suite,) if options.small else (of_suite, shaped):
        measure(load())


if __name__ == "__main__":
    main()
