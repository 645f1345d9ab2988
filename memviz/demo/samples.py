"""The suite's training rows to choose prompts from: by domain, exposures, score and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.measures.score import LEVELS, level_of
from memviz.measures.templates import memorization_class, template_of
from memviz.tokenizer import Tokenizer

SIZES = (16, 32, 48, 64, 96)
"""Continuation sizes m that were scored."""
TEXT_START = 160
"""Characters of a row's text shown in a list."""
SHOWN = 200
"""Rows listed at most."""
SHAPES: dict[str, Callable[[np.ndarray], Any]] = {
    "only the largest": lambda scores: (scores[-1] == 1) & (scores[:-1] < 0.5).all(axis=0),
    "all": lambda scores: (scores >= 0.5).all(axis=0),
    "lost again": lambda scores: (np.maximum.accumulate(scores) - scores >= 0.5).any(axis=0),
    "half": lambda scores: (scores[-1] >= 0.4) & (scores[-1] <= 0.6),
}
"""How M (sizes, rows), sizes ascending, makes a row worth comparing: which rows (rows,) are so."""


@dataclass(frozen=True)
class Wish:
    """What a row should be like; an empty field wishes nothing."""

    domains: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    """Of `Samples.exposure_labels`."""
    levels: tuple[str, ...] = ()
    """Of `LEVELS`, under `model` at continuation size `m`; rows without a score are then left out."""
    model: str = ""
    m: int = 32
    classes: tuple[str, ...] = ()
    """Of `CLASSES`: what memorizing the row would be."""
    text: str = ""
    """Somewhere in the row, upper and lower case alike."""
    shape: str = ""
    """One of `SHAPES`: how M at m goes along `sizes`; rows without a score are then left out."""
    sizes: tuple[str, ...] = ()
    """Models, smallest first."""


