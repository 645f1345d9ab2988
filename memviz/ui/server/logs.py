"""A log that nobody can flood: so many lines at a time, and how many were left out."""

from __future__ import annotations

import logging
import time

MOST, SECONDS = 300, 10.0


class Bounded(logging.Filter):
    """Lets through at most `MOST` lines in `SECONDS`; the first one after that says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._n = -SECONDS, 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._start > SECONDS:
            left_out, self._start, self._n = self._n - MOST, now, 0
            if left_out > 0:
                record.msg, record.args = f"{left_out} lines were left out; {record.getMessage()}", ()
        self._n += 1
        return self._n <= MOST
