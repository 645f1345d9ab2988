"""Stored requests and links that mean harm: of another kind, of wrong types, by names that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.hostile import HTML, MARKDOWN, NAMES
from support.store import PLENTY

from memviz.errors import InputError
from memviz.maps import DynamicsTask, MapTask, SimilarityTask
from memviz.predictor import FitTask
from memviz.predictor.forecast import ForecastTask
from memviz.settings import Settings
from memviz.store import Store
from memviz.sweeps import RowSet, SweepTask
from memviz.tasks.base import Task, task_from
from memviz.tasks.ladder import LadderTask
from memviz.tasks.lens import LensTask
from memviz.tasks.perturbation import PerturbationTask
from memviz.tasks.trace import TraceTask
from memviz.ui.common.strip import selection
from memviz.ui.common.texts import as_option, escaped

KINDS: list[type[Task[Any]]] = [
    TraceTask,
    LadderTask,
    LensTask,
    PerturbationTask,
    SweepTask,
    MapTask,
    DynamicsTask,
    SimilarityTask,
    FitTask,
    ForecastTask,
]
TRACE = TraceTask("m", (1, 2), (3,), 1).request()
SWEEP = SweepTask(("m",), RowSet(rows=(1, 2))).request()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("request_", [{}, [], None, 3, HTML, {"task": HTML}, {"task": ["trace"]}], ids=repr)
def test_a_request_of_another_kind_is_refused(kind: type[Task[Any]], request_: Any) -> None:
    for read in (lambda: task_from(request_), lambda: task_from(request_, kind)):
        with pytest.raises(InputError, match="stored"):
            read()
    with pytest.raises(InputError, match="stored request cannot be read"):
        task_from({"task": kind.kind}, kind)


def test_a_comparison_of_another_kind_is_refused() -> None:
    for request in ({}, {"rows": [TRACE], "axis": HTML}, {"rows": 3, "axis": "size"}, {"rows": [{}], "axis": "size"}):
        with pytest.raises(InputError):
            task_from({"task": "ladder"} | request, LadderTask)


@pytest.mark.parametrize("value", [None, HTML, -1, 1.5, [HTML], [[1]], {"a": 1}, [1.5], [True], 10**400], ids=repr)
@pytest.mark.parametrize("field", ["model", "context_ids", "continuation_ids", "n_steps", "dtype", "all_layers"])
def test_a_trace_of_the_wrong_types_is_refused(field: str, value: Any) -> None:
    if (field, value) in (("model", HTML), ("continuation_ids", None)):  # a name, and decoding without a truth
        assert task_from(TRACE | {field: value}).request()[field] == value
        return
    if field == "n_steps" and value == 10**400:
        value = 1.0
    with pytest.raises(InputError) as raised:
        task_from(TRACE | {field: value})
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("value", [None, HTML, 3, [1.5], [[1]], {"a": 1}], ids=repr)
@pytest.mark.parametrize("field", ["models", "contexts", "continuations", "context_at", "positions", "rows"])
def test_a_sweep_of_the_wrong_types_is_refused(field: str, value: Any) -> None:
    if (field, value) == ("context_at", 3):
        return
    with pytest.raises(InputError):
        task_from(SWEEP | {field: value}, SweepTask)


def test_requests_are_read_as_they_were_written() -> None:
    for request in (TRACE, SWEEP):
        assert task_from(request).request() == request == json.loads(json.dumps(request))


@pytest.mark.parametrize("name", [*NAMES, "", "0" * 7, "g" * 16, "0" * 65, "%", "_" * 8, "0' OR '1'='1"])
def test_links_are_hashes_and_nothing_else(settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match="expected at least the first 8 hex characters of its hash") as raised:
        Store(settings.cache / "results", PLENTY).get_request(name)
    assert len(str(raised.value)) < 200 and str(raised.value).isprintable()


@pytest.mark.parametrize("value", [*NAMES, "", "-1", "1e9", "９", "9" * 100, "0x1", " 1"])
def test_what_makes_no_sense_in_a_link_is_left_out(value: str) -> None:
    assert selection({"tok": value, "mode": value, "fill": value}) == {"pinned": None}


def test_markdown_is_shown_as_it_stands() -> None:
    marks = set("\\`*_{}[]()#+-.!~|<>:$^=&")
    for text in (MARKDOWN, HTML, "".join(marks)):
        shown = escaped(text)
        assert all(shown[place - 1] == "\\" for place, mark in enumerate(shown) if mark in marks - {"\\"})
        assert as_option(text) == shown
    assert as_option("www.evil.example") == escaped("www.evil.example"), "it would be a link"
    addresses = ("https://a.example", "HTTP://a.example", "www.a.example", "me@a.example")
    assert all("\N{WORD JOINER}" in escaped(each) for each in addresses), (
        "backslashes do not keep these from being links"
    )
    assert "\N{WORD JOINER}" not in escaped("suite-1.8m@step165. http: www") + escaped("1.8m@step165")
    assert as_option("held-out") == "held-out", "addresses have it so"
