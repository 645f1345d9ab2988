"""Membership statistics as in the code of Min-K%++ (zjysteven/mink-plus-plus, run.py), plain BLEU and edit distance."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np


def membership(log_probs: np.ndarray, ids: Sequence[int], text: bytes, ratio: float = 0.2) -> dict[str, float]:
    """loss, zlib, mink and mink++ of one text, larger for training data, from (m, V) log-softmax and its m ids."""
    own = log_probs[np.arange(len(ids)), list(ids)]
    mu = (np.exp(log_probs) * log_probs).sum(-1)
    sigma = (np.exp(log_probs) * np.square(log_probs)).sum(-1) - np.square(mu)
    length = int(len(own) * ratio)
    return {
        "loss": float(own.mean()),
        "zlib": float(own.mean() / len(zlib.compress(text))),
        "mink": float(np.sort(own)[:length].mean()),
        "mink++": float(np.sort((own - mu) / np.sqrt(sigma))[:length].mean()),
    }


def levenshtein(x: Sequence[int], y: Sequence[int]) -> int:
    row = list(range(len(y) + 1))
    for i, a in enumerate(x, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(y, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def bleu(generated: Sequence[int], true: Sequence[int], order: int = 4) -> float:
    logs = 0.0
    for size in range(1, order + 1):
        ours, theirs = (Counter(zip(*(ids[i:] for i in range(size)), strict=False)) for ids in (generated, true))
        clipped = sum(min(count, theirs[gram]) for gram, count in ours.items())
        if not clipped:
            return 0.0
        logs += np.log(clipped / sum(ours.values()))
    return float(np.exp(logs / order))
