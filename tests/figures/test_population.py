"""Figures of populations by the data in them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from support.colours import contrast, rgb

from memviz.figures.boundary import boundary_figure
from memviz.figures.frame import percent, shorter
from memviz.figures.palette import THEMED, palette
from memviz.figures.population import levels_figure, lines_figure, size_figure, spaced
from memviz.figures.transitions import transition_figure
from memviz.measures.score import LEVELS

SHARES = {"very_low": 0.5, "low": 0.06, "medium": 0.24, "high": 0.1, "very_high": 0.1}
NAMES = {"a": "1m", "b": "8m"}
GROUPS = {"memorized": "M = 1", "half": "M = 1/2", "unmemorized": "M = 0"}


def summary_of(**columns: list[object]) -> pd.DataFrame:
    """Lines with a mean of .1, .2, ... and known ends."""
    n = len(next(iter(columns.values())))
    mean = np.arange(1, n + 1) / 10
    table = pd.DataFrame(
        {**columns, "n": 40, "n_units": 30, "mean": mean, "mean_low": mean - 0.05, "mean_high": mean + 0.02}
    )
    table = table.assign(full=mean / 2, full_low=0.0, full_high=mean)
    for level, share in SHARES.items():
        table = table.assign(**{f"share_{level}": share, f"share_{level}_low": 0.0, f"share_{level}_high": 1.0})
    return table


def test_levels_are_stacked_from_very_low_to_very_high_with_large_shares_written() -> None:
    figure = levels_figure(summary_of(model=["a", "b"]), "model", NAMES)
    assert figure.layout.barmode == "stack"
    assert [trace.name for trace in figure.data] == list(LEVELS)
    assert np.array([trace.y for trace in figure.data]).sum(axis=0) == pytest.approx([1, 1])
    assert list(figure.data[0].x) == ["1m", "8m"]
    assert [trace.text[0] for trace in figure.data] == ["50%", "", "24%", "10%", "10%"]
    assert figure.data[0].customdata[0, 2] == 40, "n is there to be read"


def test_size_is_drawn_on_a_logarithmic_axis_with_whiskers_fit_and_floor() -> None:
    fit = (np.array([1e6, 8e6]), np.array([0.0, 0.5]), "line")
    floor = summary_of(model=["a", "b"]).assign(mean=0.03)
    figure = size_figure(summary_of(model=["a", "b"]), "mean", {"a": 10**6, "b": 8 * 10**6}, NAMES, fit, floor)
    fitted, held_out, drawn = figure.data
    assert figure.layout.xaxis.type == "log"
    assert (list(drawn.x), list(drawn.y)) == ([10**6, 8 * 10**6], [0.1, 0.2])
    assert list(drawn.error_y.array) == pytest.approx([0.02, 0.02])
    assert list(drawn.error_y.arrayminus) == pytest.approx([0.05, 0.05])
    assert (fitted.name, list(held_out.y), held_out.line.dash) == ("line", [0.03, 0.03], "dash")


def test_lines_of_models_end_in_names_that_do_not_touch() -> None:
    table = summary_of(model=["a", "a", "b", "b"], m=[16, 96, 16, 96]).assign(mean=[0.5, 0.3, 0.6, 0.301])
    figure = lines_figure(table, "m", "m", "mean", ["a", "b"], NAMES)
    assert [list(trace.y) for trace in figure.data] == [[0.5, 0.3], [0.6, 0.301]]
    assert figure.data[0].line.color != figure.data[1].line.color
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol, "not by colour alone"
    one, other = figure.layout.annotations
    assert {one.text, other.text} == {"1m", "8m"}
    assert (abs(one.y - other.y), abs(one.ay - other.ay)) == (pytest.approx(0.001), pytest.approx(0.075 * 0.42))
    assert {one.font.color, other.font.color} == {trace.line.color for trace in figure.data}
    assert (one.arrowcolor, other.arrowcolor) == ("rgba(0,0,0,0)", other.font.color), "only what was moved is led back"


def test_names_of_lines_that_end_at_the_top_of_a_fixed_axis_stay_below_it() -> None:
    table = summary_of(model=["a", "b", "c"], m=[16] * 3)
    table = table.assign(auroc=[0.99, 1.0, 0.98], auroc_low=0.9, auroc_high=1.0)
    figure = lines_figure(table, "m", "m", "auroc", ["a", "b", "c"], {})
    places = {each.text: each.ay for each in figure.layout.annotations}
    assert list(places) == ["c", "a", "b"] and figure.layout.yaxis.range == (0.3, 1.03)
    assert [places[name] for name in "bac"] == pytest.approx([1.03, 0.955, 0.88])


def test_categories_without_order_are_not_joined_and_the_floor_is_of_the_largest() -> None:
    table = summary_of(model=["a", "b"], domain=["verse", "verse"])
    floor = summary_of(model=["a", "b"], domain=["verse", "verse"]).assign(mean=[0.01, 0.02])
    figure = lines_figure(table, "domain", "domain", "mean", ["a", "b"], NAMES, floor, category=True, join=False)
    assert [trace.mode for trace in figure.data] == ["markers"] * 3
    assert (figure.data[2].name, list(figure.data[2].y)) == ("held out, 8m", [0.02])


def test_a_matrix_writes_percent_and_count_and_hides_percent_below_the_least_n() -> None:
    counts = np.zeros((5, 5), int)
    counts[0], counts[4, 4] = [15, 5, 0, 0, 0], 3
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(axis=1, keepdims=True)
    figure = transition_figure(counts, shares, "1m", "8m", 20, chosen=(0, 1))
    heat, squares = figure.data
    words = dict(zip([tuple(each[:2]) for each in squares.customdata], squares.text, strict=True))
    assert (words[0, 0], words[0, 1]) == ("<b>75%</b><br>15", "<b>25%</b><br>5")
    assert (words[4, 4], words[2, 2]) == ("3", "")
    assert heat.z[0][0] == 0.75 and heat.z[4][4] == 0, "too few to be coloured"
    assert squares.marker.opacity < 0.05 and squares.marker.symbol == "square"
    boxes = [(shape.y0 + 0.5, shape.x0 + 0.5) for shape in figure.layout.shapes]
    assert boxes == [(i, i) for i in range(5)] + [(0, 1)], "the diagonal, and the chosen cell"


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_numbers_on_cells_and_bars_are_readable(mode: str) -> None:
    colours = palette(mode)  # type: ignore[arg-type]
    for share in np.linspace(0, 1, 21):
        shares = np.full((5, 5), share)
        figure = transition_figure(np.full((5, 5), 30), shares, "1m", "8m", 20, colours=colours)
        stops, shades = zip(*figure.data[0].colorscale, strict=True)
        fill = tuple(np.interp(share, stops, channel) for channel in zip(*map(rgb, shades), strict=True))
        assert contrast(rgb(figure.data[1].textfont.color[0]), fill) >= 4, f"{share:.0%} in {mode}"  # type: ignore[arg-type]
    bars = levels_figure(summary_of(model=["a"]), "model", NAMES, colours).data
    for bar in bars:
        assert contrast(rgb(bar.textfont.color), rgb(bar.marker.color)) >= 4, bar.name
    ladder = colours.ladder(6)
    for colour in ladder:
        assert contrast(rgb(colour), rgb(colours.ground)) >= 4.5, "names of lines are written in them"
    assert all(contrast(rgb(a), rgb(b)) > 1.2 for a, b in pairwise(ladder)) and len(set(colours.ladder(4))) == 4


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0%"), (1e-4, "<1%"), (0.004, "<1%"), (0.006, "1%"), (0.996, ">99%"), (1, "100%")]
)
def test_what_is_there_is_never_nothing(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_levels_and_sizes_have_ramps_of_their_own(mode: str) -> None:
    colours = palette(mode)  # type: ignore[arg-type]
    assert len(colours.levels) == len(LEVELS) and not set(colours.levels) & set(colours.sequential)


def curves() -> pd.DataFrame:
    t = np.arange(-2, 3)
    tables = []
    for group, base in (("memorized", 1.0), ("half", np.nan), ("unmemorized", 3.0), ("all", 2.0)):
        mean = base + 0.1 * t
        table = pd.DataFrame(
            {"group": group, "index": t + 2, "t": t, "n": 7, "mean": mean, "low": mean - 1, "high": mean + 1}
        )
        null = np.nan if group == "all" else 2.5
        tables.append(table.assign(null=null, null_low=2.0, null_high=3.0, all_rows=2 + 0.1 * t))
    return pd.concat(tables, ignore_index=True)


def named(figure: object) -> dict[str, list[float]]:
    return {trace.name: list(trace.y) for trace in figure.data if trace.name}  # type: ignore[attr-defined]


def test_a_boundary_shows_groups_bands_and_the_place_where_the_continuation_starts() -> None:
    figure = boundary_figure(curves(), "entropy (nats)", GROUPS, scale=10)
    drawn = named(figure)
    assert drawn["M = 1"] == pytest.approx([8, 9, 10, 11, 12])
    assert drawn["all rows"] == pytest.approx([18, 19, 20, 21, 22])
    assert "M = 1/2" not in drawn, "a group without rows is left out"
    said = {each.text: each.y for each in figure.layout.annotations}
    assert said == pytest.approx({"M = 1": 12, "all rows": 22, "M = 0": 32}) and not figure.layout.showlegend
    assert any("memorized, M = 1, n = 7" in str(trace.hovertemplate) for trace in figure.data)
    assert drawn["selection alone"] == pytest.approx([25] * 5)
    assert figure.layout.shapes[0].x0 == -0.5
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 4 and max(bands[0].y) == pytest.approx(22)
    assert "selection alone" not in named(boundary_figure(curves(), "entropy", GROUPS, null=False))


def test_all_rows_are_taken_off_and_the_edge_can_be_moved() -> None:
    moved = (2, {"memorized": np.array([1.0, 2, 3, 4, 5])})
    figure = boundary_figure(curves(), "entropy (nats)", GROUPS, minus_all=True, moved=moved)
    drawn = named(figure)
    assert drawn["M = 1"] == pytest.approx([-1] * 5)
    assert not any("all rows" in name for name in drawn)
    assert drawn["edge moved"] == pytest.approx([-0.8, 0.1, 1.0, 1.9, 2.8])
    assert [shape.x0 for shape in figure.layout.shapes] == [-0.5, 1.5]


def test_the_page_theme_is_put_in_where_streamlits_client_looks_for_it() -> None:
    from streamlit.elements.lib import streamlit_plotly_theme as theirs

    assert THEMED.categorical == tuple(getattr(theirs, f"CATEGORY_{i}") for i in range(6))
    assert THEMED.levels == tuple(getattr(theirs, f"DIVERGING_{i}") for i in range(5, 10))
    assert THEMED.sequential == tuple(getattr(theirs, f"SEQUENTIAL_{i}") for i in range(10))
    assert (THEMED.muted, THEMED.text, THEMED.ground) == (theirs.GRAY_70, theirs.GRAY_90, theirs.BG_COLOR)


def test_ticks_that_would_touch_are_left_out() -> None:
    assert spaced([1, 2, 4, 8, 16, 32, 48, 64]) == [16, 32, 48, 64]
    assert spaced([16, 32, 48, 64, 96]) == [32, 64, 96] and spaced([16, 32, 48, 64]) == [16, 32, 48, 64]
    assert spaced([7]) == [7] and spaced([]) == []


def test_names_of_many_models_are_cut_to_what_tells_them_apart() -> None:
    sizes = ["0.4m", "0.8m", "1.3m", "2.3m", "4.3m"]
    ladder = [f"ladder-{size}" for size in sizes]
    assert shorter(ladder) == sizes and shorter(ladder[:3]) == ladder[:3]
    assert shorter([f"pythia-{size}-deduped" for size in sizes]) == sizes
    assert shorter([*ladder, "gpt2"]) == [*ladder, "gpt2"] and shorter(["a"] * 5) == ["a"] * 5
    figure = levels_figure(summary_of(model=ladder), "model", {})
    assert list(figure.layout.xaxis.ticktext) == sizes and list(figure.layout.xaxis.tickvals) == ladder
    assert levels_figure(summary_of(model=sizes), "model", {}).layout.xaxis.ticktext is None
