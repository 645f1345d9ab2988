"""The glossary against the code: every name leads to what computes it, and the numbers in its texts are the code's."""

from __future__ import annotations

import importlib
import re

import pytest
from support.serving import ROOT

from memviz.measures import MEASURES
from memviz.measures.geometry import N_NEIGHBOURS, N_PERMUTATIONS
from memviz.measures.glossary import GLOSSARY, Term, explain
from memviz.measures.score import RESYNC_RUN


@pytest.mark.parametrize("term", GLOSSARY.values(), ids=lambda term: term.name)
def test_a_term_says_what_it_is_and_leads_to_what_computes_it(term: Term) -> None:
    assert term.label and term.topic and term.help.endswith(".") and len(term.help) < 400
    if term.computed_by:
        try:
            importlib.import_module(term.computed_by)
        except ModuleNotFoundError:
            module, _, name = term.computed_by.rpartition(".")
            assert callable(getattr(importlib.import_module(module), name))


def test_no_word_is_defined_twice() -> None:
    assert not set(GLOSSARY) & set(MEASURES)
    labels = [term.label.lower() for term in (*GLOSSARY.values(), *MEASURES.values())]
    assert len(labels) == len(set(labels))


def test_numbers_in_the_texts_are_those_of_the_code() -> None:
    assert f"row's {N_NEIGHBOURS} nearest" in GLOSSARY["knn_overlap"].help
    assert f"{N_PERMUTATIONS} shuffles" in GLOSSARY["permutation_null"].help
    assert f", {RESYNC_RUN} matches" in GLOSSARY["resynchronised"].help


def test_a_help_text_holds_unit_and_source() -> None:
    behind = "Unit: 0 to 1. Source: Brier 1950."
    assert explain("brier") == f"Mean squared error of the probability; lower is better. {behind}"
    assert explain("memorization_score").startswith(MEASURES["memorization_score"].help)
    with pytest.raises(KeyError):
        explain("nothing")


def test_pages_take_their_help_from_here() -> None:
    """A name that a page asks for is there."""
    pages = [*(ROOT / "pages").glob("*.py"), *(ROOT / "memviz" / "ui").rglob("*.py")]
    asked = {name for path in pages for name in re.findall(r'explain\("(\w+)"\)', path.read_text())}
    assert asked and asked <= set(GLOSSARY) | set(MEASURES)
