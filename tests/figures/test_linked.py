from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.traces import pieces_of, random_trace, small_trace

from memviz.figures.linked import (
    FILLS,
    MODES,
    TRACE,
    Marks,
    Track,
    linked_data,
)
from memviz.figures.source import FOLDER

ROOT = Path(__file__).parents[2]
TEXTS = ["<bos>", " a", " b", "c", "\n"]
MARKS = Marks(first_divergence=3, resynchronised=4, change_points=(2,), memorized_end=3)


def small(has_truth: bool = True, **given: Any) -> dict[str, Any]:
    trace = small_trace(has_truth)
    return linked_data(trace, 0, pieces_of(trace, TEXTS), marks=MARKS, **given)


def test_values_of_a_small_trace() -> None:
    data = small()
    assert (data["n_context"], data["n_continuation"], data["truth"]) == (2, 3, True)
    ids = data["pieces"]["ids"]
    assert dict(zip(ids, data["pieces"]["segments"], strict=True)) == {
        0: ["<bos>"], 1: ["", "·", "a"], 2: ["", "·", "b"], 3: ["c"], 4: ["", "↵"],
    }  # fmt: skip

    def named(places: list[int | None]) -> list[int | None]:
        return [None if place is None else ids[place] for place in places]

    assert named(data["tokens"]) == [0, 1, 2, 3, 4]
    context, free, forced = data["context"], data["free_running"], data["teacher_forced"]
    assert context["entropy"] == [None, 1.25]
    assert context["surprisal"] == [None, 0.5]
    assert context["rank"] == [0, 2]
    assert [named(places) for places in context["top"]] == [[None, None], [3, 1]]
    assert context["shown_rank"] == [0, 1]
    assert named(free["shown"]) == [2, 4, 4]
    assert free["surprisal"] == [0.125, 1, 0.25]  # of the true tokens
    assert free["shown_surprisal"] == [0.125, 0.75, 0.25]  # of the generated ones
    assert free["top_surprisal"] == [[0.125, 3], [0.75, 1], [0.25, None]]  # no infinity in JSON
    assert free["fragile"] == [0, 1, 0]  # margin 0.01 < 2 * 0.01
    assert named(forced["shown"]) == [2, 4, 0]  # the argmax
    assert forced["shown_surprisal"] == [0.125, 0.75, 0.5]
    assert forced["rank"] == [1, 2, 7]
    assert data["marks"] == {
        "first_divergence": 3, "resynchronised": 4, "change_points": [2], "memorized_end": 3,
    }  # fmt: skip


def test_without_truth_everything_is_about_the_generated_tokens() -> None:
    data = small(has_truth=False)
    ids = data["pieces"]["ids"]
    assert [ids[place] for place in data["tokens"]] == [0, 1, 2, 4, 4]
    assert (data["truth"], data["teacher_forced"]) == (False, None)
    assert data["free_running"]["surprisal"] == [0.125, 0.75, 0.25]
    assert data["tracks"][0]["series"][1]["label"] == "−log p(generated)"


def test_one_entropy_axis_unless_a_value_leaves_it() -> None:
    trace = random_trace(4, 8)
    calm = replace(trace.free_running, entropy=np.full((1, 8), 7.9, np.float32))
    pieces = pieces_of(trace)
    trace = replace(trace, free_running=calm)
    assert linked_data(trace, 0, pieces)["tracks"][0]["domain"] == [0, 8]
    assert small()["tracks"][0]["domain"] == [0, 13]  # it holds an entropy of 9


def test_id_follows_the_content() -> None:
    assert small()["id"] == small()["id"]
    assert small()["id"] != small(has_truth=False)["id"]


