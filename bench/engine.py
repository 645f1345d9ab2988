"""The engine against transformers at a vocabulary of real size: a batch's survey, and the whole trace of one prompt.

Random weights of GPT-NeoX shape (Biderman et al. 2023), body 768 x 12, V = 50,304, k = 32, m = 64, in float32 and
bfloat16. The truth is what the model writes (M = 1) or random ids (M = 0). A batch is held against one `generate` at
the largest m and against one for each of four sizes, which only generate; a prompt against `generate` with logits and
states plus one scoring pass, as in bench/trace.py. Ratios are of pairs run in turn in one process: of a batch theirs
to ours, above 1 is faster; of a prompt ours to theirs, below 1 is faster.

    python bench/engine.py [--quick] [--rows 16] [--pairs 3]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from trace import by_transformers  # bench/trace.py

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, GPTNeoXConfig

from memviz.catalog import Card
from memviz.engine.devices import use_exact_float32
from memviz.engine.loading import Loaded
from memviz.engine.noise import measure_logit_noise
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts

K, SIZES = 32, (16, 32, 48, 64)
M = max(SIZES)
LEAST = {
    ("float32", "M = 1"): (1.5, 3.5),
    ("float32", "M = 0"): (0.55, 1.3),
    ("bfloat16", "M = 1"): (1.8, 3.5),
    ("bfloat16", "M = 0"): (0.55, 1.3),
}
"""Aims: ratios of a batch against one `generate`, and against one for each size."""
MOST = {
    ("float32", "M = 1"): 0.18,
    ("float32", "M = 0"): 1.2,
    ("bfloat16", "M = 1"): 0.25,
    ("bfloat16", "M = 0"): 1.2,
}
"""Aims: a prompt's ratio."""


def outlined(dtype: str, n_layers: int, width: int) -> Loaded:
    config = GPTNeoXConfig(
        hidden_size=width,
        num_hidden_layers=n_layers,
        num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width,
        vocab_size=50304,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    model = model.to(getattr(torch, dtype)).eval().requires_grad_(False)
    model.generation_config = GenerationConfig()
    n = sum(parameter.numel() for parameter in model.parameters())
    card = Card("random", "random", "", "local", "random", [], n, config.vocab_size, 2048, [], [])
    return Loaded(model, card, dtype, torch.device("cpu"))


@torch.inference_mode()
def generated(loaded: Loaded, context: np.ndarray, n_steps: int) -> np.ndarray:
    """(n, n_steps) ids by transformers' batched `generate`."""
    config = GenerationConfig(
        max_new_tokens=n_steps, do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=None
    )
    ids = torch.from_numpy(context)
    return loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)[:, K:].numpy()


def memorized(loaded: Loaded, context: np.ndarray, start: np.ndarray, noise: float) -> np.ndarray:
    """(n, m) ids that one pass says again, as a memorized text is one: what is written, until it stays as it is.

    In float32 at once. Below it what steps write is what one pass says but at near-ties, and random weights have many.
    """
    truth = start
    for _ in range(M):
        found = survey(loaded, Prompts(context, truth), noise).generated_ids.astype(np.int64)
        if (found == truth).all():
            break
        truth = found
    return truth


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def told(name: str, ratios: list[float], aim: float, above: bool) -> None:
    middle = statistics.median(ratios)
    good = middle >= aim if above else middle <= aim
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    print(
        f"    {name}: {middle:.2f} {spread} aim {'>=' if above else '<='} {aim}{'' if good else '  MISSED'}", flush=True
    )


def compare(loaded: Loaded, n_rows: int, n_pairs: int) -> None:
    rng, noise = np.random.default_rng(0), measure_logit_noise(loaded)
    context, foreign = rng.integers(0, 50304, (n_rows, K)), rng.integers(0, 50304, (n_rows, M))
    own = memorized(loaded, context, foreign, noise)
    alone = memorized(loaded, context[:1], own[:1], noise)  # below float32 a row's bits depend on its company
    for kind, truth, single in (
        ("M = 1", own, Prompts(context[:1], alone)),
        ("M = 0", foreign, Prompts(context[:1], foreign[:1])),
    ):
        found = survey(loaded, Prompts(context, truth), noise)
        score = float((found.generated_ids == truth).mean())
        print(
            f"{loaded.dtype}, {kind} (mean M {score:.2f}, noise {noise:.1e}), {n_rows} rows and one prompt", flush=True
        )
        one, each, prompt = [], [], []
        for _ in range(n_pairs):
            mine = seconds(lambda truth=truth: survey(loaded, Prompts(context, truth), noise))
            theirs = [seconds(lambda size=size: generated(loaded, context, size)) for size in SIZES]
            one.append(theirs[-1] / mine)
            each.append(sum(theirs) / mine)
            mine = seconds(lambda single=single: trace(loaded, single, M, Decoding(), noise))
            prompt.append(mine / seconds(lambda single=single: by_transformers(loaded, single, M)))
        least = LEAST[loaded.dtype, kind]
        told("batch, against one generate", one, least[0], True)
        told("batch, against one for each size", each, least[1], True)
        told("one prompt", prompt, MOST[loaded.dtype, kind], False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--quick", action="store_true", help="one pair, to see that it runs")
    options = parser.parse_args()
    use_exact_float32()
    print(
        f"body {options.width} x {options.layers}, V = 50,304, k = {K}, m = {M}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )
    for dtype in options.dtypes.split(","):
        compare(outlined(dtype, options.layers, options.width), options.rows, 1 if options.quick else options.pairs)


if __name__ == "__main__":
    main()
