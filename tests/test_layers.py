"""Imports point down README's tree and never in a circle, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from support.serving import ROOT

TORCH_UNITS = ("memviz.engine", "memviz.predictor.network", "memviz.maps.layout", "memviz.demo")
STREAMLIT_UNITS = ("memviz.ui", "memviz.dashboard", "app", "pages")
ALLOWED = {
    **dict.fromkeys(("torch", "transformers", "accelerate", "umap", "numba"), TORCH_UNITS),
    "streamlit": STREAMLIT_UNITS,
}
"""Library -> the parts that may import it, in functions too."""
MOST_AT_TOP = 15
"""Modules that lie directly in memviz/."""


class Import(NamedTuple):
    target: str
    """Dotted name; for `from a import b`, a.b where that is a module of ours, else a."""
    line: int
    at_load: bool
    """Runs when the module is imported: outside functions and TYPE_CHECKING."""


def tree_of(readme: str) -> list[str]:
    """The modules and packages of README's tree in its order: app.py, pages, and what lies in memviz."""
    block = re.search(r"## The tree\n.*?```\n(.*?)```", readme, re.DOTALL)
    assert block is not None, "README.md has no tree"
    entries = re.findall(
        r"^(  )?([\w/]+(?:\.py)?)  ", block[1].split("\ncache/")[0].replace("\nmemviz/\n", "\n"), re.MULTILINE
    )
    return [module_of(Path("memviz" if inside else "", entry)) for inside, entry in entries]


def sources() -> dict[str, Path]:
    files = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "memviz").rglob("*.py")]
    return {module_of(path.relative_to(ROOT)): path for path in files}


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(module: str, parts: Sequence[str]) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in parts)


def unit_of(module: str) -> str:
    """The entry of the tree a module belongs to: memviz.engine.decoding -> memviz.engine, pages.trace -> pages."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "memviz" else parts[0]


def imports_of(source: str, module: str, is_package: bool, known: set[str]) -> Iterator[Import]:
    yield from _walk(ast.parse(source), module if is_package else module.rpartition(".")[0], known, True)


def _walk(node: ast.AST, package: str, known: set[str], at_load: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, at_load) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield Import(full if full in known else base, node.lineno, at_load)
    for child in ast.iter_child_nodes(node):
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
        yield from _walk(child, package, known, at_load and not inside and not typing_only)


Imports = Mapping[str, Sequence[Import]]
"""module -> what it imports."""


@cache
def all_imports() -> Imports:
    found = sources()
    return {
        module: list(imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py", set(found)))
        for module, path in found.items()
    }


def faults(imports: Imports, tree: Sequence[str]) -> list[str]:
    """Every import that goes up the tree or breaks ALLOWED, as `module:line: sentence`."""
    place = {unit: i for i, unit in enumerate(tree)}
    lines = []
    for module, targets in imports.items():
        unit = unit_of(module)
        if unit not in place:
            lines.append(f"{module}: {unit} has no line in README's tree")
            continue
        for target, line, _ in targets:
            other, library = unit_of(target), target.split(".")[0]
            if library in ("memviz", "pages", "app"):
                if other not in place:
                    lines.append(f"{module}:{line}: imports {target}, and {other} has no line in README's tree")
                elif place[other] < place[unit]:
                    lines.append(f"{module}:{line}: imports {target}, which is further up README's tree")
            elif not is_within(module, ALLOWED.get(library, (module,))):
                lines.append(f"{module}:{line}: imports {library}, which only {', '.join(ALLOWED[library])} may")
    return lines


def circle(imports: Imports) -> list[str]:
    """The files of a circle of imports, in functions and for types too; empty where there is none."""
    graph = {module: {each.target for each in targets} - {module} for module, targets in imports.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def loads_torch(imports: Imports) -> dict[str, str]:
    """module -> what brings torch or its like in when the module is loaded; modules free of it are left out."""
    heavy = {library for library, units in ALLOWED.items() if units is TORCH_UNITS}
    reasons: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for module, targets in imports.items():
            for target, line, at_load in targets:
                parents = {".".join(target.split(".")[: i + 1]) for i in range(target.count(".") + 1)}
                if module not in reasons and at_load and (parents & (heavy | (set(reasons) - {module}))):
                    reasons[module] = f"{module}:{line} imports {target} at load"
                    changed = True
    return reasons


def test_imports_point_down_the_tree_of_the_readme() -> None:
    tree = tree_of((ROOT / "README.md").read_text("utf-8"))
    assert len(tree) == len(set(tree))
    assert set(tree) == {unit_of(module) for module in sources()}
    assert not (found := faults(all_imports(), tree)), "\n".join(found)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not (found := circle(all_imports())), " <- ".join(found)


def test_few_modules_lie_at_the_top() -> None:
    assert len(list((ROOT / "memviz").glob("*.py"))) <= MOST_AT_TOP


def test_only_torch_units_load_torch() -> None:
    found = {module: why for module, why in loads_torch(all_imports()).items() if not is_within(module, TORCH_UNITS)}
    assert not found, "\n".join(found.values())


def test_importing_everything_else_really_leaves_torch_out() -> None:
    """First whatever pages are made of is left out, then it is imported too, as the server does it."""
    left_out = (*TORCH_UNITS, *STREAMLIT_UNITS, "memviz.__main__")
    below = sorted(module for module in sources() if not is_within(module, left_out))
    pages = sorted(module for module in sources() if is_within(module, ("memviz.ui",)))
    code = f"import sys, {', '.join(below)}\nprint(*sorted(set(sys.modules) & set({sorted(ALLOWED)})))\n"
    code += f"import {', '.join(pages)}\nprint(*sorted(set(sys.modules) & set({sorted(ALLOWED)})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["streamlit"]


README = """## The tree

