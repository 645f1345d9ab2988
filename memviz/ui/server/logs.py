"""A log that nobody can flood: so many lines at a time, so many bytes an hour, and how many lines were left out."""

from __future__ import annotations

import logging
import time

MOST, SECONDS = 300, 10.0
"""Lines in so many seconds."""
MOST_BYTES, HOUR = 2_000_000, 3600.0
"""Bytes in an hour, tracebacks included; the line that goes beyond them is the last."""


class Bounded(logging.Filter):
    """Lets through so much at a time; the first line after that says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._n = -SECONDS, 0
        self._hour, self._n_bytes = -HOUR, 0
        self._left_out = 0
        self._format = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._start > SECONDS:
            self._start, self._n = now, 0
        if now - self._hour > HOUR:
            self._hour, self._n_bytes = now, 0
        if self._n >= MOST or self._n_bytes >= MOST_BYTES:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg, record.args = f"{self._left_out} lines were left out; {record.getMessage()}", ()
            self._left_out = 0
        self._n += 1
        self._n_bytes += len(self._format.format(record).encode("utf-8", "replace"))
        return True