def test_data_are_json_and_small() -> None:
    trace = random_trace(24, 976, n_vocabulary=50_000)
    text = json.dumps(
        linked_data(trace, 0, pieces_of(trace)), separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    assert len(text.encode()) < 1_000_000


def track(**given: Any) -> Track:
    series = [{"label": "2-gram count", "values": [None, 1, 10, float("nan"), 3], "style": "main"}]
    base = {
        "id": "n", "label": "count", "unit": "occurrences", "kind": "steps", "scale": "log", "domain": (1, 100),
        "series": series,
    }  # fmt: skip
    return base | given  # type: ignore[return-value]


def test_further_tracks() -> None:
    found = small(tracks=[track(texts=["x"] * 5)])["tracks"]
    assert [t["id"] for t in found] == ["entropy", "n"]
    assert found[1]["series"][0]["values"] == [None, 1, 10, None, 3]
    assert found[1]["domain"] == [1, 100]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"series": [{"label": "s", "values": [1], "style": "main"}]}, "track 'n', s: got 1 values, expected 5"),
        ({"texts": ["x"]}, "track 'n', texts: got 1 values, expected 5"),
        ({"domain": (0, 100)}, "domain \\(0, 100\\) does not fit a log scale"),
        ({"domain": (5, 5), "scale": "linear"}, "domain \\(5, 5\\) does not fit a linear scale"),
    ],
)
def test_bad_tracks(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(tracks=[track(**given)])


def test_bad_input() -> None:
    trace = small_trace()
    pieces = pieces_of(trace, TEXTS)
    with pytest.raises(ValueError, match="row 1 is not in the trace; it holds rows 0 to 0"):
        linked_data(trace, 1, pieces)
    with pytest.raises(ValueError, match="pieces\\['generated'\\]: got 1 pieces, expected 3"):
        linked_data(trace, 0, pieces | {"generated": pieces["generated"][:1]})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pieces\\['true'\\]: got 0 pieces, expected 3"):
        linked_data(trace, 0, pieces | {"true": None})  # type: ignore[arg-type]
    odd = replace(trace, free_running=replace(trace.free_running, top_ids=np.full((1, 3, 2), 77)))
    with pytest.raises(ValueError, match="lacks token 77"):
        linked_data(odd, 0, pieces)


def test_standalone_page_is_one_file_that_text_cannot_leave() -> None:
    trace = small_trace()
    texts = ["</script><script>alert(1)</script>", "<!--", "{{TITLE}}", "&lt;", "\u2028"]
    page = TRACE.page(linked_data(trace, 0, pieces_of(trace, texts)), "<i>{{DATA}}</i>")
    assert page.count("<script") == page.count("</script>") == 3  # two of data, one module
    assert "<title>&lt;i&gt;{{DATA}}&lt;/i&gt;</title>" in page
    assert "<!--" not in page
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    assert ["</script><script>alert(1)</script>"] in json.loads(found[1])["pieces"]["segments"]
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)


def test_names_of_modes_and_fills_are_the_same_on_both_sides() -> None:
    js = TRACE.js()
    assert tuple(re.findall(r"^  (\w+): \{ label", js, re.MULTILINE)) == FILLS
    modes = re.search(r"MODES = \{(.*?)\}", js)
    assert modes
    assert tuple(re.findall(r"(\w+):", modes[1])) == MODES


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hues_are_those_of_the_theme(theme: str) -> None:
    config = ROOT / ".streamlit" / "config.toml"
    if not config.exists():
        pytest.skip("no theme to compare with")
    colours = tomllib.loads(config.read_text("utf-8"))["theme"][theme]
    palette = re.search(rf"  {theme}: \{{(.*?)\}}", TRACE.js(), re.DOTALL)
    assert palette
    own = dict(re.findall(r'(\w+): "(#\w+)"', palette[1]))
    named = {"match": "green", "miss": "orange", "main": "blue", "faint": "yellow", "change": "violet"}
    assert {name: own[name] for name in named} == {name: colours[f"{hue}Color"] for name, hue in named.items()}
    page = (FOLDER / "shared" / "standalone.css").read_text("utf-8")
    assert colours["textColor"] in page
    assert colours["backgroundColor"] in page
