"""Train one model of the suite on the stream, keeping its state so that a stopped run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from memviz.demo.recipe import SEQUENCE, Recipe, Size
from memviz.disk import new_file

STATE_EVERY = 100


def build(size: Size, n_vocabulary: int, seed: int) -> GPTNeoXForCausalLM:
    """A model with random weights, as Pythia's: rotary positions, parallel residual, untied embeddings."""
    config = GPTNeoXConfig(
        vocab_size=n_vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.n_layers,
        num_attention_heads=size.n_heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=SEQUENCE,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(seed)
    return GPTNeoXForCausalLM._from_config(config, attn_implementation="sdpa", dtype=torch.float32)


def checkpoint_steps(size: Size, n_steps: int) -> tuple[int, ...]:
    """The steps after which weights are kept, the last step included."""
    return (*(max(1, round(share * n_steps)) for share in size.checkpoints), n_steps)


def rate_at(step: int, n_steps: int, recipe: Recipe, size: Size) -> float:
    """Learning rate of a step (0-based): linear warm-up, constant, linear cooldown to nothing."""
    left = (n_steps - step) / max(1, round(recipe.cooldown * n_steps))
    return recipe.rate(size) * min(1.0, (step + 1) / recipe.warmup, left)


def loss_of(model: GPTNeoXForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Mean -log p of the tokens after the first, nats; ids (n, length)."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def _save(content: dict[str, Any], path: Path) -> None:
    with new_file(path) as new:
        torch.save(content, new)


def train(
    recipe: Recipe,
    size: Size,
    seed: int,
    sequences: np.ndarray,
    out: Path,
    device: torch.device,
    report: Callable[[int, int, float], None] = lambda step, n_steps, loss: None,
) -> None:
    """Train `size` over `sequences` (n, 256) in order and write out/step{n}.pt for each checkpoint.

    Goes on from out/state.pt where a run was stopped; the losses are in out/losses.json (step, nats).
    """
    out.mkdir(parents=True, exist_ok=True)
    n_steps = -(-len(sequences) // recipe.batch)
    kept = checkpoint_steps(size, n_steps)
    model = build(size, recipe.n_vocabulary, seed).to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=recipe.weight_decay, fused=True
    )
    first, losses = 0, []
    if (out / "state.pt").is_file():
        state = torch.load(out / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, losses = state["step"], state["losses"]
    for step in range(first, n_steps):
        rows = sequences[step * recipe.batch : (step + 1) * recipe.batch]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, n_steps, recipe, size)
        loss = loss_of(model, torch.from_numpy(rows.astype(np.int64)).to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        done = step + 1
        report(done, n_steps, losses[-1])
        if done in kept:
            weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
            _save(weights, out / f"step{done}.pt")
        if done % STATE_EVERY == 0 or done == n_steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done, "losses": losses}
            _save(state, out / "state.pt")
    (out / "losses.json").write_text(json.dumps([round(value, 4) for value in losses]))
