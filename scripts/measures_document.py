"""Print docs/measures.md: every quantity that memviz shows, from the one place where each is defined.

python scripts/measures_document.py > docs/measures.md
"""

from __future__ import annotations

from collections.abc import Iterable

from memviz.measures import MEASURES
from memviz.measures.glossary import GLOSSARY

HEAD = """# Every quantity, with its unit and source

Written by `python scripts/measures_document.py > docs/measures.md` from the definitions that pages, files and help
texts read (`memviz/measures/registry.py`, `memviz/measures/glossary.toml`): do not edit it.

A row is k tokens of context and m of continuation. Index j counts all tokens of the row, position t = j - k those of
the continuation. Logarithms are natural (nats), ranks start at 1.
"""
PROMPT = """
## Of one prompt

On the Trace page, under `measures` in the file of `memviz trace`, and in `memviz.api.trace(...).measures`.

"""


def cell(text: str) -> str:
    """A text that cannot end a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> str:
    prompt = [(f"`{m.name}`", m.label, m.unit, m.help, m.source) for m in MEASURES.values()]
    parts = [HEAD, PROMPT, table(("name", "label", "unit", "what it is", "source"), prompt)]
    for topic in dict.fromkeys(term.topic for term in GLOSSARY.values()):
        terms = [term for term in GLOSSARY.values() if term.topic == topic]
        rows = [(t.label, t.unit, t.help, t.source, f"`{t.computed_by}`" if t.computed_by else "") for t in terms]
        parts += [f"\n## {topic}\n\n", table(("word", "unit", "what it is", "source", "computed by"), rows)]
    return "".join(parts)


if __name__ == "__main__":
    print(main(), end="")
