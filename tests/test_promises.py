"""What docs/sharing.md promises: each line names tests that are there."""

from __future__ import annotations

import re

import pytest
from support.serving import ROOT

TABLE = (ROOT / "docs" / "sharing.md").read_text("utf-8").partition("| promise | test |\n|---|---|\n")[2]
PROMISES = [line.strip("| ").split(" | ") for line in TABLE.partition("\n\n")[0].splitlines()]
FILES = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize(("promise", "said"), PROMISES, ids=[promise[:40] for promise, _ in PROMISES])
def test_a_promise_is_held_by_tests_that_are_there(promise: str, said: str) -> None:
    named = re.findall(r"[\w/]*test_\w+\.py|tests/\w+/", said)
    assert named, f"nothing holds: {promise}"
    tests: list[str] = []
    for name in named:
        path = ROOT / name if "/" in name else FILES[name]
        assert path.exists(), name
        for file in [path] if path.is_file() else path.glob("test_*.py"):
            tests += re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    for part in re.findall(r"`(\w+)`", said):
        assert any(part in test for test in tests), part
    assert tests


def test_there_are_promises() -> None:
    assert len(PROMISES) > 15 and all(len(each) == 2 for each in PROMISES)
