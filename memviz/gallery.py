"""The gallery: named examples whose results ship in a read-only store, so that they open without model or network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from memviz.settings import ROOT, Settings
from memviz.store import Store

GALLERY = ROOT / "memviz" / "demo" / "gallery"
"""gallery.json, `store/` with the results, `thumbnails/`; made by scripts/ship_gallery.py."""


@dataclass(frozen=True)
class Example:
    """A page at one place, and what is to be seen there."""

    name: str
    title: str
    note: str
    """What to look at; numbers in it are those of the shipped results."""
    page: str
    """File name in pages/, without suffix."""
    query: dict[str, str | list[str]]
    """Parameters of the page's address; a list is one that comes several times."""
    models: str
    """Which models, in words."""
    prompt: str
    """The prompt, or which rows, in words."""
    finding: int
    """Of the study's four, 0 for none."""
    look: str = ""
    """Which element of the page the note is about, as a CSS selector."""

    @property
    def link(self) -> str:
        """Its address after the server's own."""
        return f"{self.page}?{urlencode(self.query, doseq=True)}"

    def thumbnail(self, dark: bool) -> Path:
        """A small picture of it."""
        return GALLERY / "thumbnails" / f"{self.name}{'-dark' if dark else ''}.svg"


@cache
def examples() -> tuple[Example, ...]:
    """All of them in order; none where the gallery is not there."""
    try:
        return tuple(Example(**each) for each in json.loads((GALLERY / "gallery.json").read_text("utf-8")))
    except OSError:
        return ()


def first_example(page: str) -> Example | None:
    """The example a page opens on: the first that shows a shipped result of it."""
    return next((example for example in examples() if example.page == page and "run" in example.query), None)


def tour() -> tuple[Example, ...]:
    """The examples of the findings, in their order."""
    return tuple(sorted((each for each in examples() if each.finding), key=lambda each: each.finding))


def open_store(settings: Settings) -> Store:
    """The results of this installation, above those that ship with the gallery."""
    return Store(settings.cache / "results", settings.cache_limit, (GALLERY / "store",))
