"""What a training corpus holds of one prompt: counts of its n-grams, and the rows its longest spans stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from memviz.corpus import Corpus, Kind, Span
from memviz.corpus.index import ORDERS
from memviz.measures.boundary import boundary_effect
from memviz.records import Trace

Tokens = Literal["true", "generated"]
KINDS: dict[Kind, str] = {"other": "other rows", "rows": "distinct rows", "stream": "stream"}
"""Kinds of count in words; the first is the default."""
SPAN_MIN = 8
"""Tokens of a span that counts as found; shorter ones stand in many texts by chance."""
SPAN_LISTED = 3
"""Tokens of the shortest span whose rows are listed."""
N_PARTS = 32
"""Parts of the steps that `when` draws."""
MOST_PLACES = 5000
"""Places of a span that are sorted; of a commoner one the first are listed."""
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Counts:
    """What an index says at each index j of a row of t tokens."""

    order: tuple[int, ...]
    ngrams: np.ndarray
    """(n_orders, t) int64 counts of the n-gram that ends at j, -1 where none does."""
    suffix: np.ndarray
    """(t,) int64 tokens of the longest n-gram ending at j that the corpus holds."""

    def of(self, n: int) -> np.ndarray:
        """(t,) float64 counts of one order, NaN where no n-gram of it ends."""
        values = self.ngrams[self.order.index(n)].astype(np.float64)
        return np.where(values < 0, np.nan, values)

    def boundary(self, n: int, k: int) -> float:
        """Count at index k minus count at index k-1; NaN where either is undefined."""
        values = self.of(n)[None]
        return float(boundary_effect(values[:, :k], values[:, k:])[0])


def row_of(trace: Trace, tokens: Tokens) -> np.ndarray:
    """(k + m,) int64 token ids: the context and the true or generated continuation. Raises ValueError without truth."""
    rest = trace.generated_ids if tokens == "generated" else trace.continuation_ids
    if rest is None:
        raise ValueError("this trace has no true continuation; ask for the generated tokens")
    return np.concatenate([trace.context_ids[0], rest[0]])


def own_rows(corpus: Corpus, trace: Trace) -> np.ndarray:
    """(r,) int64 rows that share 16 tokens in a row with the prompt: the context and, where known, the truth."""
    truth = trace.continuation_ids
    return corpus.own_rows(trace.context_ids[0] if truth is None else row_of(trace, "true"))


def counts_of(corpus: Corpus, ids: np.ndarray, kind: Kind, until_step: int | None, own: np.ndarray) -> Counts:
    """Counts of every order and the longest suffix. `own` are the rows left out where kind is "other"."""
    ngrams = corpus.counts(ids, ORDERS, kind, until_step, own)
    return Counts(ORDERS, ngrams, corpus.longest_suffix(ids, kind, until_step, own))


def is_foreign(corpus: Corpus, ids: np.ndarray, own: np.ndarray) -> bool:
    """Whether no row shares 16 tokens in a row with the prompt, and none holds `SPAN_MIN` of these ids."""
    return not len(own) and not corpus.spans(ids, SPAN_MIN)


def span_at(spans: Sequence[Span], j: int | None) -> Span | None:
    """The longest span through index j, the longest of all where j is None; the first of equally long ones."""
    through = [span for span in spans if j is None or span.start <= j < span.start + span.n_tokens]
    return max(through, key=lambda span: span.n_tokens, default=None)


def places(
    corpus: Corpus, ngram: np.ndarray, rows: np.ndarray, until_step: int | None, limit: int
) -> tuple[list[dict[str, Any]], int, int]:
    """Where an n-gram stands in some rows, one dict a place, most often seen first; the number of places, exposures.

    Keys: row, what the corpus says of it (domain and document, or source and line), position of the first token,
    seen (exposures that show it whole), steps (of each of these). Of a very common n-gram places are left out.
    """
    found = corpus.occurrences(ngram, MOST_PLACES, until_step).listed
    wanted = set(rows.tolist())
    kept = sorted((p for p in found if p.row in wanted), key=lambda place: -place.n_exposures)
    names = {"domain": "domain", "title": "document", "source": "source", "line": "line"}
    listed = [
        {
            "row": place.row,
            **{names[name]: value for name, value in corpus.about(place.row).items() if name in names},
            "position": place.position,
            "seen": place.n_exposures,
            "steps": place.steps,
        }
        for place in kept[:limit]
    ]
    return listed, len(kept), sum(place.n_exposures for place in kept)


def when(steps: np.ndarray, n_steps: int) -> str:
    """How many of these steps fall into each of `N_PARTS` equal parts of a training, drawn as a row of blocks."""
    counts = np.histogram(steps, np.linspace(0, n_steps, N_PARTS + 1))[0]
    heights = np.ceil(counts * (len(_BARS) - 1) / max(1, counts.max())).astype(int)
    return "".join(_BARS[height] for height in heights)
