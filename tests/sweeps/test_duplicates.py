"""Groups of near-duplicates against looking at every pair of rows."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memviz.errors import InputError
from memviz.sweeps.duplicates import WINDOW, near_duplicate_groups


def by_pairs(rows: list[list[int]]) -> list[int]:
    """For each row the smallest one it is joined with, from sets of runs held against each other."""
    runs = [{tuple(row[at : at + WINDOW]) for at in range(len(row) - WINDOW + 1)} or {("short", *row)} for row in rows]
    label = list(range(len(rows)))
    for _ in rows:
        for one in range(len(rows)):
            for other in range(one):
                if runs[one] & runs[other]:
                    label[one] = label[other] = min(label[one], label[other])
    return label


def groups(rows: list[list[int]], folder: Path, in_block: int = 3) -> list[int]:
    blocks = [rows[at : at + in_block] for at in range(0, len(rows), in_block)]
    flat = (
        (np.array([*chain.from_iterable(block)], np.int64), np.array([len(row) for row in block])) for block in blocks
    )
    n_windows = sum(max(1, len(row) - WINDOW + 1) for row in rows)
    found = near_duplicate_groups(flat, len(rows), n_windows, folder).tolist()
    assert {path.name for path in folder.iterdir()} == {"labels"}
    return found


@st.composite
def related(draw: st.DrawFn) -> list[list[int]]:
    """Rows of stretches of a few texts of few ids, so that runs of 15 to 17 are shared and chains arise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    texts = [rng.integers(0, draw(st.sampled_from([2, 500])), 60).tolist() for _ in range(3)]
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        row: list[int] = []
        for _ in range(draw(st.integers(0, 3))):
            text, start = draw(st.sampled_from(texts)), draw(st.integers(0, 40))
            row += text[start : start + draw(st.integers(1, 20))]
        rows.append(row)
    return rows


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=related(), at_once=st.sampled_from([1, 7, 10**6]), in_bucket=st.sampled_from([1, 5, 10**6]))
def test_as_looking_at_every_pair(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], at_once: int, in_bucket: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memviz.sweeps.duplicates.AT_ONCE", at_once)
        patch.setattr("memviz.sweeps.duplicates.IN_BUCKET", in_bucket)
        assert groups(rows, tmp_path_factory.mktemp("groups")) == by_pairs(rows)


def test_many_copies_and_long_chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.sweeps.duplicates.AT_ONCE", 500)
    monkeypatch.setattr("memviz.sweeps.duplicates.IN_BUCKET", 300)
    text = np.random.default_rng(0).integers(0, 500, 4000).tolist()
    links = [text[at : at + 24] for at in range(0, 3200, 8)]  # each shares 16 with the next
    rng = np.random.default_rng(1)
    rows = [*links, *[[1] * 30] * 200]
    order = rng.permutation(len(rows))
    found = np.array(groups([rows[place] for place in order], tmp_path, 50))
    first = {kind: int(np.flatnonzero((order >= len(links)) == kind)[0]) for kind in (False, True)}
    assert found.tolist() == [first[bool(place >= len(links))] for place in order]


def test_no_room_is_said_before(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"among 1 rows takes about 12000\.0 GB in .*; .* GB are free: make room, or"):
        near_duplicate_groups([], 1, 10**12, tmp_path)
