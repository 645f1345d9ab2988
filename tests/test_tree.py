"""The tests mirror the tree: what is tested in memviz/ui/map/ lies in tests/ui/map/."""

from __future__ import annotations

from pathlib import Path

from support.serving import ROOT

OTHERS = {"support", "hostile", "scripts"}
"""Folders that are no package of memviz: what tests borrow, hostile inputs of every kind, tests of scripts/."""
WHOLES = {
    "app": "app.py",
    "theme": ".streamlit/config.toml",
    "documents": "docs",
    "readme": "README.md",
    "promises": "docs/sharing.md",
    "install": "scripts/install.sh",
    "tree": "tests",
    "sizes": "memviz",
    "layers": "memviz",
    "logs": "memviz/dashboard.py",
    "survival": "memviz/jobs",
    "silence": "app.py",
}
"""Test files at the top that are of no one module of memviz's top level, and what they test."""


def folders(root: Path) -> set[str]:
    """Those with Python files in them, relative to `root`."""
    return {str(path.parent.relative_to(root)) for path in root.rglob("*.py") if path.stat().st_size > 0} - {"."}


def test_every_folder_of_tests_is_a_folder_of_the_product_and_the_other_way_round() -> None:
    tested = {name for name in folders(ROOT / "tests") if name.split("/")[0] not in OTHERS}
    product = folders(ROOT / "memviz")
    assert tested - product == set()
    # a folder may be tested by one file, and a page by ui/test_*.py, which visit every page alike
    files = {str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests").rglob("test_*.py")}
    for name in product - tested:
        folder = Path(name)
        assert folder.parts[0] == "ui" or str(folder.parent / f"test_{folder.name}.py") in files, name


def test_files_at_the_top_test_a_module_at_the_top() -> None:
    for path in (ROOT / "tests").glob("test_*.py"):
        name = path.stem.removeprefix("test_")
        assert (ROOT / WHOLES.get(name, f"memviz/{name}.py")).exists(), path.name


def test_what_tests_share_lies_in_one_package() -> None:
    shared = {
        path.parent.name for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith(("test_", "conf"))
    }
    assert shared == {"support"}