As listed.

```
app.py              above all
pages/              three
memviz/
  cli/              two
  engine/           one
  maps/             with maps/layout/
  __init__.py       none
cache/              not a module
```
"""
TREE = ["app", "pages", "memviz.cli", "memviz.engine", "memviz.maps", "memviz"]


def test_the_tree_is_read_from_the_readme() -> None:
    assert tree_of(README) == TREE


@pytest.mark.parametrize(
    ("module", "source", "sentence"),
    [
        ("memviz.maps", "import memviz.engine.reader", "maps:1: imports memviz.engine.reader, which is further up"),
        ("memviz.maps.pairs", "from .. import cli", "memviz.maps.pairs:1: imports memviz.cli, which is further up"),
        ("memviz.maps.pairs", "def f():\n    from ..engine.reader import run", "pairs:2: imports memviz.engine.reader"),
        ("memviz", "from memviz import cli", "memviz:1: imports memviz.cli, which is further up"),
        ("memviz.engine", "import memviz.novel", "memviz.engine:1: imports memviz.novel, and memviz.novel has no line"),
        ("memviz.novel.part", "", "memviz.novel.part: memviz.novel has no line in README's tree"),
        ("pages.trace", "def f():\n    import torch.nn", "pages.trace:2: imports torch, which only memviz.engine, "),
        ("memviz.maps.pairs", "from numba import njit", "memviz.maps.pairs:1: imports numba, which only"),
        ("memviz.cli", "from streamlit import cache_data", "memviz.cli:1: imports streamlit, which only memviz.ui, "),
        ("memviz.maps.layout.child", "from numba import njit", ""),
        ("memviz.cli", "from memviz import __version__", ""),
        ("pages.trace", "from memviz import cli\nfrom memviz.maps import pairs", ""),
    ],
)
def test_breaches_are_found(module: str, source: str, sentence: str) -> None:
    known = {"memviz.cli", "memviz.engine.reader", "memviz.maps.pairs"}
    found = faults({module: list(imports_of(source, module, module == "memviz", known))}, TREE)
    assert found[0].startswith(sentence) or sentence in found[0] if sentence else not found


def test_circles_are_found() -> None:
    known = {"memviz.a", "memviz.b", "memviz.c"}

    def of(**files: str) -> list[str]:
        return circle({f"memviz.{name}": list(imports_of(text, "m", False, known)) for name, text in files.items()})

    assert set(of(a="from memviz import b", b="def f():\n    from memviz.c import d", c="import memviz.a")) == known
    assert of(a="from memviz import b", b="from memviz import c", c="import numpy") == []


def test_what_runs_at_load_is_followed() -> None:
    def of(source: str) -> list[Import]:
        return list(imports_of(source, "m", False, {"memviz.engine", "memviz.tasks.trace"}))

    reasons = loads_torch(
        {
            "memviz.engine": of("import torch"),
            "memviz.tasks.trace": of("from memviz import engine"),
            "memviz.jobs": of("import memviz.tasks.trace"),
            "memviz.cli": of("def run():\n    import memviz.engine"),
            "memviz.ui": of("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import memviz.engine"),
        }
    )
    assert set(reasons) == {"memviz.engine", "memviz.tasks.trace", "memviz.jobs"}
