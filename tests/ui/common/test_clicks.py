"""Clicks on buttons: heard where another run cuts in, and heard by nobody else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest
from support.pages import settle
from support.serving import ROOT, start_server

SLOW_PAGE = """
import time
import streamlit as st
from memviz.ui.common.clicks import clicked, hearing, offer, pressed

with hearing("page"):
    st.session_state.setdefault("heard", [])
    offer(st, "Above", "above")
    st.checkbox("Other")
    for _ in range(10):  # a run can be cut short at each element
        time.sleep(0.1)
        st.empty()
    if clicked(st, "Below", "below"):
        st.session_state["heard"].append("below")
    if pressed("above"):
        st.session_state["heard"].append("above")
    st.write("heard: " + ", ".join(st.session_state["heard"]) + ".")
"""


@pytest.mark.browser
def test_a_click_is_heard_once_where_another_run_cuts_in(tmp_path: Path, browser: Browser) -> None:
    script = tmp_path / "page.py"
    script.write_text(SLOW_PAGE)
    with start_server(script) as server:
        page = browser.new_page()
        page.goto(server.url)
        expect(page.get_by_text("heard: .")).to_be_visible(timeout=30_000)
        heard = []
        for name in ("Below", "Above"):
            settle(page)
            page.get_by_role("button", name=name).click()
            page.wait_for_timeout(300)  # its run has begun and is not yet where the click is asked for
            page.get_by_text("Other").click()
            heard.append(name.lower())
            expect(page.get_by_text(re.compile(f"heard: {', '.join(heard)}[.]"))).to_be_visible(timeout=10_000)
        page.close()


def page_that_may_stop() -> None:
    import streamlit as st

    from memviz.ui.common.clicks import hearing, offer, pressed

    with hearing(st.session_state.get("name", "page")):
        offer(st, "Run", "run")
        if st.checkbox("bad input"):
            st.stop()
        if pressed("run"):
            st.session_state["n"] = st.session_state.get("n", 0) + 1


def test_a_click_on_a_page_that_stopped_is_over() -> None:
    app = AppTest.from_function(page_that_may_stop).run()
    app.checkbox[0].check().run()
    app.button[0].click().run()
    app.checkbox[0].uncheck().run()
    assert "n" not in app.session_state
    app.button[0].click().run()
    assert app.session_state["n"] == 1
    app.run()
    assert app.session_state["n"] == 1


@pytest.mark.parametrize("name", ["page", "other"])
def test_a_click_that_waits_is_not_heard_by_another_page(name: str) -> None:
    app = AppTest.from_function(page_that_may_stop).run()
    app.session_state["clicked"] = {"run"}  # as a run leaves it that was cut short
    app.session_state["name"] = name
    app.run()
    assert ("n" in app.session_state) == (name == "page")


def asks_a_button(path: Path) -> bool:
    asked = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if not isinstance(node, ast.Expr)]
    calls = [child for node in asked for child in ast.iter_child_nodes(node) if isinstance(child, ast.Call)]
    return any(isinstance(call.func, ast.Attribute) and call.func.attr == "button" for call in calls)


def test_no_page_asks_the_button_itself(tmp_path: Path) -> None:
    """Signing in comes before there is a page; a button whose answer nobody reads has a callback."""
    (tmp_path / "page.py").write_text('if st.button("Run"): ...')
    files = [*(ROOT / "pages").glob("*.py"), *(ROOT / "memviz" / "ui").rglob("*.py"), tmp_path / "page.py"]
    assert [path.name for path in files if asks_a_button(path)] == ["sign_in.py", "page.py"]