class Samples:
    """The rows of the suite's corpus, with their texts and what each model was found to recite of them."""

    def __init__(self, folder: Path = SUITE_FOLDER) -> None:
        """Raises OSError where the suite is not there."""
        self.data = read_data(folder / "corpus")
        self.tokenizer = Tokenizer(folder / "corpus", [])
        self._classes: dict[int, str] = {}
        self._known: dict[str, int] = {}
        self.scores = pd.read_parquet(folder / "scores.parquet").query("condition == 'sliding'")

    @property
    def n_rows(self) -> int:
        return len(self.data.ids)

    @cached_property
    def texts(self) -> list[str]:
        """The text of each row; a character cut by the row's border is shown as a replacement character."""
        raw = [piece.raw for piece in self.tokenizer.pieces(range(self.tokenizer.n_ids))]
        return [b"".join([raw[i] for i in row]).decode("utf-8", "replace") for row in self.data.ids.tolist()]

    @cached_property
    def _folded(self) -> list[str]:
        return [text.casefold() for text in self.texts]

    @cached_property
    def titles(self) -> np.ndarray:
        """(n_rows,) titles of the documents the rows are from."""
        return self.data.documents["title"].to_numpy()[self.data.document]

    @cached_property
    def exposures(self) -> np.ndarray:
        """(n_rows,) how often each row is in the stream, in words: "held out", "1", ..., "1 (background)"."""
        plain = np.where(self.data.bucket == 0, "held out", self.data.bucket.astype(str))
        return np.where(self.data.background, "1 (background)", plain)

    @cached_property
    def token_counts(self) -> np.ndarray:
        """(V,) how often each token is in the stream the suite was trained on, every exposure counted."""
        times = np.repeat(self.data.bucket, self.data.ids.shape[1])
        return np.bincount(self.data.ids.ravel(), times, self.tokenizer.n_ids)

    @cached_property
    def exposure_labels(self) -> list[str]:
        """The different `exposures`, fewest first."""
        order = np.lexsort((self.data.background, self.data.bucket))
        return list(dict.fromkeys(self.exposures[order].tolist()))

    @cached_property
    def domains(self) -> list[str]:
        return sorted(set(self.data.domain.tolist()))

    @cached_property
    def models(self) -> list[str]:
        """Models whose scores are known."""
        return self.scores["model"].unique().tolist()

    def matches(self, model: str, m: int) -> np.ndarray:
        """(n_rows,) float: matches among the m tokens after the first 32, NaN where a row was not scored."""
        found = np.full(self.n_rows, np.nan)
        mine = self.scores[self.scores["model"] == model]
        found[mine["row"].to_numpy()] = mine[f"n_matches_{m}"].to_numpy(float)
        return found

    def scores_along(self, wish: Wish) -> np.ndarray:
        """(sizes, n_rows) M of each of the wish's sizes at its m, NaN where a row was not scored."""
        return np.stack([self.matches(model, wish.m) for model in wish.sizes]) / wish.m

    def find(self, wish: Wish) -> np.ndarray:
        """(r,) numbers of the rows that are as wished, ascending."""
        fits = np.ones(self.n_rows, bool)
        if wish.domains:
            fits &= np.isin(self.data.domain, wish.domains)
        if wish.exposures:
            fits &= np.isin(self.exposures, wish.exposures)
        if wish.levels:
            matches = self.matches(wish.model, wish.m)
            known = ~np.isnan(matches)
            fits &= known
            levels = np.array(LEVELS)[level_of(np.where(known, matches, 0).astype(int), wish.m)]
            fits &= np.isin(levels, wish.levels)
        if wish.shape and wish.sizes:
            scores = self.scores_along(wish)
            fits &= ~np.isnan(scores).any(axis=0) & SHAPES[wish.shape](scores)
        rows = np.flatnonzero(fits)
        if wish.classes:
            rows = rows[[self.class_of(row) in wish.classes for row in rows.tolist()]]
        if wish.text:
            sought = wish.text.casefold()
            rows = rows[[sought in self._folded[row] for row in rows.tolist()]]
        return rows

    def listed(self, rows: np.ndarray, wish: Wish, limit: int = SHOWN) -> pd.DataFrame:
        """One line a row, of at most `limit` rows drawn at random, the same at every call, in their order.

        score is the share of matches of the wish's model at its m, missing where the row was not scored; sizes lists
        it for each of the wish's sizes, where it has some, and is None where one of them was not asked.
        """
        if len(rows) > limit:
            rows = np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
        along = self.scores_along(wish)[:, rows].T if wish.sizes else None
        sizes = [] if along is None else [None if np.isnan(each).any() else each.tolist() for each in along]
        return pd.DataFrame(
            {
                "row": rows,
                **({"sizes": sizes} if wish.sizes else {}),
                "domain": self.data.domain[rows],
                "document": self.titles[rows],
                "exposures": self.exposures[rows],
                "class": [self.class_of(row) for row in rows.tolist()],
                "score": self.matches(wish.model, wish.m)[rows] / wish.m,
                "text": [" ".join(self.texts[row][:TEXT_START].split()) for row in rows.tolist()],
            }
        )

    def class_of(self, row: int) -> str:
        """Of `CLASSES`. Raises IndexError."""
        if row not in self._classes:
            is_template = template_of(self.data.ids[row], self.texts[row]) != "none"
            self._classes[row] = memorization_class(int(self.data.bucket[row]), is_template) or ""
        return self._classes[row]

    def row_of(self, ids: Sequence[int]) -> int | None:
        """The row that starts with these ids, or None."""
        if not 0 < len(ids) <= self.data.ids.shape[1]:
            return None
        found = np.flatnonzero((self.data.ids[:, : len(ids)] == np.asarray(ids)).all(axis=1))
        return int(found[0]) if len(found) else None

    def row_of_text(self, text: str) -> int | None:
        """The row whose text starts with this text, or None."""
        return next((row for row, whole in enumerate(self.texts) if text and whole.startswith(text)), None)

    def known_row(self, model: str) -> int:
        """A row this model recites best: most matches of 32, most readable (letters and spaces), lowest number.

        Only rows of the largest bucket; the first row where the model has no scores.
        """
        if model not in self._known:  # every run of a page asks, and it takes a tenth of a second
            self._known[model] = self._best_known(model)
        return self._known[model]

    def _best_known(self, model: str) -> int:
        matches = np.where(self.data.bucket == self.data.bucket.max(), self.matches(model, 32), np.nan)
        if np.isnan(matches).all():
            return 0
        best = np.flatnonzero(matches == np.nanmax(matches)).tolist()
        texts = self._decoded(best)
        readable = [sum(c.isalpha() or c == " " for c in text) / len(text) for text in texts]
        return int(best[int(np.argmax(readable))])

    def _decoded(self, rows: Sequence[int]) -> list[str]:
        return [self.tokenizer.to_bytes(self.data.ids[row]).decode("utf-8", "replace") or " " for row in rows]


def suite_samples() -> Samples | None:
    """The suite's rows, None where the suite is not there."""
    try:
        return Samples()
    except OSError:
        return None
