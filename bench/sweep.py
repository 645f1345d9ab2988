"""Sequences a second for every continuation size of a sweep at once, against two ways of asking for each on its own.

(a) transformers' batched `generate` with its cache, once per size, as a careful user writes it; (b) the published
evaluation's way, the same without a cache. Both only generate; memviz also scores context, truth and output. Rows with
M = 1 at the largest size, rows with M = 0 at m = 32, and the mixture: a sample of all rows with a planned number of
exposures, held-out ones included. Pairs are run in turn in one process; the ratio is theirs to ours, above 1 is faster.
The bound counts tokens read: what the ratio would be if every token took the same time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig

from memviz.catalog import find_model, known_models
from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.engine.backend import Backend
from memviz.engine.loading import Loaded
from memviz.engine.preparing import prepare
from memviz.engine.tracing import survey
from memviz.records import Prompts
from memviz.settings import Settings, load_settings
from memviz.sweeps.running import BATCH
from memviz.sweeps.task import AT, CONTINUATIONS
from memviz.weights import read_json

K, LENGTHS = AT, CONTINUATIONS
M = max(LENGTHS)
LARGEST = 2_500_000


def middle_size(settings: Settings) -> str:
    """The largest finished model of the suite that has at most 2 million parameters, embedding and output aside."""
    found = []
    for model in known_models(settings):
        if model.family == "suite" and model.n_parameters and model.step == model.n_steps and model.seed == 0:
            folder = model.source.path  # type: ignore[union-attr]
            said = read_json(folder / "memviz.json")
            if said.get("non_embedding", model.n_parameters) <= 2_000_000 and model.n_parameters <= LARGEST:
                found.append((model.n_parameters, model.name))
    return max(found)[1]


def ours(loaded: Loaded, prompts: Prompts, batch: int) -> np.ndarray:
    """(n, m) generated ids by one decode that serves every size."""
    parts = []
    for start in range(0, len(prompts.context_ids), batch):
        part = slice(start, start + batch)
        parts.append(survey(loaded, Prompts(prompts.context_ids[part], prompts.continuation_ids[part]), 0.0))
    return np.concatenate([part.generated_ids for part in parts])


@torch.inference_mode()
def theirs(loaded: Loaded, prompts: Prompts, batch: int, use_cache: bool) -> np.ndarray:
    """(n, m) generated ids of the largest size, after every smaller size was generated too."""
    for length in LENGTHS:
        config = GenerationConfig(
            max_new_tokens=length,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            bos_token_id=None,
            use_cache=use_cache,
        )
        parts = []
        for start in range(0, len(prompts.context_ids), batch):
            context = torch.from_numpy(prompts.context_ids[start : start + batch]).to(loaded.device)
            mask = torch.ones_like(context)
            parts.append(loaded.model.generate(context, attention_mask=mask, generation_config=config)[:, K:].cpu())
    return torch.cat(parts).numpy()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bound(prefix: np.ndarray, use_cache: bool) -> float:
    """Tokens read by them for each token read by memviz, given the longest common prefixes (n,)."""
    decoded = np.where(prefix < M, M - 1 - prefix, 0)
    mine = float((K + M - 1 + decoded).mean())
    one = [K + length - 1 if use_cache else length * K + length * (length - 1) // 2 for length in LENGTHS]
    return sum(one) / mine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="of the bundled suite [the largest below 2 million parameters]")
    parser.add_argument("--corpus", type=Path, default=SUITE_FOLDER / "corpus")
    parser.add_argument("--rows", type=int, default=256, help="of each kind, against (a)")
    parser.add_argument("--rows-without-cache", type=int, default=64, help="of the mixture, against (b)")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    settings = load_settings()
    name = options.model or middle_size(settings)
    card = prepare(find_model(name, settings), settings, print)
    backend = Backend(settings)
    loaded = backend.load(card, "float32")
    loaded.model.generation_config = GenerationConfig()
    data = read_data(options.corpus)
    planned = np.random.default_rng(0).permutation(np.flatnonzero(~data.background))
    ids = data.ids[planned].astype(np.int64)[:, : K + M]
    prompts = Prompts(ids[:, :K], ids[:, K:])
    match = ours(loaded, prompts, options.batch) == prompts.continuation_ids
    prefix = match.cumprod(axis=1).sum(axis=1)
    print(
        f"{card.label}, {card.n_parameters:,} parameters, float32 on {backend.device}, {torch.get_num_threads()} "
        f"threads; k = {K}, m = {', '.join(map(str, LENGTHS))}; batches of {options.batch}, {options.pairs} pairs"
    )
    kinds = {
        "M = 1": np.flatnonzero(match.all(axis=1))[: options.rows],
        "M = 0": np.flatnonzero(~match[:, :32].any(axis=1))[: options.rows],
        "mixture": np.arange(min(options.rows, len(planned))),
    }
    for kind, rows in kinds.items():
        if not len(rows):
            print(f"{kind}: the model has no such rows")
            continue
        compare(kind, loaded, prompts, rows, prefix, options.batch, options.pairs, True)
    rows = kinds["mixture"][: options.rows_without_cache]
    compare("mixture", loaded, prompts, rows, prefix, options.batch, max(1, options.pairs // 2), False)
    mixture = match[kinds["mixture"]]
    print(
        f"the mixture is {len(mixture)} of {len(planned)} rows with 0 to {data.bucket.max()} planned exposures: "
        f"{mixture.all(axis=1).mean():.0%} M = 1 at m = {M}, {(~mixture[:, :32].any(axis=1)).mean():.0%} M = 0 at "
        f"m = 32; mean prefix {prefix[kinds['mixture']].mean():.0f}"
    )


def compare(
    kind: str,
    loaded: Loaded,
    prompts: Prompts,
    rows: np.ndarray,
    prefix: np.ndarray,
    batch: int,
    n_pairs: int,
    use_cache: bool,
) -> None:
    """Run pairs on some rows and print their ratio."""
    assert prompts.continuation_ids is not None
    chosen = Prompts(prompts.context_ids[rows], prompts.continuation_ids[rows])
    n_other = int((ours(loaded, chosen, batch) != theirs(loaded, chosen, batch, use_cache)).any(axis=1).sum())
    mine, other = [], []
    for _ in range(n_pairs):
        mine.append(seconds(lambda: ours(loaded, chosen, batch)))
        other.append(seconds(lambda: theirs(loaded, chosen, batch, use_cache)))
    ratios = [b / a for a, b in zip(mine, other, strict=True)]
    rates = [len(rows) / statistics.median(times) for times in (mine, other)]
    print(
        f"{kind} against ({'a' if use_cache else 'b'}), {len(rows)} rows: memviz {rates[0]:.1f}, transformers "
        f"{rates[1]:.1f} sequences/s, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"bound by tokens {bound(prefix[rows], use_cache):.2f}; {n_other} rows generated differently"
    )


if __name__ == "__main__":
    main()
