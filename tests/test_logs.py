"""What the server's log holds: no prompts, and of an unexpected error all that the visitor is not told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.model_folders import ready_model
from support.serving import ROOT, start_server
from support.visitor import Visitor

from memviz.ui.common.doors import DOORS

SECRET = "xylographomaniac quixotry"
TEXT = f"We the People {SECRET} of the United States, in Order to form a more perfect Union {SECRET}, establish Justice"
HEAVY = ("population", "transitions", "boundary", "dynamics", "membership", "predictor")
"""Pages that read whole sweeps as they open."""
BROKEN = """
from memviz.ui.common import every_page

def broken_state():
    raise RuntimeError("words of the inside")

every_page.show_state = broken_state
"""


def test_no_prompt_is_logged(tmp_path: Path) -> None:
    """A run, one that cannot be, one of a model that fails, and a text that is too short."""
    ready_model("tiny", tmp_path / "models", tmp_path / "cache")
    environment = {"MEMVIZ_CACHE": str(tmp_path / "cache"), "MEMVIZ_MODEL_ROOTS": str(tmp_path / "models")}
    environment["MEMVIZ_WARM_UP"] = "false"
    with start_server(ROOT / "app.py", env=environment, log=tmp_path / "log") as server:
        with Visitor(server.url, "trace") as visitor:
            visitor.until(lambda: visitor.find("selectbox", "Text"))
            visitor.set("selectbox", "Model", "tiny")
            visitor.set("selectbox", "Text", "Text of your own")
            visitor.rerun()
            visitor.until(lambda: visitor.find("text_area", "Text"))
            visitor.set("text_area", "Text", TEXT)
            visitor.set("number_input", "Context", 12)
            visitor.set("number_input", "Continuation", 8)
            visitor.rerun()
            visitor.until(lambda: visitor.find("button", "Run") and not visitor.find("button", "Run").disabled)
            visitor.press("Run")
            visitor.until(lambda: visitor.all("metric"))
            assert SECRET.split()[0] not in visitor.query
            visitor.set("number_input", "Continuation", 5000)
            visitor.rerun()
            visitor.until(lambda: "give a longer text or smaller numbers" in visitor.text)
            (tmp_path / "models" / "tiny" / "model.safetensors").write_bytes(b"")
            visitor.set("number_input", "Continuation", 9)
            visitor.rerun()
            visitor.until(lambda: visitor.find("button", "Get tiny ready"))
            visitor.press("Get tiny ready")
            visitor.until(lambda: "its header cannot be read" in visitor.text)
        log = server.log.read_text()
    assert re.search(r"job \d+ queued: trace\n.*job \d+ done after", log, re.DOTALL)  # something is logged
    assert not [word for word in SECRET.split() if word in log]


@pytest.mark.parametrize("heavy", [False, pytest.param(True, marks=pytest.mark.wide)])
def test_opening_a_page_and_pressing_its_button_warns_of_nothing(heavy: bool, tmp_path: Path) -> None:
    """Each page with an empty cache; and one with a choice in its address that runs again as its button is pressed."""
    environment = {"MEMVIZ_CACHE": str(tmp_path / "cache"), "MEMVIZ_WARM_UP": "false", "MEMVIZ_AUTORUN": "false"}
    with start_server(ROOT / "app.py", env=environment, log=tmp_path / "log") as server:
        for door in DOORS[1:]:
            if heavy == (door.name in HEAVY):
                with Visitor(server.url, door.name) as visitor:
                    visitor.settle()
                    assert not visitor.all("exception")
        if not heavy:
            with Visitor(server.url, "predictor", "view=Train") as visitor:
                visitor.until(lambda: (found := visitor.find("button", "Train")) and not found.disabled)
                visitor.press("Train")
                visitor.until(lambda: visitor.find("button", "Cancel"))
        log = server.log.read_text()
    assert [
        line for line in log.splitlines() if line and not re.match(r"  (You can now|URL:)|\S+ \S+ INFO ", line)
    ] == []


def test_an_unexpected_error_is_one_sentence_for_the_visitor_and_a_traceback_for_the_log(tmp_path: Path) -> None:
    source = (ROOT / "app.py").read_text().replace("Path(__file__).resolve().parent", f"Path({str(ROOT)!r})")
    (tmp_path / "app.py").write_text(source.replace("\napp = st.App(", f"{BROKEN}\napp = st.App("))
    shutil.copytree(ROOT / ".streamlit", tmp_path / ".streamlit")
    environment = {"MEMVIZ_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), "MEMVIZ_WARM_UP": "false"}
    with start_server(tmp_path / "app.py", env=environment, log=tmp_path / "log") as server:
        with Visitor(server.url, "trace") as visitor:
            visitor.until(lambda: visitor.all("exception"))
            (shown,) = visitor.all("exception")
        log = server.log.read_text()
    assert "words of the inside" not in str(shown) and "broken_state" not in str(shown) and not shown.stack_trace
    assert str(ROOT) not in str(shown)
    assert "Traceback (most recent call last)" in log and "RuntimeError: words of the inside" in log
    assert "in broken_state" in log
