"""The whole trace of one prompt against transformers: `generate` with logits and hidden states, plus one scoring pass.

Both give the same quantities for context, truth and output: greedy tokens, logits, last hidden states, and the scores
of the truth. The ratio is ours to theirs, pair by pair in one process; below 1 is faster.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import GenerationConfig

from memviz.catalog import find_model
from memviz.engine.backend import Backend
from memviz.engine.loading import Loaded
from memviz.engine.preparing import prepare
from memviz.engine.tracing import trace
from memviz.passages import PASSAGES
from memviz.records import Decoding, Prompts
from memviz.settings import load_settings
from memviz.tasks.trace import tokenizer_of


@torch.inference_mode()
def by_transformers(loaded: Loaded, prompts: Prompts, n_steps: int) -> np.ndarray:
    """What a careful user writes: generated ids, their statistics, and the truth's log-probabilities."""
    context = torch.from_numpy(prompts.context_ids).to(loaded.device)
    config = GenerationConfig(
        max_new_tokens=n_steps,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        bos_token_id=None,
        output_logits=True,
        output_hidden_states=True,
        return_dict_in_generate=True,
    )
    output = loaded.model.generate(context, attention_mask=torch.ones_like(context), generation_config=config)
    logprobs = torch.stack(output.logits, dim=1).float().log_softmax(-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    states = torch.cat([step[-1] for step in output.hidden_states], dim=1)
    truth = torch.from_numpy(prompts.continuation_ids).to(loaded.device)
    scored = loaded.model(torch.cat([context, truth], dim=1), output_hidden_states=True)
    forced = scored.logits.float().log_softmax(-1)
    forced_entropy = -(forced.exp() * forced).sum(-1)
    for kept in (entropy, states, forced_entropy, scored.hidden_states[-1], logprobs.topk(64).values):
        kept.cpu()
    return output.sequences[:, context.shape[1] :].cpu().numpy()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--context", type=int, default=24)
    parser.add_argument("--continuation", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    settings = load_settings()
    card = prepare(find_model(options.model, settings), settings, print)
    backend = Backend(settings)
    loaded = backend.load(card, settings.dtype)
    generation_config, loaded.model.generation_config = loaded.model.generation_config, GenerationConfig()
    del generation_config
    ids = card.leading_ids + tokenizer_of(card, settings).encode(PASSAGES["U.S. Constitution, preamble (1787)"])
    k, m = options.context + len(card.leading_ids), options.continuation
    context, passage = np.array([ids[:k]]), np.array([ids[k : k + m]])
    own = by_transformers(loaded, Prompts(context, passage), m)
    print(f"{card.label}, {settings.dtype} on {backend.device}, {torch.get_num_threads()} threads, {k} + {m} tokens")
    for name, truth in (("a passage the model reproduces (its own output)", own), ("the preamble", passage)):
        prompts = Prompts(context, truth)
        result = trace(loaded, prompts, m, Decoding(), 0.0)
        assert (result.generated_ids == own).all(), "both ways write the same"
        ours, theirs = [], []
        for _ in range(options.pairs):
            ours.append(seconds(lambda prompts=prompts: trace(loaded, prompts, m, Decoding(), 0.0)))
            theirs.append(seconds(lambda prompts=prompts: by_transformers(loaded, prompts, m)))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        score = float((result.generated_ids == truth).mean())
        print(
            f"{name}, M = {score:.2f}: memviz {statistics.median(ours):.2f} s, transformers "
            f"{statistics.median(theirs):.2f} s, ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}, {options.pairs} pairs)"
        )


if __name__ == "__main__":
    main()
