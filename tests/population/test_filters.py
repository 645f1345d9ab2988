from __future__ import annotations

import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.population import Filters, choices, filters_from_query

TABLE = pd.DataFrame(
    {
        "domain": ["verse", "law, old", "verse", None],
        "bucket": pd.array([0, 16, 1, None], "Int32"),
        "background": pd.array([False, False, True, None], "boolean"),
        "template": ["none", "repeating", "none", "incrementing"],
        "memorization_class": ["recollect", "recite", "recollect", None],
    }
)


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (Filters(), [0, 1, 2, 3]),
        (Filters(domains=("verse",)), [0, 2]),
        (Filters(domains=("verse", "law, old"), buckets=(0, 16)), [0, 1]),
        (Filters(parts=("held-out",)), [0]),
        (Filters(parts=("planted", "background")), [1, 2]),
        (Filters(templates=("incrementing",)), [3]),
        (Filters(classes=("recollect",), buckets=(1,)), [2]),
    ],
)
def test_lines_that_pass(filters: Filters, kept: list[int]) -> None:
    assert filters.apply(TABLE).index.tolist() == kept


def test_a_link_brings_the_same_filters_back() -> None:
    filters = Filters(("verse", "law, old"), (16, 0, 16), ("planted",), ("none",), ("recite",))
    assert filters_from_query(filters.to_query() | {"page": "3"}) == filters
    assert filters == Filters(("law, old", "verse"), (0, 16), ("planted",), ("none",), ("recite",))
    assert Filters().to_query() == {} and filters_from_query({"domains": "verse"}) == Filters(("verse",))


@pytest.mark.parametrize(
    ("query", "named"), [({"buckets": ["many"]}, "many"), ({"parts": ["front"]}, "front"), ({"classes": "x"}, "'x'")]
)
def test_links_that_cannot_be_read_are_named(query: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        filters_from_query(query)


def test_what_there_is_to_choose() -> None:
    found = choices(TABLE)
    assert found.domains == ("law, old", "verse") and found.buckets == (0, 1, 16)
    assert found.parts == ("background", "held-out", "planted")
    assert found.templates == ("incrementing", "none", "repeating") and found.classes == ("recite", "recollect")


def test_plain_tables_of_a_file_know_nothing_of_buckets() -> None:
    table = TABLE.assign(bucket=float("nan"), background=None, domain=None)
    assert choices(table).buckets == () == choices(table).parts
    assert not Filters(parts=("planted",)).keep(table).any()
