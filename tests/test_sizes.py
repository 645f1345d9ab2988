"""Files and functions stay short: docs/decisions.md says why commands are counted otherwise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.serving import ROOT

MOST_LINES = 300
"""Of a file."""
MOST_OF_FUNCTION = 55
"""Lines of a function; of a command's, without its signature, which is its list of options."""


def sources() -> list[Path]:
    return [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "memviz").rglob("*.py")]


def functions(source: str) -> Iterator[tuple[str, int, int]]:
    """Name, lines, and lines without the signature."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1, node.end_lineno - node.body[0].lineno + 1


def test_files_are_short() -> None:
    files = [*sources(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert not {file: n for file, n in lines.items() if n > MOST_LINES}


def test_functions_are_short() -> None:
    found = []
    for path in sources():
        is_command = path.parent.name == "cli"
        for name, whole, body in functions(path.read_text("utf-8")):
            if (body if is_command else whole) > MOST_OF_FUNCTION:
                found.append(f"{path.relative_to(ROOT)}: {name} has {whole} lines")
    assert not found, "\n".join(found)


def test_lines_of_functions_are_counted() -> None:
    assert list(functions("x = 1\nasync def f(\n    a,\n):\n    def g(): pass\n    return a\n")) == [
        ("f", 5, 2),
        ("g", 1, 1),
    ]
