"""A GPU against the processor in float32, its lower precisions, and what models of Pythia's sizes cost on it.

Ten minutes: bandwidth of a copy, and for each large shape milliseconds a step as a share of it (weights read once),
kernels a step, a trace and a batch against plain and statically compiled `generate`, seconds that compiling took, one
pass against single steps on 512 rows; then the server: a visitor's session presses Run, device and progress are shown.

    python bench/gpu.py --parts speed,server        [--shapes tiny: to see that it starts, also on a processor]

Agreement: rows of the suite's corpus asked of every finished size on both; tokens, and the largest differences of
everything a sweep keeps, up to each row's first differing token. Batch: the same rows one by one. Large models have the
shapes of Pythia (Biderman et al. 2023) and random weights, and as truth what they write themselves (M = 1) or random
ids; transformers is asked for the same tokens in the same run. Memory: what one row and many take beside what was
estimated, and batches halved where little is left.

    python bench/gpu.py [--rows 256] [--shapes 6.9b]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from trace import by_transformers  # bench/trace.py

import numpy as np
import torch
from gpu_speed import copied, served, speed  # bench/gpu_speed.py
from sweep import seconds
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from memviz.catalog import Card, find_model
from memviz.demo.suite import read_data
from memviz.engine.backend import Backend
from memviz.engine.devices import device_name
from memviz.engine.loading import Loaded, load_model
from memviz.engine.noise import measure_logit_noise
from memviz.engine.preparing import prepare
from memviz.engine.tracing import rows_that_fit, survey, trace
from memviz.records import Decoding, Prompts, Survey
from memviz.settings import load_settings
from memviz.weights import memory_needed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.tiny_models import plain_generate

K, M = 32, 64
SIZES = "suite-0.3m,suite-0.7m,suite-1.8m,suite-7.6m"
SHAPES = {
    "tiny": (2, 64, 4),
    "410m": (24, 1024, 16),
    "1.4b": (24, 2048, 16),
    "2.8b": (32, 2560, 32),
    "6.9b": (32, 4096, 32),
    "12b": (36, 5120, 40),
}
"""Layers, width and heads."""
WHOLE = ("logit_noise", "rows_at_once")
"""What a survey says of all its rows together."""


def difference(one: Survey, other: Survey) -> str:
    """Rows that differ in a token, how many of them at a fragile one, and the largest differences of numbers."""
    same = (one.generated_ids == other.generated_ids).cumprod(axis=1).astype(bool)
    before = np.concatenate([np.ones((len(same), 1), bool), same[:, :-1]], axis=1)  # of the same tokens so far
    rows = np.flatnonzero(~same.all(axis=1))
    at = same.sum(axis=1)[rows]
    noise = max(float(one.logit_noise), float(other.logit_noise))
    n_fragile = int((one.free_running_margin[rows, at] <= 2 * noise).sum())
    worst = {}
    for name in ("context_entropy", "context_logprob", "teacher_forced_entropy", "teacher_forced_logprob"):
        worst[name] = np.nanmax(np.abs(getattr(one, name) - getattr(other, name)))
    for name in ("free_running_entropy", "free_running_margin"):
        worst[name] = np.abs(getattr(one, name) - getattr(other, name))[before].max()
    n_ranks = int((one.teacher_forced_rank != other.teacher_forced_rank).sum())
    said = ", ".join(f"{name.replace('_', ' ')} {value:.1e}" for name, value in worst.items())
    return (
        f"{len(rows)} of {len(same)} rows differ in a token, {n_fragile} of them at a fragile one (noise {noise:.1e}); "
        f"{n_ranks} of {one.teacher_forced_rank.size} ranks differ; largest differences: {said}"
    )


def agreement(here: Backend, there: Backend, names: list[str], prompts: Prompts, n_alone: int) -> None:
    for name in names:
        card = prepare(find_model(name, here.settings), here.settings)
        own, other = here.load(card, "float32"), there.load(card, "float32")
        one = survey(own, prompts, here.logit_noise(own))
        print(f"{name}, float32: {difference(one, survey(other, prompts, there.logit_noise(other)))}", flush=True)
        few = Prompts(prompts.context_ids[:n_alone], prompts.continuation_ids[:n_alone])
        alone = [
            survey(own, Prompts(few.context_ids[i : i + 1], few.continuation_ids[i : i + 1]), float(one.logit_noise))
            for i in range(n_alone)
        ]
        single = Survey(
            **{
                each: getattr(one, each) if each in WHOLE else np.concatenate([getattr(a, each) for a in alone])
                for each in vars(one)
            }
        )
        batch = replace(one, **{each: getattr(one, each)[:n_alone] for each in vars(one) if each not in WHOLE})
        print(f"    one by one: {difference(batch, single)}")
        wrong = (
            (plain_generate(own, torch.from_numpy(prompts.context_ids), M).numpy() != one.generated_ids)
            .any(axis=1)
            .sum()
        )
        print(f"    transformers' generate on the same device: {wrong} rows differ in a token")
        score = (one.generated_ids == prompts.continuation_ids).mean(axis=1)
        for dtype in ("float16", "bfloat16"):
            half = here.load(card, dtype)
            found = survey(half, prompts, here.logit_noise(half))
            moved = (found.generated_ids == prompts.continuation_ids).mean(axis=1) - score
            print(
                f"    {dtype}: noise {float(found.logit_noise):.1e}, M differs in {(moved != 0).mean():.1%} of rows, "
                f"mean M {score.mean():.4f} and {(score + moved).mean():.4f}",
                flush=True,
            )


def outlined(shape: str, dtype: str, device: torch.device) -> Loaded:
    """A random model of one of Pythia's shapes, made where it is to run."""
    n_layers, width, n_heads = SHAPES[shape]
    config = GPTNeoXConfig(
        hidden_size=width,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        intermediate_size=4 * width,
        vocab_size=50304,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=getattr(torch, dtype))
    model = model.eval().requires_grad_(False)
    n = sum(parameter.numel() for parameter in model.parameters())
    card = Card(shape, shape, "", "local", shape, [], n, config.vocab_size, 2048, [], [])
    return Loaded(model, card, dtype, device)


