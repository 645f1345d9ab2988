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


def checkpoint_steps(size: Size, n_steps: int, seed: int = 0) -> tuple[int, ...]:
    """The steps after which weights are kept, the last step included; of further seeds that one alone."""
    shares = () if seed else size.checkpoints
    return (*(max(1, round(share * n_steps)) for share in shares), n_steps)


def share_at(step: int, n_steps: int, recipe: Recipe) -> float:
    """Share of the peak rate at a step (0-based): linear warm-up, constant, linear cooldown to nothing."""
    left = (n_steps - step) / max(1, round(recipe.cooldown * n_steps))
    return min(1.0, (step + 1) / recipe.warmup, left)


def loss_of(model: GPTNeoXForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Mean -log p of the tokens after the first, nats; ids (n, length)."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised (Jordan et al., 2024), in float32: `torch.optim.Muon` iterates in bfloat16.

    Processors without it take 25 times as long there. For matrices only; lr, momentum (Nesterov's) per group.
    """

    def __init__(self, groups: list[dict[str, Any]], momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": 1.0, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for weights in group["params"]:
                mean = self.state[weights].setdefault("mean", torch.zeros_like(weights))
                mean.lerp_(weights.grad, 1 - group["momentum"])
                update = orthogonal(weights.grad.lerp(mean, group["momentum"]))
                weights.add_(update, alpha=-group["lr"] * max(1.0, len(weights) / weights.shape[1]) ** 0.5)


def orthogonal(matrix: torch.Tensor, n: int = 5) -> torch.Tensor:
    """(a, b) -> (a, b) with singular values near 1 (0.7 to 1.2), by n steps of Newton-Schulz; a zero matrix stays.

    Each step multiplies by a polynomial in the Gram matrix, so that the longer side is multiplied twice in all.
    """
    turned = matrix.T if len(matrix) > matrix.shape[1] else matrix
    scaled = turned / turned.norm().clamp(min=1e-7)
    gram = scaled @ scaled.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    factor = identity
    for step in range(n):
        polynomial = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        factor = polynomial @ factor
        if step < n - 1:
            gram = polynomial @ gram @ polynomial
    found = factor @ scaled
    return found if turned is matrix else found.T


def optimizers_of(model: GPTNeoXForCausalLM, recipe: Recipe, size: Size) -> list[torch.optim.Optimizer]:
    """What updates the model, each group with its `peak` rate: AdamW, and Muon for matrices of the recipe's choice."""
    inner, rest = list[torch.Tensor](), list[torch.Tensor]()
    for name, value in model.named_parameters():
        (inner if recipe.muon and "layers" in name and value.ndim == 2 else rest).append(value)
    groups = [{"params": rest, "peak": recipe.rate(size)}]
    adam = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), weight_decay=recipe.weight_decay, fused=True)
    return [adam, Muon([{"params": inner, "peak": recipe.muon}])] if inner else [adam]


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
    kept = checkpoint_steps(size, n_steps, seed)
    model = build(size, recipe.n_vocabulary, seed).to(device).train()
    optimizers = optimizers_of(model, recipe, size)
    first, losses = 0, []
    if (out / "state.pt").is_file():
        state = torch.load(out / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, kept_state in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept_state)
        first, losses = state["step"], state["losses"]
    for step in range(first, n_steps):
        rows = sequences[step * recipe.batch : (step + 1) * recipe.batch]
        share = share_at(step, n_steps, recipe)
        loss = loss_of(model, torch.from_numpy(rows.astype(np.int64)).to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        done = step + 1
        report(done, n_steps, losses[-1])
        if done in kept:
            weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
            _save(weights, out / f"step{done}.pt")
        if done % STATE_EVERY == 0 or done == n_steps:
            state = {"model": model.state_dict(), "step": done, "losses": losses}
            _save(state | {"optimizers": [each.state_dict() for each in optimizers]}, out / "state.pt")
    (out / "losses.json").write_text(json.dumps([round(value, 4) for value in losses]))
