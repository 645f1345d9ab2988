"""Rows that can be written without being remembered, and what kind of memorization a row would be.

After Prashanth et al. 2024 (arXiv 2406.17746): recitation of highly duplicated rows, reconstruction of templates (rows
that repeat or count on), recollection of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

PRASHANTH = "Prashanth et al. 2024, arXiv 2406.17746"
CLASSES = ("recite", "reconstruct", "recollect")
TEMPLATES = ("repeating", "incrementing", "none")
MANY_DUPLICATES = 5
"""Rows with more copies than this in the training data are recited."""
_TRIMMED = 2
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LEAST_NUMBERS, _LEAST_DIGITS, _MOST_LANES = 6, 0.05, 4


def repeating(ids: np.ndarray) -> np.ndarray:
    """(n,) bool from (n, length) token ids: at least two copies of a chunk, the last perhaps cut, end the row.

    They may start anywhere in its first half, and up to two tokens may follow them.
    """
    n, length = ids.shape
    found, columns = np.zeros(n, bool), np.ascontiguousarray(ids.T)
    for period in range(1, length // 2 + 1):
        for n_trimmed in range(_TRIMMED + 1):
            end = length - n_trimmed
            start = min(length // 2 - 1, end - 2 * period)
            if start < 0:
                continue
            maybe = np.flatnonzero((columns[end - 1] == columns[end - 1 - period]) & ~found)  # few rows, and cheap
            if len(maybe):
                rows = ids[maybe]
                found[maybe] = (rows[:, start + period : end] == rows[:, start : end - period]).all(axis=1)
    return found


def incrementing(text: str) -> bool:
    """Whether the numbers of a text count on: interleaved in 1 to 4 lanes, each keeps still, only rises or only falls.

    At least 6 numbers, 5 % digits, and one lane that does not keep still. The publication's own rule also takes
    counters that start anew in every section; it is longer and was tuned to 0.67 precision and 0.63 recall.
    """
    found = _NUMBER.findall(text)
    if len(found) < _LEAST_NUMBERS or sum(map(str.isdigit, text)) < _LEAST_DIGITS * len(text):
        return False
    numbers = np.array([float(each) for each in found])
    for n_lanes in range(1, min(_MOST_LANES, len(numbers) // 3) + 1):
        steps = [np.sign(np.diff(numbers[lane::n_lanes])) for lane in range(n_lanes)]
        if all((step == step[0]).all() for step in steps) and any(step[0] for step in steps):
            return True
    return False


def templates_of(ids: Sequence[np.ndarray], text_of: Callable[[np.ndarray], str]) -> list[str]:
    """Of `TEMPLATES`, for each row of (length,) token ids; `text_of` gives what ids stand for."""
    found = np.full(len(ids), "none", dtype=object)
    lengths = np.array([len(row) for row in ids])
    for length in np.unique(lengths[lengths > 1]):
        same = np.flatnonzero(lengths == length)
        found[same[repeating(np.stack([ids[row] for row in same.tolist()]))]] = "repeating"
    for row in np.flatnonzero(found == "none").tolist():
        if incrementing(text_of(ids[row])):
            found[row] = "incrementing"
    return found.tolist()


def template_of(ids: np.ndarray, text: str) -> str:
    """Of `TEMPLATES`, for (length,) token ids and the text they stand for."""
    return templates_of([ids], lambda row: text)[0]


def memorization_class(n_duplicates: int | None, is_template: bool) -> str | None:
    """Of `CLASSES`; None where the number of copies in the training data is unknown, for they decide first."""
    if n_duplicates is None:
        return None
    return CLASSES[0] if n_duplicates > MANY_DUPLICATES else CLASSES[1] if is_template else CLASSES[2]
