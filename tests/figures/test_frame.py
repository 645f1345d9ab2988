"""Room for labels: margins that a figure has before it is drawn, counted by hand, and what Chromium makes of them."""

import numpy as np
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Page, expect
from support.serving import ROOT, Server

from memviz.figures.frame import layout, with_room, without_links
from memviz.figures.palette import THEMED

MEASURE = """() => [...document.querySelectorAll('.js-plotly-plot')].map((each) => {
  const { margin, _size } = each._fullLayout;
  return [margin.l, margin.b, Math.round(_size.l), Math.round(_size.b)];
})"""


@pytest.mark.parametrize(
    ("names", "group", "x", "y", "left", "bottom"),
    [
        (["one"], None, {}, {}, 48, 40),
        (["one"], None, {"title": "x"}, {"title": "y"}, 80, 71),
        (["one", "two"], None, {"title": "x"}, {"title": "y", "tickformat": ".0%"}, 94, 101),
        (["a" * 20] * 5, None, {"title": "x"}, {}, 48, 71 + 30 + 2 * 20),  # 180 pixels each: two in a line of 400
        (["a" * 20, "b" * 24, "c"], "g", {"title": "x"}, {}, 48, 71 + 2 * 30),  # 180 + 208, then 47
        (["one"], None, {}, {"type": "category"}, 12, 40),
    ],
)
def test_margins_by_hand(
    names: list[str], group: str | None, x: dict[str, str], y: dict[str, str], left: int, bottom: int
) -> None:
    traces = [go.Scatter(x=[1, 2], y=[3, 4], name=name, legendgroup=group) for name in names]
    margin = with_room(traces, layout(THEMED, x, y)).layout.margin
    assert (margin.l, margin.b) == (left, bottom)


def test_words_on_the_vertical_axis_are_left_to_plotly() -> None:
    assert with_room(go.Scatter(x=[1], y=["a word"]), layout(THEMED, {}, {})).layout.margin.l == 12


def test_most_figures_have_room_before_they_are_drawn(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/boundary")
    expect(page.locator(".js-plotly-plot .main-svg").nth(11)).to_be_attached(timeout=60_000)
    page.wait_for_timeout(500)
    found = page.evaluate(MEASURE)
    assert len(found) >= 4
    grown = [each for each in found if each[2] > each[0] + 1 or each[3] > each[1] + 1]
    assert len(grown) <= len(found) // 2, f"Plotly had to draw these again: {grown} of {found}"


def test_foreign_marks_in_a_figure_are_text() -> None:
    """Everywhere that Plotly reads HTML: names, axes, points, titles, hovering; its own breaks stay."""
    link = "<a href='https://evil.example'>x</a><br><b>bold</b><img src=x>"
    text = "&lt;a href='https://evil.example'>x&lt;/a><br><b>bold</b>&lt;img src=x>"
    trace = go.Scatter(x=[link, "b"], y=[1, 2], text=[link, ""], name=link, hovertemplate=f"{link}<extra></extra>")
    trace.customdata = np.array([[link], [1]], object)
    figure = go.Figure(trace, {"title": {"text": link}, "xaxis": {"title": link}, "annotations": [{"text": link}]})
    plain = without_links(figure)
    assert (plain.data[0].x[0], plain.data[0].text[0], plain.data[0].name) == (text, text, text)
    assert plain.data[0].hovertemplate == f"{text}<extra></extra>" and plain.data[0].customdata[0][0] == text
    assert (plain.layout.title.text, plain.layout.xaxis.title.text, plain.layout.annotations[0].text) == (text,) * 3
    assert list(plain.data[0].y) == [1, 2] and figure.data[0].name == link
    quiet = go.Figure(go.Scatter(x=np.arange(3), y=np.arange(3.0), name="a < b<br>c"))
    assert without_links(quiet).data[0].name == "a &lt; b<br>c"
    figure = go.Figure(go.Scatter(x=["a"], y=[1]))
    assert without_links(figure) is figure


def test_every_figure_of_a_page_passes_there() -> None:
    calls = [path for path in (ROOT / "memviz").rglob("*.py") if ".plotly_chart(" in path.read_text("utf-8")]
    calls += [path for path in (ROOT / "pages").glob("*.py") if ".plotly_chart(" in path.read_text("utf-8")]
    assert sorted(path.name for path in calls) == ["cards.py", "frames.py"], "cards.py draws an empty one, unseen"
