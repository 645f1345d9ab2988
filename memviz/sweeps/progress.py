"""How far a stage of a sweep is, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN = 0.5


class Stage:
    """One stage that says how much of it is done and how long the rest takes, twice a second at most."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._start = self._last = time.monotonic()
        say(name)

    def at(self, part: float) -> None:
        """`part` of it is done, from 0 to 1."""
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN:
            return
        self._last = now
        left = f", {duration((now - self._start) * (1 - part) / part)} left" if part > 0 else ""
        self._say(f"{self._name}: {100 * part:.0f} %{left}")


def duration(seconds: float) -> str:
    """A time left in words, no finer than it is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
