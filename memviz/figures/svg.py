"""Line figures of documents as SVG text: no browser, no fonts of their own, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from memviz.figures.palette import Palette, palette

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 46
_SYMBOLS = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True)
class Line:
    """One line of a figure, and what varies around it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    """Ends of intervals: whiskers, or a band where `is_band`."""
    colour: str = "#000000"
    dashed: bool = False
    is_band: bool = False
    markers: bool = True


@dataclass(frozen=True)
class _Scale:
    """From a value to a place along an axis."""

    first: float
    last: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        a, b, v = (math.log(each) if self.logarithmic else each for each in (self.first, self.last, value))
        return self.start + (self.stop - self.start) * ((v - a) / (b - a) if b > a else 0.5)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from low to high, at most `most` of them, spaced by 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * each for each in (1, 2, 5, 10, 20) if span / (power * each) <= most - 1 + 1e-9)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def lines_svg(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    log_x: bool = False,
    rule: float | None = None,
    from_zero: bool = True,
    width: int = 640,
    height: int = 300,
    colours: Palette | None = None,
) -> str:
    """Lines with intervals and a legend; x_ticks (value, words), a vertical rule at an x. NaN leaves a gap."""
    colours = colours or palette("light")
    shown = [line for line in lines if any(_known(y) for y in line.y)]
    xs = [x for line in shown for x in line.x] or [0.0, 1.0]
    ends = [value for line in shown for values in (line.y, line.low or (), line.high or ()) for value in values]
    ys = [value for value in ends if _known(value)] or [0.0, 1.0]
    room = 0.05 * (max(ys) - min(ys)) or 0.05
    low = min(0.0, *ys) if from_zero else min(ys) - room
    rows = _legend_rows(shown, width)
    bottom = height - _BOTTOM - 18 * len(rows)
    x = _Scale(min(xs), max(xs), _LEFT + 8, width - _RIGHT - 8, log_x)
    y = _Scale(low, max(ys) + room, bottom, _TOP)
    parts = [_axes(x, y, x_ticks, x_title, y_title, colours, width, bottom)]
    if rule is not None:
        parts.append(_path([(x(rule), _TOP), (x(rule), bottom)], colours.muted, "4 3"))
    for order, line in enumerate(shown):
        parts.append(_drawn(line, x, y, _SYMBOLS[order % len(_SYMBOLS)]))
    parts.append(_legend(rows, colours, bottom + _BOTTOM))
    return _document(parts, colours, width, height)


def interval_svg(
    value: float,
    low: float,
    high: float,
    band: tuple[float, float] | None,
    colour: str,
    width: int = 640,
    colours: Palette | None = None,
) -> str:
    """One number with its interval against 0, and what a null alone gives as a grey band."""
    colours, height = colours or palette("light"), 64
    ends = [0.0, value, low, high, *(band or ())]
    room = 0.06 * (max(ends) - min(ends)) or 1.0
    x = _Scale(min(ends) - room, max(ends) + room, 12, width - 12)
    bottom, middle = height - 24, (height - 24) / 2
    parts = []
    if band is not None:
        parts.append(_box(x(band[0]), 4, x(band[1]), bottom, colours.muted, 0.25))
    parts.append(_path([(x(0), 2), (x(0), bottom)], colours.text, None))
    parts.append(_path([(x(low), middle), (x(high), middle)], colour, None, 3))
    parts.append(_symbol("circle", x(value), middle, colour, 5.5))
    for tick in ticks(x.first, x.last, 8):
        parts.append(_text(x(tick), height - 8, f"{tick:.4g}", colours.text, "middle"))
    return _document(parts, colours, width, height)


def _known(value: float) -> bool:
    return value is not None and math.isfinite(value)


