"""The causal views: occlusion against as many single forwards, and how long heads take, of a suite's and a 135M model.

One row of 32 + 32 tokens. The 135M model has random weights in the shape of SmolLM2-135M (Llama, 30 layers of 9 heads,
V = 49,152). Occlusion replaces each context token 8 times, and drops it; it is held against 256 passes over one row
that give logits of the continuation, of which some are timed. Aim: at most 0.5 of their time.

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
from memviz.engine.causes import Row, read_occlusion
from memviz.engine.devices import choose_device, use_exact_float32
from memviz.engine.heads import cost_of_heads, read_heads
from memviz.engine.loading import Loaded, load_model
from memviz.settings import load_settings

K = M = 32
N_DRAWN, N_TIMED = 8, 16
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
    single = [seconds(lambda: loaded.model(row.ids, use_cache=False, logits_to_keep=M + 1)) for _ in range(N_TIMED)]
    ours = seconds(lambda: read_occlusion(row, 0, others, lambda n: None))
    alone = K * N_DRAWN * statistics.median(single)
    print(
        f"{name}: occlusion {ours:.1f} s, {K * N_DRAWN} single forwards {alone:.1f} s: {ours / alone:.2f}", flush=True
    )
    start = time.perf_counter()
    n_heads = len(cost_of_heads([row], lambda n: None)[0])
    print(f"{name}: each of {n_heads} heads silenced, {time.perf_counter() - start:.1f} s", flush=True)
    if loaded.card.name == SUITE:
        print(f"{name}: the whole view of heads, {seconds(lambda: read_heads(row, 0, lambda n: None)):.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    use_exact_float32()
    for loaded in (of_suite(), shaped()):
        measure(loaded)


if __name__ == "__main__":
    main()
