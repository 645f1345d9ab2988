"""Errors that have a sentence are that sentence, of a page and of a part of it that runs alone."""

from __future__ import annotations

import re

from streamlit.testing.v1 import AppTest
from support.serving import ROOT

SCRIPT = """
import streamlit as st
from memviz.errors import InputError
from memviz.ui.common.widgets import saying

@st.fragment
@saying()
def part(error):
    raise error

part(InputError("60 runs of yours are under way"))
part(RuntimeError("inside"))
"""


def test_an_error_with_a_sentence_is_said_and_another_is_raised() -> None:
    shown = AppTest.from_string(SCRIPT, default_timeout=20).run()
    assert [each.value for each in shown.error] == ["60 runs of yours are under way"]
    assert len(shown.exception) == 1


def test_every_part_that_runs_alone_says_its_errors() -> None:
    n = 0
    for path in [*(ROOT / "memviz").rglob("*.py"), *(ROOT / "pages").glob("*.py")]:
        text = path.read_text("utf-8")
        names = re.findall(r"(?<!@)st\.fragment\((\w+)", text)
        assert all(re.search(rf"@saying\(\)\n *def {name}\(", text) for name in names), path.name
        alone = re.findall(r"@st\.fragment.*\n *(.*)", text)
        assert set(alone) <= {"@saying()"}, path.name
        n += len(names) + len(alone)
    assert n > 10
