"""The documents against the thing itself: the tree, the settings, the commands."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ByteSize
from support.serving import ROOT

from memviz import __version__
from memviz.measures import MEASURES
from memviz.settings import PREFIX, Settings
from memviz.ui.common.doors import DOORS

README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def mapped() -> set[str]:
    """Paths the tree map names; folders end in a slash."""
    block = re.search(r"## The tree.*?```\n(.*?)```", README, re.DOTALL)
    assert block
    paths: set[str] = set()
    folder = ""
    for line in block.group(1).splitlines():
        names = re.split(r"\s{3,}", line.strip())[0].split()
        inside = line.startswith("  ")
        paths |= {folder + name if inside else name for name in names}
        if not inside:
            folder = names[0]
    return paths


def tracked() -> list[Path]:
    """Files git keeps or would keep."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in done.stdout.splitlines() if (ROOT / line).exists()]


def shorten(path: Path) -> str:
    """The path as the map would name it: one level, inside memviz/ two."""
    depth = 2 if path.parts[0] == "memviz" else 1
    return "/".join(path.parts[:depth]) + ("/" if len(path.parts) > depth else "")


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_paths_named_in_running_text_exist(document: Path) -> None:
    named = re.findall(r"`((?:memviz|pages|tests|bench|scripts)/[\w./-]+)`", document.read_text("utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_named_path_exists() -> None:
    missing = [name for name in mapped() if not (ROOT / name).exists() or (ROOT / name).is_dir() != name.endswith("/")]
    assert not missing


def test_every_path_is_named() -> None:
    assert {shorten(path) for path in tracked()} - mapped() == set()


def test_every_link_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readme_stays_under_two_screens() -> None:
    assert len(README.splitlines()) <= 100


def test_every_make_target_named_exists_and_describes_itself() -> None:
    targets = set(re.findall(r"^([a-z-]+):.* ## ", MAKEFILE, re.MULTILINE))
    documents = README + SETTINGS + "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert {"run", "test", "check", "bench", "lock", "clean"} <= targets
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", documents, re.MULTILINE)) <= targets


def test_make_alone_lists_the_targets() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in re.findall(r"^([a-z-]+):.* ## ", MAKEFILE, re.MULTILINE):
        assert f"make {target} " in done.stdout


def default_text(value: Any) -> str:
    match value:
        case ByteSize():
            return f"`{value.human_readable()}`"
        case Path():
            return f"`{value.relative_to(ROOT)}`"
        case bool():
            return f"`{str(value).lower()}`"
        case () | "":
            return "none"
        case tuple():
            return f"`{','.join(value)}`"
        case _:
            return f"`{value}`"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    default = default_text(Settings.model_fields[name].get_default())
    assert f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | " in SETTINGS


def test_no_setting_is_documented_that_is_not_there() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", SETTINGS, re.MULTILINE)) == set(Settings.model_fields)


def test_the_version_is_in_the_changelog() -> None:
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_document_of_measures_is_what_its_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "scripts" / "measures_document.py"), run_name="__main__")
    document = (ROOT / "docs" / "measures.md").read_text()
    assert document == capsys.readouterr().out
    for m in MEASURES.values():
        assert f"| `{m.name}` | {m.label} | {m.unit} | {m.help} | {m.source} |" in document


def test_every_page_is_in_the_first_steps_with_its_question_and_a_document() -> None:
    document = (ROOT / "docs" / "first-steps.md").read_text()
    listed = re.findall(r"^\| ([^|]+) \| ([^|]+) \| \[([\w-]+\.md)\]", document, re.MULTILINE)
    assert [(title, question) for title, question, _ in listed] == [(door.title, door.question) for door in DOORS]
    for title, _, name in listed:
        assert title.lower() in (ROOT / "docs" / name).read_text().lower()


def test_pictures_are_there_small_and_shown() -> None:
    pictures = set((ROOT / "docs" / "images").iterdir())
    assert all(path.stat().st_size < 250_000 for path in pictures)
    shown = {
        (document.parent / name).resolve()
        for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for pattern in (r'src(?:set)?="([^"]+)"', r"\]\((images/[^)]+)\)")
        for name in re.findall(pattern, document.read_text())
    }
    assert shown == pictures