def from_disk(loaded: Loaded) -> Loaded:
    """The same model written in float16 and read again as it was."""
    with tempfile.TemporaryDirectory() as place:
        loaded.model.half().save_pretrained(place)
        start = time.perf_counter()
        found = load_model(replace(loaded.card, folder=place), loaded.dtype, loaded.device)
    print(
        f"{found.card.name}: from disk in float16 to the device in {found.dtype}, {time.perf_counter() - start:.1f} s"
    )
    return found


def large(loaded: Loaded, n_rows: int, n_pairs: int) -> None:
    """One prompt and a batch, memorized and not, against transformers; and memory against what was estimated."""
    noise = measure_logit_noise(loaded)
    rng = np.random.default_rng(0)
    context = rng.integers(0, loaded.card.vocab_size, (n_rows, K))
    foreign = rng.integers(0, loaded.card.vocab_size, (n_rows, M))
    own = plain_generate(loaded, torch.from_numpy(context), M).numpy()
    print(f"{loaded.card.name}, {loaded.card.n_parameters:,} parameters, {loaded.dtype}, noise {noise:.1e}", flush=True)
    for name, truth in (("M = 1", own), ("M = 0", foreign)):
        one = Prompts(context[:1], truth[:1])
        ours, theirs = [], []
        for _ in range(n_pairs + 1):
            ours.append(seconds(lambda one=one: trace(loaded, one, M, Decoding(), noise)))
            theirs.append(seconds(lambda one=one: by_transformers(loaded, one, M)))
        a, b = np.median(ours[1:]), np.median(theirs[1:])
        print(f"    trace, {name}: memviz {a:.3f} s, transformers {b:.3f} s, ratio {a / b:.2f}", flush=True)
        many = Prompts(context, truth)
        found = survey(loaded, many, noise)
        n_other = int((found.generated_ids != own).any(axis=1).sum())
        ours = [seconds(lambda many=many: survey(loaded, many, noise)) for _ in range(n_pairs)]
        theirs = [seconds(lambda: plain_generate(loaded, torch.from_numpy(context), M)) for _ in range(n_pairs)]
        a, b = np.median(ours), np.median(theirs)
        print(
            f"    {n_rows} rows, {name}: memviz {n_rows / a:.0f} sequences/s with all scores, generate alone "
            f"{n_rows / b:.0f}, ratio {b / a:.2f}; {n_other} rows generated differently",
            flush=True,
        )
    if loaded.device.type == "cuda":
        memory(loaded, noise)


