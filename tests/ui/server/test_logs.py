"""A log that cannot be flooded."""

from __future__ import annotations

import logging

import pytest

from memviz.ui.server import logs


def test_lines_beyond_the_most_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    bounded, said = logs.Bounded(), list[str]()

    def write(n: int) -> None:
        for number in range(n):
            record = logging.LogRecord("x", logging.INFO, "", 1, "line %d", (number,), None)
            if bounded.filter(record):
                said.append(record.getMessage())

    write(logs.MOST + 7)
    assert len(said) == logs.MOST and said[-1] == f"line {logs.MOST - 1}"
    now[0] += logs.SECONDS + 1
    write(2)
    assert said[logs.MOST :] == ["7 lines were left out; line 0", "line 1"]


def test_an_hour_holds_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error with a traceback of 1,000 characters at every tenth of a second, for two hours."""
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    bounded, written = logs.Bounded(), list[str]()
    trace = "x" * 990
    for tenth in range(2 * 36_000):
        now[0] = 100 + tenth / 10
        record = logging.LogRecord("x", logging.ERROR, "", 1, "it failed", (), None)
        record.exc_text = trace
        if bounded.filter(record):
            written.append(record.getMessage())
    n_bytes = sum(len(line) + 1 + len(trace) for line in written)
    assert 2 * logs.MOST_BYTES <= n_bytes < 2 * (logs.MOST_BYTES + 1100)
    assert sum("34001 lines were left out; it failed" in line for line in written) == 1
