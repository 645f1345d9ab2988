"""The jobs on the Overview page: all are listed to all, and who may end them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from memviz import ui
from memviz.jobs import Worker
from memviz.settings import settings
from memviz.tasks.trace import TraceTask
from memviz.ui.common import progress
from memviz.ui.common.process import is_at_server


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_another_visitors_job_is_listed_and_ended_by_whom_it_may_be(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "is_at_server", lambda: False)
    job = ui.worker().ask(TraceTask("[x](http://evil.example)", (1,), None, 8), "somebody else")
    app.run()
    line = next(each.value for each in app.markdown if each.value.startswith("**trace** of"))
    said = r"**trace** of \[x\]\(http\:|//evil\.example\) · waits · another's"
    assert line == said.replace("|", "\N{WORD JOINER}"), "what cannot be seen keeps the address from being a link"
    assert "Cancel" not in labels(app)
    ui.worker().leave("somebody else")
    app.run()
    assert any(each.value.endswith("nobody's now") for each in app.markdown)
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert not job.active and not any("trace** of" in each.value for each in app.markdown)


def test_every_job_is_listed_to_who_asks_for_all(app: AppTest) -> None:
    for n in range(14):
        ui.worker().ask(TraceTask("tiny", (n,), None, 8), f"visitor {n}")

    def n_listed() -> int:
        return sum(each.value.startswith("**trace** of") for each in app.markdown)

    app.run()
    assert n_listed() == 12
    next(each for each in app.toggle if each.label == "List all 14").set_value(True).run()
    assert n_listed() == 14


@pytest.mark.parametrize(
    ("headers", "address", "at_server"),
    [
        ({"Host": "localhost:8501"}, None, True),
        ({"Host": "[::1]:8501"}, None, True),
        ({"Host": "memviz.example.org"}, None, False),
        ({"Host": "localhost:8501"}, "192.0.2.1", False),
        ({"Host": "localhost:8501", "X-Forwarded-Proto": "https"}, None, False),
        ({"Host": "localhost:8501", "Via": "1.1 proxy"}, None, False),
    ],
)
def test_who_comes_through_a_proxy_does_not_sit_at_the_server(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], address: str | None, at_server: bool
) -> None:
    monkeypatch.setattr(st, "context", SimpleNamespace(headers=headers, ip_address=address))
    assert is_at_server() is at_server


def test_what_a_killed_server_was_to_go_on_with_is_offered(app: AppTest) -> None:
    task = TraceTask("tiny", (1,), None, 8)
    left = settings().cache / "locks" / "jobs" / "killed" / f"{task.hash}.json"
    left.parent.mkdir(parents=True)
    left.write_text(json.dumps(task.request()))
    app.run()
    assert any(each.value == "**trace** of tiny: left when a server ended" for each in app.markdown)
    next(button for button in app.button if button.label == "Go on").click().run()
    job = ui.worker().job(task.hash)
    assert job is not None and job.active and not left.exists()
    assert "Go on" not in labels(app)


def test_a_cleared_cache_ends_nobodys_attendance(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(Worker, "leave", lambda self, session: left.append(session))
    app.run()
    st.cache_data.clear()
    st.cache_resource.clear()
    assert left == []
