"""How much two right ways of computing differ: the measure of which margins can be trusted."""

from __future__ import annotations

import math

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.statistics import NOT_FINITE
from memviz.errors import Failure

N_ROWS, N_TOKENS = 2, 48
NOISE = 2
"""Raised when what is measured changes, so that it is measured anew."""


@torch.inference_mode()
def measure_logit_noise(loaded: Loaded) -> float:
    """Largest absolute difference of any logit between one pass and step by step, for this model, dtype and device.

    At least one step of the dtype at the largest logit: two ways that agree to the last bit, as they may in half
    precision on a GPU, still round to numbers that far apart. Read are 2 rows of 48 tokens: one of ids drawn at random
    (seeded), one that the model itself then writes. Raises Failure.
    """
    rng = np.random.default_rng(0)
    length = min(N_TOKENS, loaded.card.n_positions or N_TOKENS)
    drawn = torch.from_numpy(rng.integers(0, loaded.card.vocab_size, (N_ROWS, length))).to(loaded.device)
    reader, logits = Reader(loaded), []
    for position in range(length):
        logits.append(reader.read(drawn[:, position : position + 1])[:, -1])
        if position + 1 < length and position >= 8:
            drawn[1, position + 1] = logits[-1][1].argmax()
    whole = Reader(loaded).read(drawn)
    stepwise, whole = torch.stack(logits, dim=1).float(), whole.float()
    noise = float(torch.where(stepwise == whole, 0, stepwise - whole).abs().max())  # a logit may be minus infinity
    largest = float(torch.where(whole.isfinite(), whole, 0).abs().max())
    if not math.isfinite(noise):
        raise Failure(NOT_FINITE)
    return max(noise, torch.finfo(getattr(torch, loaded.dtype)).eps * 2.0 ** math.floor(math.log2(largest or 1)))
