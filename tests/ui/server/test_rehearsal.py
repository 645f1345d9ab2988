"""The server opens the gallery's examples itself, and gives way to its visitors."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from memviz.gallery import Example, examples
from memviz.ui.server import attendance, rehearsal


def test_the_server_opens_the_gallery_only_while_no_page_runs_for_a_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, opened = [1000.0], list[str]()
    visit = attendance.answering()
    monkeypatch.setattr(attendance, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(attendance, "_last", 0.0)
    monkeypatch.setattr(rehearsal, "_address", lambda: "")

    def sleep(seconds: float) -> None:
        assert len(opened) == 1, "none waits but the second"
        clock[0] += seconds
        if clock[0] > 1010 and attendance.calm() == 0:  # the visitor's page, which took 10 s, is done
            visit.__exit__(None, None, None)

    def open_one(_: str, example: Example) -> None:
        assert attendance.calm() >= 3
        opened.append(example.link)
        with monkeypatch.context() as own:
            own.setattr(
                attendance, "st", SimpleNamespace(context=SimpleNamespace(headers={attendance.REHEARSAL: "yes"}))
            )
            with attendance.answering():
                assert attendance.calm() >= 3, "its own pages do not count"
        if len(opened) == 1:
            visit.__enter__()

    monkeypatch.setattr(rehearsal, "_open", open_one)
    monkeypatch.setattr(rehearsal, "time", SimpleNamespace(sleep=sleep, perf_counter=lambda: clock[0]))
    rehearsal.open_examples()
    assert opened == [example.link for example in examples()]
    assert clock[0] >= 1013, "three seconds after the visitor's page"
