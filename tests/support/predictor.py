"""Inputs whose labels follow a known rule, and a small preset that learns it in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from memviz.predictor.features import Inputs, Tokens, tokens_of
from memviz.predictor.network.fit import Trainer
from memviz.predictor.presets import PRESETS, Setting

K, M, D = 4, 8, 6
QUICK = replace(PRESETS["small"], n_heads=2, width=32, feed_forward=64, n_epochs=12, patience=12, dropout=0.0)


def random_inputs(n: int, seed: int = 0, n_statistics: int = 3) -> Inputs:
    """Rows of k + m tokens with nothing in them; index 0 has no statistics."""
    generator = np.random.default_rng(seed)
    statistics = generator.normal(size=(n, K + M, n_statistics)).astype(np.float32)
    statistics[:, 0] = np.nan
    return Inputs(K, generator.normal(size=(n, K + M, D)).astype(np.float16), statistics)


def planted(inputs: Inputs, setting: Setting) -> np.ndarray:
    """(n, m) labels that every setting can know, each from the last token that it may see at the position.

    published: the state after reading it. causal: the emitting state and the entropy. context: the state at k - 1
    and the entropy at k, with a sign that turns halfway.
    """
    assert inputs.hidden is not None
    hidden, entropy = inputs.hidden.astype(np.float32)[..., 0], inputs.statistics[..., 0]
    if setting == "published":
        return hidden[:, K:] > 0
    if setting == "causal":
        return hidden[:, K - 1 : -1] + entropy[:, K:] > 0
    turn = np.where(np.arange(M) < M // 2, 1, -1)
    return turn * (hidden[:, K - 1 : K] + entropy[:, K : K + 1]) > 0


def trainer_of(
    inputs: Inputs, match: np.ndarray, setting: Setting, n_train: int, preset=QUICK, seed: int = 0
) -> Trainer:
    """A trainer on the first rows, validated on the others."""
    tokens = tokens_of(inputs, setting, M)
    rows = np.arange(len(match))
    both: list[tuple[Tokens, np.ndarray]] = [
        (tokens.rows(part), match[part]) for part in (rows[:n_train], rows[n_train:])
    ]
    return Trainer(preset, setting, K, both[0], both[1], seed)
