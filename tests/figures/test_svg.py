"""SVG figures by the places of what is in them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from memviz.figures.svg import Line, interval_svg, lines_svg, ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 7, [-2, 0, 2, 4, 6]),
        (0.12, 0.13, [0.12, 0.122, 0.124, 0.126, 0.128, 0.13]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)
    assert ticks(5, 5) == [5]


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(each.get("cx", "")), float(each.get("cy", ""))) for each in ET.fromstring(svg).iter(f"{SVG}circle")]


def test_points_lie_where_their_values_are() -> None:
    line = Line("a < b", [1, 10, 100], [0.0, 0.5, 1.0], [0, 0.4, 0.9], [0.1, 0.6, 1.0], "#123456")
    drawn = lines_svg([line], "x", "y", log_x=True)
    points = circles(drawn)[:3]  # the last is the legend's
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.1)
    assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2, abs=0.1)
    assert points[2][1] < points[0][1]
    words = [text.text for text in ET.fromstring(drawn).iter(f"{SVG}text")]
    assert "a < b" in words and "x" in words


def test_unknown_values_are_gaps_and_bands_enclose_their_line() -> None:
    line = Line("", [0, 1, 2, 3], [1, math.nan, 2, 3], [0, math.nan, 1, 2], [2, math.nan, 3, 4], is_band=True)
    root = ET.fromstring(lines_svg([line], "x", "y"))
    assert len(circles(ET.tostring(root, "unicode"))) == 3
    (band,) = root.iter(f"{SVG}polygon")
    assert len(band.get("points", "").split()) == 6


def test_an_interval_and_its_null_are_drawn_in_order() -> None:
    root = ET.fromstring(interval_svg(2.0, 1.0, 3.0, (-0.5, 0.5), "#00aa00"))
    (point,) = circles(ET.tostring(root, "unicode"))
    band = list(root.iter(f"{SVG}rect"))[1]
    left = float(band.get("x", ""))
    zero, interval = list(root.iter(f"{SVG}polyline"))
    at_zero = float(zero.get("points", "").split(",")[0])
    ends = [float(each.split(",")[0]) for each in interval.get("points", "").split()]
    assert left < at_zero < left + float(band.get("width", "")) < ends[0] < point[0] < ends[1]
    assert point[0] - ends[0] == pytest.approx(ends[1] - point[0], abs=0.2)
