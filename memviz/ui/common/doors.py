"""Which pages there are: their section, title, icon, and the question each answers, which is its docstring."""

from __future__ import annotations

import ast
from functools import cache
from typing import NamedTuple

from memviz.settings import ROOT

PAGES = ROOT / "pages"


class Door(NamedTuple):
    section: str
    name: str
    """File name in pages/, and the page's path."""
    title: str
    icon: str

    @property
    def question(self) -> str:
        return _docstring(self.name)


DOORS = (
    Door("", "overview", "Overview", "home"),
    Door("", "gallery", "Gallery", "photo_library"),
    Door("One prompt", "trace", "Trace", "timeline"),
    Door("One prompt", "compare", "Compare", "stacks"),
    Door("One prompt", "layers", "Inside the model", "layers"),
    Door("One prompt", "causes", "Causes", "account_tree"),
    Door("Populations", "population", "Population", "groups"),
    Door("Populations", "transitions", "Transitions", "grid_on"),
    Door("Populations", "boundary", "Boundary", "vertical_split"),
    Door("Populations", "map", "Map", "scatter_plot"),
    Door("Populations", "dynamics", "Dynamics", "animation"),
    Door("Populations", "membership", "Membership", "badge"),
    Door("Populations", "predictor", "Predictor", "online_prediction"),
    Door("Populations", "precision", "Precision", "straighten"),
    Door("Populations", "sweeps", "Sweeps", "play_circle"),
    Door("Reference", "glossary", "Glossary", "menu_book"),
)
"""In the order of the sidebar; the first is where a visitor without a path begins."""


@cache
def _docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((PAGES / f"{name}.py").read_text("utf-8"))) or ""
