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
