"""How alike the generated and the true continuation are where position by position is too strict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from memviz.measures.registry import measure, true_ids
from memviz.records import Trace

IPPOLITO = "Ippolito et al. 2023, arXiv 2210.17546"

APPROXIMATE = 0.75
"""A continuation whose BLEU is above this is approximately memorized (Ippolito et al. 2023)."""
PAIRS_AT_ONCE = 2**22
"""Pairs of tokens that are compared together: a few bytes each."""


def bleus(generated: np.ndarray, true: np.ndarray, lengths: Sequence[int], order: int = 4) -> np.ndarray:
    """(n, l): BLEU-4 of the first m of (n, M) ids against as many true ones, 0 to 1, for l sizes m, without smoothing.

    Geometric mean of the clipped n-gram precisions, n = 1..order (Papineni et al. 2002); both are equally long, so none
    is too short. NaN where m is below `order`.
    """
    n_at_once = max(1, PAIRS_AT_ONCE // max(1, generated.shape[1]) ** 2)
    if len(generated) > n_at_once:
        parts = [slice(first, first + n_at_once) for first in range(0, len(generated), n_at_once)]
        return np.concatenate([bleus(generated[part], true[part], lengths, order) for part in parts])
    same = same_once = generated[:, :, None] == true[:, None, :]
    again = again_once = generated[:, :, None] == generated[:, None, :]
    logs = np.zeros((len(generated), len(lengths)))
    for size in range(1, order + 1):
        if size > 1:  # grams are equal where those without their last token are, and the last ones
            same = same[:, :-1, :-1] & same_once[:, size - 1 :, size - 1 :]
            again = again[:, :-1, :-1] & again_once[:, size - 1 :, size - 1 :]
        n_before = np.tril(again, -1).sum(axis=2)
        for place, m in enumerate(lengths):
            w = max(0, m - size + 1)
            counted = same[:, :w, :w].sum(axis=2) > n_before[:, :w]  # clipped: no oftener than the truth has it
            with np.errstate(divide="ignore", invalid="ignore"):
                logs[:, place] += np.log(counted.sum(axis=1) / w)
    return np.where(np.array(lengths) < order, np.nan, np.exp(logs / order))


def edit_distances(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n,) int, Levenshtein: fewest tokens to be put in, taken out or exchanged in each row of (n, m) ids."""
    pairs = zip(generated.tolist(), true.tolist(), strict=True)
    return np.array([Levenshtein.distance(x, y) for x, y in pairs], dtype=np.int64)


def common_runs(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n, m) int: the longest run of tokens that the first 1, 2, ..., m ids of both have, wherever it lies in each."""
    n, m = generated.shape
    ending, longest = np.zeros((n, m), np.int64), np.zeros((n, m), np.int64)
    for i in range(m):  # `ending`: of the run that ends at i of the one and at each index of the other
        before = np.concatenate([np.zeros((n, 1), np.int64), ending[:, :-1]], axis=1)[:, :m]
        ending = (before + 1) * (generated[:, i : i + 1] == true)
        longest[:, i:] = np.maximum(longest, np.maximum.accumulate(ending, axis=1))[:, i:]
    return longest


def alignment(generated: Sequence[int], true: Sequence[int]) -> list[tuple[int | None, int | None]]:
    """Positions of generated and true tokens that stand against each other in an alignment of fewest edits, in order.

    None in the first place: a true token was left out; in the second: a token was put in.
    """
    pairs: list[tuple[int | None, int | None]] = []
    for step in Levenshtein.opcodes(list(generated), list(true)):
        mine, theirs = range(step.src_start, step.src_end), range(step.dest_start, step.dest_end)
        if step.tag == "delete":
            pairs += [(i, None) for i in mine]
        elif step.tag == "insert":
            pairs += [(None, j) for j in theirs]
        else:
            pairs += zip(mine, theirs, strict=True)
    return pairs


@measure("edit_similarity", label="Edit similarity", unit="share", source="Levenshtein 1966; rapidfuzz")
def edit_similarity(trace: Trace) -> np.ndarray:
    """1 minus the Levenshtein distance between generated and true token ids, divided by m; 0 to 1.

    Insertions, deletions and replacements cost 1 each, so text reproduced with a shift still counts.
    """
    return 1 - edit_distances(trace.generated_ids, true_ids(trace)) / trace.n_continuation


@measure("longest_common_run", label="Longest common run", unit="tokens", source="memviz")
def longest_common_run(trace: Trace) -> np.ndarray:
    """Longest run of consecutive tokens that generated and true continuation have in common, 0 to m, wherever it lies
    in each: the longest common substring, in tokens. One token put in ends the longest common prefix, not this run.
    """
    return common_runs(trace.generated_ids, true_ids(trace))[:, -1]


@measure("bleu", label="BLEU", unit="share", source=IPPOLITO)
def bleu(trace: Trace) -> np.ndarray:
    """BLEU-4 of the generated against the true token ids, 0 to 1, without smoothing; undefined below four tokens."""
    return bleus(trace.generated_ids, true_ids(trace), [trace.n_continuation])[:, 0]


@measure("approximately_memorized", label="Approximately memorized", unit="yes/no", source=IPPOLITO)
def approximately_memorized(trace: Trace) -> np.ndarray:
    """Whether the BLEU of generated against true tokens is above 0.75; undefined below four tokens."""
    value = bleu(trace)
    return np.where(np.isnan(value), np.nan, value > APPROXIMATE)
