"""n-gram counts as tracks under the entropy curve of the linked component."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from memviz.figures.glyphs import visible
from memviz.figures.tracks import Series, Track
from memviz.records import Piece

LOWEST = 0.5
"""Where the logarithmic axis starts, so that a count of 0 and a count of 1 are told apart."""
LONGEST_SUFFIX = 200.0
N_SPELLED = 12
"""Tokens of a suffix spelled out at most; of a longer one the last."""


def count_domain(n_tokens: int) -> tuple[float, float]:
    """The axis of counts in a corpus of so many tokens: to the next power of ten, whatever the prompt."""
    return LOWEST, 10.0 ** max(1, math.ceil(math.log10(max(n_tokens, 1))))


def spelled(pieces: Sequence[Piece]) -> str:
    """Tokens as text that can be seen: a space is a dot."""
    return "".join(visible(pieces))


def ngram_tracks(
    counts: np.ndarray,
    suffix: np.ndarray,
    n: int,
    pieces: Sequence[Piece],
    index: str,
    n_tokens: int,
    kind: str,
    with_own: np.ndarray | None = None,
) -> list[Track]:
    """Two tracks of steps: the count of the n-gram that ends at each index, and the longest suffix found.

    counts (t,) with NaN where undefined, suffix (t,), pieces t; `index` is the index's name, n_tokens those of its
    stream, `kind` what is counted, in words; with_own (t,) counts in the stream, drawn faintly behind.
    """
    end = f"{kind} · {index}, exact"
    spellings = [spelled(pieces[j - n + 1 : j + 1]) if j + 1 >= n else "" for j in range(len(pieces))]
    counted = [
        None if math.isnan(count) else f"“{text}” · {count:,.0f} in {end}"
        for text, count in zip(spellings, counts.tolist(), strict=True)
    ]
    found = [_suffix(pieces[: j + 1], int(length), end) for j, length in enumerate(suffix)]
    series: list[Series] = [{"label": f"{n}-gram", "values": counts.tolist(), "style": "main"}]
    if with_own is not None:
        series.append({"label": "with own copies", "values": with_own.tolist(), "style": "faint"})
        counted = [
            text and f"{text} · {count:,.0f} with own copies"
            for text, count in zip(counted, with_own.tolist(), strict=True)
        ]
    return [
        {
            "id": "ngrams",
            "label": f"{n}-gram count, {kind}",
            "unit": "rows" if kind == "distinct rows" else "exposures",
            "kind": "steps",
            "scale": "log",
            "domain": count_domain(n_tokens),
            "series": series,
            "texts": counted,
        },
        {
            "id": "suffix",
            "label": f"longest suffix found, {kind}",
            "unit": "tokens",
            "kind": "steps",
            "scale": "log",
            "domain": (LOWEST, LONGEST_SUFFIX),
            "series": [{"label": "suffix", "values": suffix.tolist(), "style": "main"}],
            "texts": found,
        },
    ]


def _suffix(pieces: Sequence[Piece], length: int, end: str) -> str:
    if not length:
        return f"this token does not stand in {end}"
    shown = ("…" if length > N_SPELLED else "") + spelled(pieces[len(pieces) - min(length, N_SPELLED) :])
    return f"“{shown}” · {length} token{'' if length == 1 else 's'} in {end}"
