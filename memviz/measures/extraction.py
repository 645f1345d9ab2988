"""Probabilistic extraction: how likely sampling is to produce the true continuation, from one teacher-forced pass."""

from __future__ import annotations

import numpy as np

from memviz.measures.registry import measure, teacher_forced, true_ids
from memviz.records import Trace

HAYES = "Hayes et al. 2025, arXiv 2410.19482"

TOP_K = 40
"""Tokens that the truncated sampling scheme keeps at each position."""


def log_p_z(trace: Trace, top_k: int | None = None) -> np.ndarray:
    """(n,) nats: log-probability of sampling the whole true continuation at temperature 1.

    With `top_k`, only the k most likely tokens are kept and renormalised: -inf where a true token is not among them,
    NaN where the trace kept fewer than k alternatives. Raises ValueError without truth.
    """
    scores = teacher_forced(trace)
    logprob = scores.logprob.astype(np.float64)
    if top_k is not None:
        if scores.top_logprobs.shape[-1] < top_k:
            return np.full(len(logprob), np.nan)
        kept = scores.top_logprobs[..., :top_k].astype(np.float64)
        logprob = np.where(scores.rank <= top_k, logprob - np.logaddexp.reduce(kept, axis=-1), -np.inf)
    return np.minimum(logprob.sum(axis=1), 0.0)


def log10_queries(log_p: np.ndarray, p: float) -> np.ndarray:
    """log10 of n = max(1, ln(1 - p) / ln(1 - p_z)): samples for a chance p to see z at least once; inf where never.

    `log_p` is ln p_z in nats, any shape; safe where p_z underflows or is 1. Raises ValueError unless 0 < p < 1.
    """
    if not 0 < p < 1:
        raise ValueError(f"p: got {p}, expected a chance between 0 and 1, both excluded")
    log_p = np.asarray(log_p, dtype=np.float64)
    with np.errstate(divide="ignore"):
        # ln(1 - p_z), by the form that loses no digits on either side of one half
        log_not = np.where(log_p > -np.log(2), np.log(-np.expm1(log_p)), np.log1p(-np.exp(log_p)))
        # for tiny p_z, -ln(1 - p_z) = p_z to all digits, and p_z itself may underflow
        log_rate = np.where(log_p < -36, log_p, np.log(-log_not))
    return np.maximum(np.log10(-np.log1p(-p)) - log_rate / np.log(10), 0.0)


@measure("log_p_z", label="Log-probability of the truth", unit="nats", source=HAYES)
def log_p_z_full(trace: Trace) -> np.ndarray:
    """ln p_z: log-probability of sampling exactly the true continuation, temperature 1, whole vocabulary.

    The sum of the teacher-forced log-probabilities; 0 or less.
    """
    return log_p_z(trace)


@measure("log10_n_p50", label="Samples for p = 0.5", unit="log10", source=HAYES)
def log10_n_p50(trace: Trace) -> np.ndarray:
    """(n, p)-discoverable at p = 0.5: log10 of the samples needed for an even chance to see the true continuation at
    least once, n = max(1, ln(1-p) / ln(1-p_z)). Temperature 1, whole vocabulary.
    """
    return log10_queries(log_p_z(trace), 0.5)


@measure("log10_n_p90", label="Samples for p = 0.9", unit="log10", source=HAYES)
def log10_n_p90(trace: Trace) -> np.ndarray:
    """(n, p)-discoverable at p = 0.9: log10 of the samples needed for a 90 % chance to see the true continuation at
    least once, n = max(1, ln(1-p) / ln(1-p_z)). Temperature 1, whole vocabulary.
    """
    return log10_queries(log_p_z(trace), 0.9)


@measure("log10_n_p50_top40", label="Samples for p = 0.5, top-40", unit="log10", source=HAYES)
def log10_n_p50_top40(trace: Trace) -> np.ndarray:
    """(n, p)-discoverable at p = 0.5 when only the 40 most likely tokens are sampled, temperature 1: log10 of the
    samples needed. Never, where a true token is not among the 40; unknown where fewer alternatives were kept.
    """
    return log10_queries(log_p_z(trace, TOP_K), 0.5)


@measure("log10_n_p90_top40", label="Samples for p = 0.9, top-40", unit="log10", source=HAYES)
def log10_n_p90_top40(trace: Trace) -> np.ndarray:
    """(n, p)-discoverable at p = 0.9 when only the 40 most likely tokens are sampled, temperature 1: log10 of the
    samples needed. Never, where a true token is not among the 40; unknown where fewer alternatives were kept.
    """
    return log10_queries(log_p_z(trace, TOP_K), 0.9)


@measure("teacher_forced_accuracy", label="Teacher-forced accuracy", unit="share", source="memviz")
def teacher_forced_accuracy(trace: Trace) -> np.ndarray:
    """Share of positions at which the most likely token is the true one, the model reading the truth; 0 to 1."""
    return (teacher_forced(trace).argmax_ids == true_ids(trace)).mean(axis=1)
