"""Imports point down, and the heavy libraries stay where they belong. Unknown modules fail: give them a layer here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from support.serving import ROOT

LAYERS = {
    "memviz": 0,
    "memviz.errors": 0,
    "memviz.settings": 0,
    "memviz.records": 0,
    "memviz.weights": 0,
    "memviz.catalog": 0,
    "memviz.tokenizer": 0,
    "memviz.passages": 0,
    "memviz.measures": 1,
    "memviz.corpus": 1,
    "memviz.engine": 2,
    "memviz.store": 3,
    "memviz.figures": 3,
    "memviz.demo": 3,
    "memviz.tasks": 4,
    "memviz.gallery": 4,
    "memviz.sweeps": 4,
    "memviz.population": 4,
    "memviz.maps": 4,
    "memviz.predictor": 4,
    "memviz.findings": 4,
    "memviz.jobs": 5,
    "memviz.export": 5,
    "memviz.api": 6,
    "memviz.ui": 6,
    "memviz.cli": 6,
    "memviz.dashboard": 6,
    "memviz.__main__": 7,
    "pages": 7,
    "app": 8,
}
TORCH_UNITS = {"memviz.engine", "memviz.predictor", "memviz.maps", "memviz.demo"}
STREAMLIT_UNITS = {"memviz.ui", "memviz.dashboard", "app", "pages"}
ALLOWED = {
    **dict.fromkeys(("torch", "transformers", "accelerate", "umap", "numba"), TORCH_UNITS),
    "streamlit": STREAMLIT_UNITS,
}
"""Library -> the units that may import it, in functions too."""


class Import(NamedTuple):
    target: str
    """Dotted name; for `from a import b`, a.b where that is a module of ours, else a."""
    line: int
    at_load: bool
    """Runs when the module is imported: outside functions and TYPE_CHECKING."""


def sources() -> dict[str, Path]:
    files = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "memviz").rglob("*.py")]
    return {module_of(path.relative_to(ROOT)): path for path in files if path.exists()}


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module: str) -> str:
    """The part of the layout a module belongs to: memviz.engine.decode -> memviz.engine, pages.trace -> pages."""
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


def all_imports() -> dict[str, list[Import]]:
    found = sources()
    return {
        module: list(imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py", set(found)))
        for module, path in found.items()
    }


def faults(imports: dict[str, list[Import]]) -> list[str]:
    """Every breach of the layers and of ALLOWED, as `module:line: sentence`."""
    lines = []
    for module, targets in imports.items():
        unit = unit_of(module)
        if unit not in LAYERS:
            lines.append(f"{module}: unit {unit} has no layer in tests/test_layers.py")
            continue
        for target, line, _ in targets:
            other, library = unit_of(target), target.split(".")[0]
            if library in ("memviz", "pages", "app"):
                if other not in LAYERS:
                    lines.append(f"{module}:{line}: imports {target}, whose unit {other} has no layer")
                elif LAYERS[other] > LAYERS[unit]:
                    lines.append(f"{module}:{line}: layer {LAYERS[unit]} imports {target} of layer {LAYERS[other]}")
            elif unit not in ALLOWED.get(library, {unit}):
                lines.append(f"{module}:{line}: imports {library}, which only {sorted(ALLOWED[library])} may")
    return lines


def loads_torch(imports: dict[str, list[Import]]) -> dict[str, str]:
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


def test_imports_point_down() -> None:
    assert not (found := faults(all_imports())), "\n".join(found)


def test_units_of_one_layer_do_not_import_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module, targets in all_imports().items():
        others = {unit_of(each.target) for each in targets} & set(LAYERS)
        graph.setdefault(unit_of(module), set()).update(others - {unit_of(module)})
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the circle


def test_only_torch_units_load_torch() -> None:
    found = {module: why for module, why in loads_torch(all_imports()).items() if unit_of(module) not in TORCH_UNITS}
    assert not found, "\n".join(found.values())


def test_importing_everything_else_really_leaves_torch_out() -> None:
    free = {unit for unit in LAYERS if unit.startswith("memviz")} - TORCH_UNITS - STREAMLIT_UNITS - {"memviz.__main__"}
    modules = sorted(module for module in sources() if unit_of(module) in free)
    code = f"import sys, {', '.join(modules)}\nprint(*sorted(set(sys.modules) & set({sorted(ALLOWED)})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("module", "source", "sentence"),
    [
        ("memviz.records", "import memviz.store", "memviz.records:1: layer 0 imports memviz.store of layer 3"),
        ("memviz.measures.score", "from .. import jobs", "memviz.measures.score:1: layer 1 imports memviz.jobs"),
        ("memviz.measures.score", "from ..engine.decode import run", "layer 1 imports memviz.engine.decode of layer 2"),
        ("pages.trace", "def f():\n    import torch.nn", "pages.trace:2: imports torch, which only"),
        ("memviz.store", "from streamlit import cache_data", "memviz.store:1: imports streamlit, which only"),
        ("memviz.novel", "", "memviz.novel: unit memviz.novel has no layer"),
        ("memviz.cli", "from memviz import __version__", ""),
    ],
)
def test_breaches_are_found(module: str, source: str, sentence: str) -> None:
    known = {"memviz.store", "memviz.jobs", "memviz.engine.decode"}
    found = faults({module: list(imports_of(source, module, False, known))})
    assert (sentence in found[0]) if sentence else not found


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