def _axes(
    x: _Scale,
    y: _Scale,
    x_ticks: Sequence[tuple[float, str]] | None,
    x_title: str,
    y_title: str,
    colours: Palette,
    width: int,
    bottom: float,
) -> str:
    parts = []
    for tick in ticks(y.first, y.last):
        parts.append(_path([(_LEFT, y(tick)), (width - _RIGHT, y(tick))], colours.muted, None, 0.4))
        parts.append(_text(_LEFT - 6, y(tick) + 4, f"{tick:.4g}", colours.text, "end"))
    for value, words in x_ticks if x_ticks is not None else [(v, f"{v:.4g}") for v in ticks(x.first, x.last, 9)]:
        parts.append(_text(x(value), bottom + 16, words, colours.text, "middle"))
    parts.append(_path([(_LEFT, bottom), (width - _RIGHT, bottom)], colours.text, None))
    parts.append(_text((_LEFT + width - _RIGHT) / 2, bottom + 34, x_title, colours.text, "middle"))
    turned = f'<g transform="translate(14 {(bottom + _TOP) / 2:.1f}) rotate(-90)">'
    return "".join([*parts, turned, _text(0, 0, y_title, colours.text, "middle"), "</g>"])


def _drawn(line: Line, x: _Scale, y: _Scale, symbol: str) -> str:
    parts = []
    if line.low is not None and line.high is not None:
        ends = [(x(a), y(b), y(c)) for a, b, c in zip(line.x, line.low, line.high, strict=True) if _known(b + c)]
        if line.is_band and ends:
            around = [(a, c) for a, _, c in ends] + [(a, b) for a, b, _ in reversed(ends)]
            parts.append(f'<polygon points="{_points(around)}" fill="{line.colour}" opacity=".18"/>')
        elif not line.is_band:
            parts += [_path([(a, b), (a, c)], line.colour, None, 1.2) for a, b, c in ends]
    for stretch in _stretches(line):
        parts.append(_path([(x(a), y(b)) for a, b in stretch], line.colour, "5 3" if line.dashed else None, 1.6))
        if line.markers:
            parts += [_symbol(symbol, x(a), y(b), line.colour, 3.5) for a, b in stretch]
    return "".join(parts)


def _stretches(line: Line) -> list[list[tuple[float, float]]]:
    """Points of the line without its gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(line.x, line.y, strict=True):
        if _known(b):
            found[-1].append((a, b))
        elif found[-1]:
            found.append([])
    return [each for each in found if each]


def _legend_rows(lines: Sequence[Line], width: int) -> list[list[tuple[float, int, Line]]]:
    """Rows of (place, order, line) that fit the width; lines without a name are not listed."""
    rows: list[list[tuple[float, int, Line]]] = []
    at = float(width)
    for order, line in enumerate(lines):
        needed = 34 + 6.6 * len(line.name)
        if not line.name:
            continue
        if at + needed > width - _RIGHT:
            rows.append([])
            at = float(_LEFT)
        rows[-1].append((at, order, line))
        at += needed
    return rows


def _legend(rows: list[list[tuple[float, int, Line]]], colours: Palette, top: float) -> str:
    parts = []
    for number, row in enumerate(rows):
        y = top + 18 * number
        for x, order, line in row:
            parts.append(_path([(x, y), (x + 20, y)], line.colour, "5 3" if line.dashed else None, 1.6))
            if line.markers:
                parts.append(_symbol(_SYMBOLS[order % len(_SYMBOLS)], x + 10, y, line.colour, 3.5))
            parts.append(_text(x + 25, y + 4, line.name, colours.text, "start"))
    return "".join(parts)


def _document(parts: Sequence[str], colours: Palette, width: int, height: int) -> str:
    ground = f'<rect width="{width}" height="{height}" fill="{colours.ground}"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    return head + 'font-family="sans-serif" font-size="12">' + ground + "".join(parts) + "</svg>\n"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)


def _path(points: Sequence[tuple[float, float]], colour: str, dash: str | None, width: float = 1.0) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def _box(left: float, top: float, right: float, bottom: float, colour: str, opacity: float) -> str:
    size = f'width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{colour}" opacity="{opacity:g}"/>'


def _symbol(kind: str, x: float, y: float, colour: str, r: float) -> str:
    corners: dict[str, list[tuple[float, float]]] = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        "triangle": [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
    }
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" fill="{colour}"/>'
    return f'<polygon points="{_points([(x + r * a, y + r * b) for a, b in corners[kind]])}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, colour: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'
