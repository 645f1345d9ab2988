"""What bench/gpu.py measures of one large model's speed, and of the server beside it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from trace import by_transformers  # bench/trace.py

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import GenerationConfig

from memviz.engine.fixed import Steps, leave_room
from memviz.engine.loading import Loaded
from memviz.engine.noise import measure_logit_noise
from memviz.engine.tracing import survey, trace
from memviz.records import Decoding, Prompts, Survey

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from playwright.sync_api import expect, sync_playwright
from support.chromium import find_chromium
from support.serving import start_server

K, M = 32, 64
VOCAB = 50_304


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def taken(device: torch.device, work: Callable[[], object], n: int = 1) -> float:
    """Seconds of one of n calls, the device waited for."""
    wait(device)
    start = time.perf_counter()
    for _ in range(n):
        work()
    wait(device)
    return (time.perf_counter() - start) / n


def copied(device: torch.device) -> float:
    """Bytes a second that a copy within the device reads and writes."""
    size = 2**31 if device.type == "cuda" else 2**27
    one = torch.empty(size, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)
    other.copy_(one)
    found = 2 * size / taken(device, lambda: other.copy_(one), 10)
    print(f"copy: {found / 1e9:,.0f} GB/s", flush=True)
    return found


def memorized(loaded: Loaded, context: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(n, m) ids that one pass says again, as in bench/engine.py."""
    truth = start
    for _ in range(M):
        found = survey(loaded, Prompts(context, truth), 0.0).generated_ids.astype(np.int64)
        if (found == truth).all():
            break
        truth = found
    return truth


@torch.inference_mode()
def generated(loaded: Loaded, context: np.ndarray, static: bool) -> np.ndarray:
    """(n, m) by transformers' `generate`, with a static cache and compiled where asked."""
    fixed = {"cache_implementation": "static"} if static else {}
    config = GenerationConfig(
        max_new_tokens=M, do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=None, **fixed
    )
    loaded.model.generation_config = GenerationConfig()
    ids = torch.from_numpy(context).to(loaded.device)
    return (
        loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)[:, K:].cpu().numpy()
    )


def speed(loaded: Loaded, bandwidth: float, n_rows: int, n_many: int, n_pairs: int) -> None:
    """Every part for one model; on a processor too, where nothing is captured."""
    device, rng = loaded.device, np.random.default_rng(0)
    n_bytes = sum(each.nbytes for each in loaded.model.parameters())
    noise = measure_logit_noise(loaded)
    print(f"{loaded.card.name}, {loaded.dtype}: {n_bytes / 1e9:.2f} GB of weights, noise {noise:.1e}", flush=True)
    context, foreign = rng.integers(0, VOCAB, (n_rows, K)), rng.integers(0, VOCAB, (n_rows, M))
    steps(loaded, bandwidth, n_bytes, context)
    own = memorized(loaded, context, foreign)
    alone = memorized(loaded, context[:1], own[:1])
    for name, truth in (("M = 1", alone), ("M = 0", foreign[:1])):
        one = Prompts(context[:1], truth)
        ours, theirs = [], []
        for _ in range(n_pairs + 1):
            ours.append(taken(device, lambda one=one: trace(loaded, one, M, Decoding(), noise)))
            theirs.append(taken(device, lambda one=one: by_transformers(loaded, one, M)))
        a, b = np.median(ours[1:]), np.median(theirs[1:])
        print(f"    trace, {name}: memviz {a:.3f} s, transformers {b:.3f} s, ratio {a / b:.2f}", flush=True)
    batches(loaded, context, {"M = 1": own, "M = 0": foreign}, noise, n_pairs)
    many = rng.integers(0, VOCAB, (n_many, K)), rng.integers(0, VOCAB, (n_many, M))
    found = survey(loaded, Prompts(*many), noise, steps="dynamic")
    for way in ways(device)[1:]:
        other = survey(loaded, Prompts(*many), noise, steps=way)
        print(f"    {way} against a cache that grows, {n_many} rows: {differing(found, other, noise)}", flush=True)
    other = survey(loaded, Prompts(*many), noise, reading="stepwise")
    print(f"    one pass against single steps, {n_many} rows: {differing(found, other, noise)}", flush=True)


def ways(device: torch.device) -> tuple[Steps, ...]:
    """How steps are decoded here; a processor is not asked to compile."""
    return ("dynamic", "fixed", "compiled") if device.type == "cuda" else ("dynamic", "fixed")


def asked(loaded: Loaded, rows: np.ndarray, truths: Mapping[int, np.ndarray], way: Steps, m: int) -> Survey:
    return survey(loaded, Prompts(rows, truths[m]), 0.0, steps=way)


