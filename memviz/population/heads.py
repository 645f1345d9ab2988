"""Which heads recitation hangs on, over rows of a sweep: memorized ones and ones of which nothing is recited."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.measures.heads import Overlap, RowHeads, strongest
from memviz.sweeps.results import Sweep
from memviz.sweeps.states import texts_of, with_leading
from memviz.tasks.row_heads import RowHeadsTask

CLASSES = {"memorized": "M = 1", "unmemorized": "M = 0"}


def row_heads_of(
    sweep: Sweep, model: str, card: Card, n_rows: int = 40, k: int = 32, m: int = 32, seed: int = 0
) -> RowHeadsTask:
    """At most n rows with M = 1 and n with M = 0, one of each group of near-duplicates, drawn at random.

    Raises InputError where the sweep has fewer than two of either.
    """
    texts = texts_of(sweep, model, k, m)
    groups = sweep.read("rows", ["row", "group"]).set_index("row")["group"].loc[texts.rows].to_numpy()
    n_matches, rng = texts.match.sum(axis=1), np.random.default_rng(seed)
    chosen = []
    for name, wanted in (("M = 1", m), ("M = 0", 0)):
        places = rng.permutation(np.flatnonzero(n_matches == wanted))
        _, first = np.unique(groups[places], return_index=True)
        places = places[np.sort(first)][:n_rows]
        if len(places) < 2:
            raise InputError(
                f"{len(places)} rows of this sweep, near-duplicates counted once, have {name} under {model}: 2 of each "
                "are needed, so choose another model"
            )
        chosen.append(np.sort(places))
    places = np.concatenate(chosen)
    return RowHeadsTask(
        model=model,
        rows=tuple(texts.rows[places].tolist()),
        n_matches=tuple(n_matches[places].tolist()),
        n_leading=len(card.leading_ids),
        m=m,
        ids=tuple(with_leading(card, texts.true_ids[places]).ravel().tolist()),
    )


def heads_table(found: RowHeads) -> pd.DataFrame:
    """One line a head, those that most memorized rows hang on first.

    Columns: layer, head, and for memorized and unmemorized rows the mean fall of log p(true) in nats a token
    (`*_drop`) and the share of rows that have the head among their strongest (`*_among`).
    """
    table, chosen = pd.DataFrame({"layer": found.layer, "head": found.number}), strongest(found.drop, found.n_strongest)
    for name, rows in zip(CLASSES, (found.memorized, ~found.memorized), strict=True):
        table[f"{name}_drop"] = found.drop[rows].mean(axis=0, dtype=np.float64)
        table[f"{name}_among"] = chosen[rows].mean(axis=0)
    return table.sort_values(["memorized_among", "memorized_drop"], ascending=False, kind="stable", ignore_index=True)


def told(overlap: Overlap) -> str:
    """One line on an overlap."""
    words = {
        "memorized": "two memorized rows share",
        "unmemorized": "two unmemorized rows share",
        "across": "one of each share",
        "apart": "rows of one class share more than one of each, by",
    }
    chance = f"[{overlap.low:.0%}, {overlap.high:.0%}], p = {overlap.p:.3f}"
    return f"{words[overlap.which]} {overlap.value:.0%} of their strongest heads (chance {chance})"
