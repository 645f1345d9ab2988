"""The data of the map's component, and its pure functions in Chromium."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page

from memviz.figures.dynamics import dynamics_figure
from memviz.figures.maps import COLOURS, MAP, N_SHADES, Pane, Path, categories, facets_of, fit_of, map_data
from memviz.measures.score import LEVELS

STEPS, N = [-1, 3, 7], 40


def points(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hits = np.arange(N) % 9
    return pd.DataFrame(
        {
            "row": np.tile(np.arange(N) * 7, len(STEPS)),
            "step": np.repeat(STEPS, N),
            "x": rng.normal(size=N * len(STEPS)).astype(np.float32),
            "y": rng.normal(size=N * len(STEPS)).astype(np.float32),
            "score": np.tile(hits / 8, len(STEPS)),
            "level": pd.Categorical.from_codes(
                np.tile(np.minimum(4, 5 * hits // 8), len(STEPS)), list(LEVELS), ordered=True
            ),
            "domain": np.tile(np.where(np.arange(N) % 2, "code", "prose"), len(STEPS)),
            "exposures": pd.array(np.tile(np.array([0, 1, 16, 64])[np.arange(N) % 4], len(STEPS)), "Int32"),
            "entropy": np.linspace(0, 6, N * len(STEPS)),
            "loop": np.tile(np.arange(N) % 5 == 0, len(STEPS)),
        }
    )


def unpacked(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_every_point_is_at_its_place_in_one_frame_for_all_steps_and_panes() -> None:
    one, other = points(0), points(1)
    data = map_data([Pane("a", one), Pane("b", other)], "level")
    x0, y0, x1, y1 = data["frame"]
    for pane, table in zip(data["panes"], (one, other), strict=True):
        assert unpacked(pane["rows"], "<i4").tolist() == table["row"][:N].tolist()
        places = unpacked(pane["places"], "<u2").reshape(-1, 2) / 65535
        np.testing.assert_allclose(x0 + (x1 - x0) * places[:, 0], table["x"], atol=(x1 - x0) / 65535)
        np.testing.assert_allclose(y0 + (y1 - y0) * places[:, 1], table["y"], atol=(y1 - y0) / 65535)
        assert (places > 0).all() and (places < 1).all()
    assert data["steps"] == STEPS


@pytest.mark.parametrize("colour", COLOURS)
def test_each_colour_says_what_its_points_are(colour: Any) -> None:
    table = points()
    data = map_data([Pane("a", table)], colour)
    hues, scale = unpacked(data["panes"][0]["hues"], "u1"), data["scale"]
    if scale["categories"] is None:
        share = (table[colour] - scale["low"]) / (scale["high"] - scale["low"])
        np.testing.assert_allclose(hues, share * (N_SHADES - 1), atol=0.5)
        return
    known = [value for value, _ in categories(table[colour].astype(object), colour)]
    assert [known[hue] for hue in hues] == table[colour].tolist()
    assert [each["n"][0] for each in scale["categories"]] == np.bincount(hues[:N], minlength=len(known)).tolist()


def test_the_legend_counts_every_pane() -> None:
    low, high = (points().assign(level=level) for level in ("very low", "very high"))
    listed = map_data([Pane("a", low), Pane("b", high)], "level")["scale"]["categories"]
    assert {each["name"]: each["n"] for each in listed} == {level: [0, 0] for level in LEVELS} | {
        "very low": [N, 0],
        "very high": [0, N],
    }


def test_what_is_unknown_is_said_to_be() -> None:
    table = points().assign(exposures=pd.array([pd.NA] * N * len(STEPS), "Int32"))
    scale = map_data([Pane("a", table)], "exposures")["scale"]
    assert scale["categories"] == [{"name": "unknown", "colour": ["muted", 0], "n": [N]}]


def test_a_new_selection_or_step_is_not_a_new_map() -> None:
    panes = [Pane("a", points())]
    plain, begun = map_data(panes, "level"), map_data(panes, "level", 3, np.array([7]))
    assert plain["id"] == begun["id"] and begun["start"] == {"step": 3, "selected": [7]}
    recoloured = map_data(panes, "domain")
    assert recoloured["id"] != plain["id"] and recoloured["frame_id"] == plain["frame_id"]
    path = Path(np.zeros((5, 2)), list("abcde"), 2)
    assert map_data([Pane("a", points(), path)], "level")["frame_id"] == plain["frame_id"]


def test_points_that_are_not_the_same_rows_at_each_step_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same rows at each of 3 steps"):
        map_data([Pane("a", points().iloc[1:])], "level")


def test_what_is_drawn_at_first_holds_99_percent_of_the_points_and_no_stray() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=4000), "y": rng.normal(size=4000)})
    table.loc[0] = [900, -900]
    x0, y0, x1, y1 = fit_of([Pane("a", table)])
    inside = table["x"].between(x0, x1) & table["y"].between(y0, y1)
    assert 0.99 <= inside.mean() < 1 and not inside[0] and x1 - x0 < 10


def test_bars_number_the_values_of_each_row() -> None:
    table = points().iloc[:N].assign(exposures=pd.array([pd.NA, *([4] * (N - 2)), 0], "Int32"))
    domain, exposures, score = facets_of(table)
    assert domain["labels"] == ["code", "prose"] and score["labels"] == list(LEVELS)
    assert [domain["labels"][code] for code in unpacked(domain["codes"], "u1")] == table["domain"].tolist()
    assert [score["labels"][code] for code in unpacked(score["codes"], "u1")] == table["level"].tolist()
    assert exposures["labels"] == ["held out", "4 exposures", "unknown"]
    assert unpacked(exposures["codes"], "u1").tolist() == [2, *([1] * (N - 2)), 0]


def test_a_line_a_pair_and_a_panel_a_model() -> None:
    table = pd.DataFrame(
        {
            "step": [-1, 0, 1] * 2,
            "measure": "cosine",
            "state": "after the final norm",
            "variant": "all",
            "a": ["memorized"] * 6,
            "b": ["memorized"] * 3 + ["unmemorized"] * 3,
            "value": [0.1, 0.2, 0.3, 0.4, 0.5, np.nan],
            "low": 0.0,
            "high": 1.0,
            "n_a": 5,
            "n_b": 6,
        }
    )
    pairs = [("memorized", "memorized"), ("memorized", "unmemorized"), ("half", "half")]
    figure = dynamics_figure({"small": table, "large": table}, "cosine", "after the final norm", "all", pairs)
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [(trace.name, trace.xaxis) for trace in lines] == [
        ("within memorized", "x"),
        ("memorized to unmemorized", "x"),
        ("within memorized", "x2"),
        ("memorized to unmemorized", "x2"),
    ]
    assert [trace.showlegend for trace in lines] == [True, True, False, False]
    assert list(lines[1].x) == [-1, 0] and list(lines[1].y) == [0.4, 0.5]
    six = dynamics_figure(dict.fromkeys("abcdef", table), "cosine", "after the final norm", "all", pairs)
    assert len({six.layout[f"xaxis{i}"].domain for i in ("", *range(2, 7))}) == 3, (
        "two lines of three, not four and two"
    )
    assert not dynamics_figure({}, "cosine", "after the final norm", "all", pairs).data


# In Chromium


LOAD = """async (source) => {
  window.module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}"""


@pytest.fixture
def module(page: Page) -> Any:
    """Evaluates an expression over the module `m`."""
    page.set_content("<!doctype html>")
    page.evaluate(LOAD, MAP.js())
    return lambda expression: page.evaluate(f"() => {{ const m = window.module; return {expression}; }}")


@pytest.mark.browser
def test_a_lasso_holds_what_is_inside_it(module: Any) -> None:
    hook = "[0, 0, 10, 0, 10, 10, 6, 10, 6, 4, 4, 4, 4, 10, 0, 10]"  # a square with a slot from above
    assert module(f"m.enclosed({hook}, [2, 2, 5, 8, 8, 8, 5, 2, 12, 5])") == [0, 2, 3]
    rng = np.random.default_rng(0)
    cloud = rng.random((200, 2)) * 10
    triangle = "[1, 1, 9, 2, 4, 8]"
    (ax, ay), (bx, by), (cx, cy) = (1, 1), (9, 2), (4, 8)
    x, y = cloud.T
    sides = [
        (bx - ax) * (y - ay) - (by - ay) * (x - ax),
        (cx - bx) * (y - by) - (cy - by) * (x - bx),
        (ax - cx) * (y - cy) - (ay - cy) * (x - cx),
    ]
    inside = np.flatnonzero((np.array(sides) > 0).all(axis=0)).tolist()
    assert module(f"m.enclosed({triangle}, {cloud.ravel().tolist()})") == inside
    assert module("m.nearestTo([0, 0, 3, 4, 3.2, 4], 3.15, 4, 1)") == 2
    assert module("m.nearestTo([0, 0], 3, 4, 4.9)") == -1


@pytest.mark.browser
def test_the_camera_keeps_what_is_under_the_pointer(module: Any) -> None:
    module("window.camera = new m.Camera([0, 0, 10, 5])")
    assert module("window.camera.toScreen(5, 2.5, 400, 400)") == [200, 200]
    assert module("window.camera.toScreen(10, 5, 400, 400)") == [400, 100]
    before = module("window.camera.toWorld(300, 120, 400, 400)")
    module("window.camera.zoomAt(300, 120, 3, 400, 400)")
    assert module("window.camera.toWorld(300, 120, 400, 400)") == pytest.approx(before)
    module("window.camera.pan(12, -7, 400, 400)")
    assert module("window.camera.toWorld(312, 113, 400, 400)") == pytest.approx(before)
    assert module('Array.from(m.decode("AQACAP//", Uint16Array))') == [1, 2, 65535]


@pytest.mark.browser
def test_bars_count_what_passes_the_others(module: Any) -> None:
    facets = "[{labels: ['a', 'b'], codes: [0, 0, 1, 1]}, {labels: ['x', 'y'], codes: [0, 1, 0, 1]}]"
    texts = "['The cat', 'a Dog', 'dogs', 'cat']"
    assert module(f"[...m.passing({facets}, [new Set([0]), new Set()], {texts}, '')]") == [1, 1, 0, 0]
    assert module(f"[...m.passing({facets}, [new Set([0]), new Set([1])], {texts}, '')]") == [0, 1, 0, 0]
    assert module(f"[...m.passing({facets}, [new Set([0]), new Set([1])], {texts}, '', 1)]") == [1, 1, 0, 0]
    assert module(f"[...m.passing({facets}, [new Set(), new Set()], {texts}, ' DOG')]") == [0, 1, 1, 0]
    assert module(f"m.tallyOf({facets}[1], [1, 1, 1, 0])") == [2, 1]


@pytest.mark.browser
def test_keys_lead_to_the_nearest_point_in_a_direction(module: Any) -> None:
    at = "[0, 0, 5, 1, 3, 9, -2, 0, 0, -4]"
    ways = {"[1, 0]": 1, "[-1, 0]": 3, "[0, 1]": 2, "[0, -1]": 4}
    assert {way: module(f"m.nearestBeside({at}, 0, {way})") for way in ways} == ways
    assert module(f"m.nearestBeside({at}, 1, [1, 0])") == 1  # nothing lies there


@pytest.mark.browser
def test_contours_lie_around_the_cloud_and_count_what_counts(module: Any) -> None:
    rng = np.random.default_rng(0)
    cloud = np.concatenate([rng.normal(20, 3, (4000, 2)), [[80, 80]]])
    frame = "[0, 0, 100, 100]"
    lines = module(f"m.contours(m.smoothed({cloud.ravel().tolist()}, {frame}), {frame})")
    radii = [np.hypot(*(np.array(each).reshape(-1, 2) - 20).T) for each in lines]
    assert len(lines) == 4 and all(len(each) for each in radii)
    means = [float(each.mean()) for each in radii]
    assert means == sorted(means, reverse=True)
    for share, mean in zip((0.1, 0.25, 0.5, 0.75), means, strict=True):  # of a Gaussian, widened by the smoothing
        assert mean == pytest.approx(np.sqrt(-2 * np.log(share)) * np.hypot(3, 2.9), rel=0.25)
    none = f"m.contours(m.smoothed({cloud.ravel().tolist()}, {frame}, () => false), {frame})"
    assert module(none) == [[], [], [], []]