@torch.inference_mode()
def steps(loaded: Loaded, bandwidth: float, n_bytes: int, context: np.ndarray) -> None:
    """Milliseconds a step by the difference of two lengths, and kernels a step by a profile of the difference."""
    device, rng = loaded.device, np.random.default_rng(1)
    few, least = context[:1], n_bytes / bandwidth
    for rows in (few, context):
        truths = {m: rng.integers(0, VOCAB, (len(rows), m)) for m in (M // 2, M)}
        for way in ways(device):
            leave_room(loaded)
            ask = partial(asked, loaded, rows, truths, way)
            first = taken(device, partial(ask, M))
            ask(M // 2)
            long, short = (min(taken(device, partial(ask, m)) for _ in range(3)) for m in (M, M // 2))
            step = (long - short) / (M // 2)
            share = "" if step <= 0 else f", {least / step:.0%} of the copy's bandwidth"
            print(
                f"    {len(rows)} rows, {way}: {1000 * step:.2f} ms a step{share}, {kernels(ask, device):.0f} kernels "
                f"a step; the first call took {first - long:.1f} s more",
                flush=True,
            )


def kernels(ask: Callable[[int], Survey], device: torch.device) -> float:
    """Launched a step: on CUDA kernels and graphs as the runtime counts them, elsewhere operations."""
    counts = []
    for m in (M // 2, M):
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
        with profile(activities=activities) as seen:
            ask(m)
        launches = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
        events = seen.key_averages()
        counts.append(sum(e.count for e in events if e.key in launches or device.type == "cpu"))
    return (counts[1] - counts[0]) / (M // 2)


def batches(loaded: Loaded, context: np.ndarray, truths: dict[str, np.ndarray], noise: float, n_pairs: int) -> None:
    device, n = loaded.device, len(context)
    plain = min(taken(device, lambda: generated(loaded, context, False)) for _ in range(n_pairs))
    line = f"    {n} rows by generate: plain {n / plain:.1f} sequences/s"
    try:
        first = taken(device, lambda: generated(loaded, context, True))
        static = min(taken(device, lambda: generated(loaded, context, True)) for _ in range(n_pairs))
        line += f", static and compiled {n / static:.1f}, compiled in {first - static:.1f} s"
    except Exception as error:
        line += f", static and compiled failed: {str(error).splitlines()[0][:100]}"
    print(line, flush=True)
    for name, truth in truths.items():
        for way in ways(device)[-2:]:
            ask = partial(asked, loaded, context, {M: truth}, way, M)
            first = taken(device, ask)
            best = min(taken(device, ask) for _ in range(n_pairs))
            print(
                f"    {n} rows, {name}, {way}: {n / best:.1f} sequences/s with all scores, {plain / best:.2f} times "
                f"generate; the first call took {first - best:.1f} s more",
                flush=True,
            )


def differing(one: Survey, other: Survey, noise: float) -> str:
    """Rows that differ in a token, how many of them at a fragile position first."""
    differs = one.generated_ids != other.generated_ids
    rows = np.flatnonzero(differs.any(axis=1))
    fragile = one.free_running_margin[rows, differs[rows].argmax(axis=1)] <= 2 * noise
    return f"{len(rows)} rows differ in a token, {int(fragile.sum())} of them first at a fragile one"


def served() -> None:
    """A visitor's session on the machine's own device: presses Run on the Trace page; what is shown on the way."""
    with tempfile.TemporaryDirectory() as cache:
        log, start = Path(cache, "server.log"), time.perf_counter()
        with start_server(env={"MEMVIZ_CACHE": cache}, log=log) as server, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=find_chromium())
            page = browser.new_page()
            page.goto(f"{server.url}/trace")
            page.get_by_role("button", name="Run", exact=True).click(timeout=60_000)
            shown: list[str] = []
            option = page.locator("[role=option][aria-label^=index]").first
            while not option.is_visible() and time.perf_counter() - start < 110:
                bar = page.get_by_test_id("stProgress")
                text = bar.first.inner_text() if bar.count() else ""
                if text and text not in shown[-1:]:
                    shown.append(text)
                page.wait_for_timeout(100)
            expect(option).to_be_visible(timeout=10_000)
            side = page.get_by_test_id("stSidebar").inner_text().splitlines()
            print(f"server: a trace was drawn {time.perf_counter() - start:.1f} s after its start", flush=True)
            print(f"    progress said: {' | '.join(shown) or 'nothing, it was that quick'}")
            print(f"    the sidebar's foot: {' | '.join(side[-3:])}")
            browser.close()
