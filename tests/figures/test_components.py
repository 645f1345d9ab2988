"""The sources of all components: joined without a gap, nodes made from text alone, no request, lint."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from memviz.figures.ladder import LADDER
from memviz.figures.linked import TRACE
from memviz.figures.maps import MAP
from memviz.figures.source import FOLDER, PICTURE, SHARE, TOUR, TYPING, Source
from memviz.figures.splitting import SPLIT

ALL = {"trace": TRACE, "ladder": LADDER, "map": MAP, "split": SPLIT, "tour": TOUR, "share": SHARE}
ALL |= {"picture": PICTURE, "typing": TYPING}
FORBIDDEN = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|createContextualFragment"
    r"|setHTML|srcdoc|setAttribute\(\"on|\bfetch\b|XMLHttpRequest|WebSocket|localStorage|import\("
)


@pytest.mark.parametrize("component", ALL.values(), ids=ALL)
def test_modules_are_joined_after_those_they_import(component: Source) -> None:
    js = component.js()
    assert "import " not in js
    assert js.count("export default") == 1
    declared = re.findall(r"^(?:export )?(?:default )?(?:const|function|class|let) (\w+)", js, re.MULTILINE)
    assert len(declared) == len(set(declared)), "joined modules share one scope"
    for name, parent in re.findall(r"^(?:export )?class (\w+) extends (\w+)", js, re.MULTILINE):
        assert declared.index(parent) < declared.index(name)


def test_the_base_comes_before_what_is_built_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {
        "a/top": 'import { one } from "./left.js";\nimport { two } from "../b/right.js";\nexport default one + two;\n',
        "a/left": 'import { zero } from "../b/base.js";\nexport const one = zero + 1;\n',
        "b/right": 'import { zero } from "./base.js";\nimport { one } from "../a/left.js";\nexport const two = one;\n',
        "b/base": "export const zero = 0;\n",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.js").write_text(source, "utf-8")
    monkeypatch.setattr("memviz.figures.source.FOLDER", tmp_path)
    lines = [line for line in Source("a/top", ()).js().splitlines() if line]
    assert lines == [
        "export const zero = 0;",
        "export const one = zero + 1;",
        "export const two = one;",
        "export default one + two;",
    ]


def test_every_module_belongs_to_a_component() -> None:
    joined = "".join(component.js() for component in ALL.values())
    for path in FOLDER.rglob("*.js"):
        body = re.sub(r"^import .*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
        assert body in joined or path.parent.name == "early" or path.name == "standalone.js", path


@pytest.mark.parametrize("path", [*FOLDER.rglob("*.js"), *FOLDER.rglob("*.css")], ids=lambda path: path.name)
def test_source_builds_nodes_only_from_text_and_asks_for_nothing(path: Path) -> None:
    source = path.read_text("utf-8")
    assert "</script" not in source and "</style" not in source
    assert "@import" not in source and "url(" not in source
    assert set(re.findall(r"https?://[^\s\"']+", source)) <= {"http://www.w3.org/2000/svg"}  # a name, not fetched
    if path.parent.name != "early":  # which asks its own server for the trace
        assert not re.search(FORBIDDEN, source)


def test_lint() -> None:
    oxlint = Path(sys.executable).with_name("oxlint")
    if not oxlint.exists():
        pytest.skip("oxlint is not installed on this platform")
    command = [oxlint, "-c", FOLDER / ".oxlintrc.json", "--deny-warnings", FOLDER]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
