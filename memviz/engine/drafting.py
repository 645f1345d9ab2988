"""Guesses of what a model will write next; the decoder verifies each, so a guess may cost time but changes no token."""

from __future__ import annotations

from collections.abc import Sequence

FIRST_DRAFT, MAX_DRAFT = 4, 32
MAX_PAUSE = 16
_LONGEST_SUFFIX, _SHORTEST_SUFFIX = 4, 2


def _continuation_of(text: Sequence[int], suffix: Sequence[int], length: int) -> list[int]:
    """What follows the last occurrence of a suffix inside a text."""
    width = len(suffix)
    for start in range(len(text) - width - 1, -1, -1):
        if list(text[start : start + width]) == list(suffix):
            return list(text[start + width : start + width + length])
    return []


class Drafter:
    """Drafts from the truth where it fits again, then from what was already said (loops).

    A block of tokens takes about half as long again as one token on a CPU, so a guess that failed costs: drafts grow
    after each success, and after each failure in a row the drafter pauses twice as long.
    """

    def __init__(self, context_ids: Sequence[int], truths: Sequence[Sequence[int]]) -> None:
        self._context = list(context_ids)
        self._truths = [list(truth) for truth in truths]
        self._length = FIRST_DRAFT
        self._pause = 1
        self._n_waiting = 0

    def draft(self, generated_ids: Sequence[int], n_left: int) -> list[int]:
        """Guesses for the tokens after the generated ones, at most n_left, perhaps none."""
        length = min(self._length, n_left)
        if length < 1 or self._n_waiting:
            return []
        said = [*self._context, *generated_ids]
        t = len(generated_ids)
        for truth in self._truths:
            if t and t < len(truth) and truth[t - 1] == generated_ids[-1]:
                return truth[t : t + length]
        for width in range(_LONGEST_SUFFIX, _SHORTEST_SUFFIX - 1, -1):
            suffix = said[-width:]
            for text in (*self._truths, said):
                guess = _continuation_of(text, suffix, length)
                if guess:
                    return guess
        return []

    def pause(self) -> int:
        """Steps to take before the next draft."""
        n_waiting, self._n_waiting = self._n_waiting, 0
        return max(FIRST_DRAFT, n_waiting)

    def learn(self, n_drafted: int, n_accepted: int) -> None:
        """Draft longer after a full success; after a failure shorter, and not at once again."""
        if not n_drafted:
            return
        if n_accepted == n_drafted:
            self._length = min(MAX_DRAFT, 2 * self._length)
        elif n_accepted:
            self._length = max(FIRST_DRAFT, n_accepted)
        if n_accepted:
            self._pause = 1
        else:
            self._n_waiting = self._pause
            self._pause = min(MAX_PAUSE, 2 * self._pause)
            self._length = FIRST_DRAFT
