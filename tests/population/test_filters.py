from __future__ import annotations

import pandas as pd
import pytest

from memviz.errors import InputError
from memviz.population import Filters, choices

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


def test_filters_are_the_same_however_they_were_written() -> None:
    filters = Filters(("verse", "law, old"), (16, 0, 16), ("planted",), ("none",), ("recite",))
    assert filters == Filters(("law, old", "verse"), (0, 16), ("planted",), ("none",), ("recite",))


@pytest.mark.parametrize(("said", "named"), [({"parts": ("front",)}, "front"), ({"classes": ("x",)}, "'x'")])
def test_what_no_row_can_be_is_named(said: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Filters(**said)


def test_what_there_is_to_choose() -> None:
    found = choices(TABLE)
    assert found.domains == ("law, old", "verse") and found.buckets == (0, 1, 16)
    assert found.parts == ("background", "held-out", "planted")
    assert found.templates == ("incrementing", "none", "repeating") and found.classes == ("recite", "recollect")


def test_plain_tables_of_a_file_know_nothing_of_buckets() -> None:
    table = TABLE.assign(bucket=float("nan"), background=None, domain=None)
    assert choices(table).buckets == () == choices(table).parts
    assert not Filters(parts=("planted",)).keep(table).any()
