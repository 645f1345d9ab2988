"""The words of the pages that are no measures of one trace: what they mean, unit and source, from glossary.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from memviz.measures.registry import MEASURES


@dataclass(frozen=True)
class Term:
    """A word and what it means here."""

    name: str
    label: str
    topic: str
    help: str
    unit: str = ""
    """Empty for what is no quantity."""
    source: str = ""
    """The publication that defines it, or "memviz"; empty for plain words."""
    computed_by: str = ""
    """Dotted name of the function or module that computes it, where there is one."""


def _read() -> dict[str, Term]:
    said = tomllib.loads(Path(__file__).with_name("glossary.toml").read_text("utf-8"))
    return {name: Term(name, **fields) for name, fields in said.items()}


GLOSSARY = _read()


def explain(name: str) -> str:
    """The help text of a measure or term: what it is, its unit and source. Raises KeyError for an unknown name."""
    said = MEASURES[name] if name in MEASURES else GLOSSARY[name]
    behind = (("Unit", said.unit), ("Source", said.source))
    return said.help + "".join(f" {head}: {text}." for head, text in behind if text)
