"""Membership scores from the likelihood of the true continuation: perplexity, zlib ratio, Min-K%, Min-K%++."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from memviz.measures.registry import measure, teacher_forced
from memviz.records import Trace

CARLINI = "Carlini et al. 2021, arXiv 2012.07805"
MIN_K_PERCENT = 20
"""Share of the positions, in percent, that Min-K% and Min-K%++ average."""


def mean_of_lowest(values: np.ndarray, percent: int = MIN_K_PERCENT) -> np.ndarray:
    """(n,): mean over the lowest `percent` of each row of (n, m), rounded down to whole positions, at least one."""
    if not 0 < percent <= 100:
        raise ValueError(f"percent: got {percent}, expected more than 0 and at most 100")
    n_lowest = max(1, values.shape[1] * percent // 100)
    return np.sort(values.astype(np.float64), axis=1)[:, :n_lowest].mean(axis=1)


def standardised(logprob: np.ndarray, entropy: np.ndarray, second_moment: np.ndarray) -> np.ndarray:
    """(n, m) z-scores: (log p - mu) / sigma, where mu and sigma are mean and standard deviation of log p under the
    model's own distribution: mu = -entropy, sigma^2 = second moment - mu^2.
    """
    mu, second_moment = -entropy.astype(np.float64), second_moment.astype(np.float64)
    # below float32's rounding sigma is unknown: a flat or a certain distribution, where log p is mu itself
    single = np.finfo(np.float32)
    variance = np.maximum(second_moment - mu**2, single.eps * second_moment + single.tiny)
    return (logprob - mu) / np.sqrt(variance)


def zlib_bytes(text: bytes) -> int:
    """Bytes of a text after zlib compression, level 6, header included."""
    return len(zlib.compress(text, 6))


@measure("perplexity", label="Perplexity", unit="ratio", source="Jelinek et al. 1977")
def perplexity(trace: Trace) -> np.ndarray:
    """exp of the mean negative log-probability of the true continuation's m tokens, teacher-forced; 1 or more."""
    return np.exp(-teacher_forced(trace).logprob.mean(axis=1, dtype=np.float64))


@measure("zlib_ratio", label="zlib ratio", unit="nats/bit", source=CARLINI, needs_texts=True)
def zlib_ratio(trace: Trace, texts: Sequence[bytes]) -> np.ndarray:
    """Log-perplexity of the true continuation (mean nats per token) divided by its zlib entropy: the bits of its UTF-8
    text after zlib compression (level 6, header included). Low means likelier than its compressibility explains.
    Compare only texts of like length. The authors' code has the reverse, bytes divided by log-perplexity, where high
    means so; the code of Min-K%++ has log-probability divided by bytes: minus eight times what is given here.
    """
    bits = np.array([8 * zlib_bytes(text) for text in texts], dtype=np.float64)
    return np.log(perplexity(trace)) / bits


@measure("min_k", label="Min-20 %", unit="nats", source="Shi et al. 2024, arXiv 2310.16789")
def min_k(trace: Trace) -> np.ndarray:
    """Min-K%: mean log-probability of the least likely 20 % of the true tokens (at least one), teacher-forced.

    Nearer to 0 means likelier to have been in the training data.
    """
    return mean_of_lowest(teacher_forced(trace).logprob)


@measure("min_k_plus_plus", label="Min-20 %++", unit="z-score", source="Zhang et al. 2025, arXiv 2404.02936")
def min_k_plus_plus(trace: Trace) -> np.ndarray:
    """Min-K%++: as Min-K%, over log-probabilities standardised by mean and standard deviation of log p under the
    model's own distribution at the same position. Higher means likelier to have been in the training data.
    """
    scores = teacher_forced(trace)
    return mean_of_lowest(standardised(scores.logprob, scores.entropy, scores.second_moment))
