"""How alike the generated and the true continuation are where position by position is too strict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from memviz.measures.registry import measure, true_ids
from memviz.records import Trace

IPPOLITO = "Ippolito et al. 2023, arXiv 2210.17546"

APPROXIMATE = 0.75
"""A continuation whose BLEU is above this is approximately memorized (Ippolito et al. 2023)."""


def bleu_of(generated: Sequence[int], true: Sequence[int], order: int = 4) -> float:
    """BLEU-4 of one sequence of token ids against one reference, 0 to 1, without smoothing (Papineni et al. 2002).

    Geometric mean of the clipped n-gram precisions, n = 1..order, times the brevity penalty. NaN below `order` tokens.
    """
    if min(len(generated), len(true)) < order:
        return float("nan")
    logs = 0.0
    for size in range(1, order + 1):
        ours, theirs = (
            Counter(tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)) for ids in (generated, true)
        )
        clipped = (ours & theirs).total()
        if not clipped:
            return 0.0
        logs += np.log(clipped / ours.total())
    brevity = min(0.0, 1 - len(true) / len(generated))
    return float(np.exp(logs / order + brevity))


def _pairs(trace: Trace) -> list[tuple[list[int], list[int]]]:
    return list(zip(trace.generated_ids.tolist(), true_ids(trace).tolist(), strict=True))


@measure("edit_similarity", label="Edit similarity", unit="share", source="Levenshtein 1966; rapidfuzz")
def edit_similarity(trace: Trace) -> np.ndarray:
    """1 minus the Levenshtein distance between generated and true token ids, divided by m; 0 to 1.

    Insertions, deletions and replacements cost 1 each, so text reproduced with a shift still counts.
    """
    return np.array([Levenshtein.normalized_similarity(x, y) for x, y in _pairs(trace)], dtype=np.float64)


@measure("bleu", label="BLEU", unit="share", source=IPPOLITO)
def bleu(trace: Trace) -> np.ndarray:
    """BLEU-4 of the generated against the true token ids, 0 to 1, without smoothing; undefined below four tokens."""
    return np.array([bleu_of(x, y) for x, y in _pairs(trace)], dtype=np.float64)


@measure("approximately_memorized", label="Approximately memorized", unit="yes/no", source=IPPOLITO)
def approximately_memorized(trace: Trace) -> np.ndarray:
    """Whether the BLEU of generated against true tokens is above 0.75; undefined below four tokens."""
    value = bleu(trace)
    return np.where(np.isnan(value), np.nan, value > APPROXIMATE)