def memory(loaded: Loaded, noise: float) -> None:
    """Peak memory of one row and of many, beside what is estimated for them."""
    device = loaded.device
    rng = np.random.default_rng(1)

    def peak(n: int) -> float:
        prompts = Prompts(rng.integers(0, 50304, (n, K)), rng.integers(0, 50304, (n, M)))
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        survey(loaded, prompts, noise)
        return torch.cuda.max_memory_allocated(device) / 1e9

    weights = torch.cuda.memory_allocated(device) / 1e9
    needed = memory_needed(loaded.card.n_parameters, loaded.dtype) / 1e9
    single = peak(1)
    print(f"    memory: weights {weights:.2f} GB, one row at its peak {single:.2f}, {needed:.2f} were asked for")
    n, free = 256, torch.cuda.mem_get_info(device)[0]
    estimate = free // 2 / rows_that_fit(loaded, K + M, 0) / 1e6
    print(f"    {n} rows: {estimate:.1f} MB a row estimated, {(peak(n) - weights) / n * 1000:.1f} used", flush=True)


def halved(device: torch.device) -> None:
    """A card with little memory left, as another program may leave it: batches are halved and nothing changes."""
    loaded = outlined("410m", "float32", device)
    rng = np.random.default_rng(2)
    prompts = Prompts(rng.integers(0, 50304, (512, K)), rng.integers(0, 50304, (512, M)))
    whole = survey(loaded, prompts, 1e-4)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated(device) + 1.5e9) / total)
    try:
        found = survey(loaded, prompts, 1e-4)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    print(f"512 rows with 1.5 GB beside the weights: {difference(whole, found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256, help="of the corpus, for each size of the suite; 0: none")
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--alone", type=int, default=16, help="of them asked one by one too")
    parser.add_argument("--shapes", default="6.9b", help="comma-separated, or empty")
    parser.add_argument("--from-disk", default="1.4b", help="the shape that is written and read, in float32")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--parts", default="speed,server,agreement,large", help="comma-separated")
    parser.add_argument("--many", type=int, default=512, help="rows of one pass against single steps")
    options = parser.parse_args()
    settings, parts = load_settings(), options.parts.split(",")
    here = Backend(settings)
    print(f"{device_name(here.device)}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    if "speed" in parts:
        bandwidth = copied(here.device)
        for shape in filter(None, options.shapes.split(",")):
            speed(outlined(shape, "bfloat16", here.device), bandwidth, options.batch, options.many, options.pairs)
    if "server" in parts:
        served()
    if "agreement" not in parts:
        options.rows = 0
    if "large" not in parts:
        options.shapes = options.from_disk = ""
    if options.rows:
        data = read_data()
        planned = np.random.default_rng(0).permutation(np.flatnonzero(~data.background))[: options.rows]
        ids = data.ids[planned].astype(np.int64)[:, : K + M]
        there, prompts = Backend(load_settings(device="cpu")), Prompts(ids[:, :K], ids[:, K:])
        agreement(here, there, options.sizes.split(","), prompts, options.alone)
    for shape in filter(None, options.shapes.split(",")):
        for dtype in options.dtypes.split(","):
            large(outlined(shape, dtype, here.device), options.batch, options.pairs)
    if options.from_disk:
        large(from_disk(outlined(options.from_disk, "float32", here.device)), options.batch, options.pairs)
    if here.device.type == "cuda" and options.shapes:
        halved(here.device)


if __name__ == "__main__":
    main()
