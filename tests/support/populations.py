"""Populations whose hits are made by a known rule, to ask the boundary's null what it declares of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from memviz.population import Aligned

K, M = 2, 32
DECAY = np.concatenate([[0.285, 0.118, 0.058, 0.025], np.full(M - 4, 0.014)])
"""Hit rates by position of rows that the largest model of the bundled suite has not learnt (measures.md, rule 1)."""
RECITED = 0.3
"""Share of rows that are recited, at every position with probability .995."""
JUMP = 0.4
"""Of a planted rise or fall: the log2 frequency at index k of recited, or of other, rows moves by so much."""
WITHOUT, WITH = ("stationary", "decaying", "clustered"), ("fall", "rise")


def population(kind: str, n: int, seed: int) -> Aligned:
    """n trained rows, and n // 2 unlearnt ones as their `unseen`; frequencies are of one token, hits as `kind` says.

    stationary: hits depend on the token's frequency alone. decaying: on the position too. clustered: also on the row,
    whose tokens are frequent or rare together. fall, rise: decaying, with a jump at the boundary of rows that are not
    recited, or that are.
    """
    generator = np.random.default_rng([seed, (*WITHOUT, *WITH).index(kind)])
    trained = _rows(kind, n, generator, RECITED)
    return replace(trained, unseen=_rows(kind, n // 2, generator, 0.0))


def _rows(kind: str, n: int, generator: np.random.Generator, recited: float) -> Aligned:
    log2 = generator.normal(-9, 2, (n, K + M))
    ease = np.zeros((n, 1))
    if kind == "clustered":
        ease = generator.normal(0, 1, (n, 1))
        log2 = log2 * 0.9 + ease
    is_recited = generator.random(n) < recited
    rate = np.full(M, 0.03) if kind == "stationary" else DECAY
    chance = np.clip(rate * np.exp(0.35 * (log2[:, K:] + 9) + 0.5 * ease - 0.4), 0, 0.9)
    chance[is_recited] = 0.995
    match = generator.random((n, M)) < chance
    if kind == "fall":
        log2[~is_recited, K] -= JUMP
    if kind == "rise":
        log2[is_recited, K] += JUMP
    rows = np.arange(n)
    return Aligned("a", "sliding", K, M, rows, rows, match, {"frequency_1": 2.0**log2})


def declared(line: dict[str, float], sign: int) -> bool:
    """Whether a line of boundary differences would be declared a boundary, as `memviz.findings.claims.decide` does."""
    near = min(sign * line["above_low"], sign * line["above_high"])
    edge = line["null_high"] if sign > 0 else line["null_low"]
    return near > 0 and sign * (line["above"] - edge) > 0
