"""The request: equal however it is written, round-tripped through JSON and through its command line."""

from __future__ import annotations

import json

import pytest

from memviz.errors import InputError
from memviz.sweeps import RowSet, SweepTask, sweep_command
from memviz.tasks.base import task_from


def test_equal_requests_have_equal_hashes() -> None:
    one = SweepTask(("a", "b"), RowSet(buckets=(0, 4), sample=10), contexts=(16, 8, 8), context_modes=("anchored",))
    other = task_from(json.loads(json.dumps(one.request())))
    assert one == other and one.hash == other.hash
    assert one.contexts == (8, 16)
    assert one.hash != SweepTask(("a", "b"), RowSet(buckets=(0, 4), sample=11)).hash


def test_the_command_names_what_is_not_the_default() -> None:
    plain = SweepTask(("a", "b"))
    assert sweep_command(plain) == "memviz sweep --models a,b --data suite --out sweep"
    some = sweep_command(SweepTask(("a",), RowSet(parts=("planted", "background"), background=400)))
    assert some == "memviz sweep --models a --data suite --parts planted,background --background 400 --out sweep"
    rows = RowSet("x y.csv", labels=("score",), id_column="n", rows=(1, 5), sample=2, seed=3)
    task = SweepTask(
        ("a",), rows, contexts=(), context_modes=("sliding",), continuations=(50,), context_at=50, positions=True
    )
    assert sweep_command(task, "o") == (
        "memviz sweep --models a --data 'x y.csv' --rows 1,5 --labels score --sample 2 --seed 3 --id-column n "
        "--contexts none --continuations 50 --context-at 50 --positions --out o"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ()}, "a sweep needs a model"),
        ({"models": ("a", "a")}, "a model is named twice"),
        ({"contexts": (), "continuations": ()}, "a sweep needs a size"),
        ({"contexts": (0,)}, "a context of 0 tokens was asked for: give at least 1"),
        ({"continuation_at": -1}, "a continuation of -1 tokens"),
        ({"context_modes": ("slid",)}, "context mode 'slid' is unknown: use sliding or anchored"),
        ({"context_modes": ()}, "contexts need a mode"),
        ({"dtype": "float8"}, "dtype 'float8' is unknown"),
    ],
)
def test_unusable_requests(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SweepTask(**{"models": ("a",)} | values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "x.txt"}, r"x.txt is none of .npy, .bin, .jsonl, .csv, .tsv, .parquet"),
        ({"source": "x.csv", "domains": ("bible",)}, "choose rows of the bundled corpus"),
        ({"labels": ("a",)}, "rows of the bundled corpus have none"),
        ({"source": "x.npy", "labels": ("a",)}, "a .npy has no columns"),
        ({"source": "x.csv", "labels_file": "y.npy"}, "goes with rows that come as .npy"),
        ({"source": "x.csv", "labels": ("a", "a")}, "a label is named twice"),
        ({"sample": 0}, "a sample of 0 rows"),
        ({"seed": -1}, "the seed of the sample is -1"),
        ({"parts": ("test",)}, "part 'test' of the corpus is unknown"),
        ({"rows": (-3,)}, "row -3 was asked for"),
    ],
)
def test_unusable_row_sets(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RowSet(**values)


def test_a_stored_request_of_another_version_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read by this version"):
        task_from({"task": "sweep", "models": ["a"]})
