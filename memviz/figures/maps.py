"""Maps of hidden states as the plain data of their component: one or two panes in one frame, every step of them.

The page's content security policy forbids what Plotly's WebGL traces need (code made from strings), so points are drawn
on canvases by a component: steps, lasso, and the selection shared by all panes answer in the browser.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from memviz.figures.palette import palette
from memviz.figures.source import Source, digest
from memviz.measures.score import LEVELS

Colour = Literal["level", "score", "domain", "exposures", "entropy", "step", "loop"]
COLOURS: dict[Colour, str] = {
    "level": "memorization level",
    "score": "score M",
    "domain": "domain",
    "exposures": "exposures",
    "entropy": "entropy",
    "step": "decoding step",
    "loop": "degenerate loop",
}
CONTINUOUS: dict[str, tuple[float, float, str]] = {
    "score": (0, 1, ""),
    "entropy": (0, 6, "nats"),
    "step": (0, 0, ""),
}
"""Low and high end of the scale, and its unit; steps run to the map's last one."""
N_SHADES = 32
"""Of a continuous scale."""
MAP = Source("map/map", ("map/map",))
_PLACES = 65535


@dataclass(frozen=True)
class Path:
    """The way of one prompt through the map."""

    xy: np.ndarray
    """(p, 2)."""
    words: Sequence[str]
    """p texts, the tokens read."""
    n_context: int


@dataclass(frozen=True)
class Pane:
    """One model's points, every row at every step."""

    name: str
    points: pd.DataFrame
    """Columns row, step, x, y, score, level, domain, exposures, entropy, loop; the same rows step by step."""
    path: Path | None = None
    texts: Sequence[str] = ()
    """n texts, one a row in the order of the first step; none are shown or searched without."""


MOST_OUTSIDE = 0.0025
"""Share of the points beyond each edge of what is drawn at first: 99 % of them are inside."""


def fit_of(panes: Sequence[Pane]) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of what holds 99 % of the points of every pane and more, with a margin."""
    xy = [pane.points[["x", "y"]].to_numpy(float) for pane in panes]
    low = np.min([np.quantile(each, MOST_OUTSIDE, axis=0) for each in xy], axis=0)
    high = np.max([np.quantile(each, 1 - MOST_OUTSIDE, axis=0) for each in xy], axis=0)
    room = 0.04 * np.maximum(high - low, 1e-9)
    (x0, y0), (x1, y1) = (low - room).tolist(), (high + room).tolist()
    return x0, y0, x1, y1


def facets_of(points: pd.DataFrame) -> list[dict[str, Any]]:
    """What the filter bars say of n rows: name, values, and base64 uint8 numbers of each row's value."""
    found = []
    for column, name in (("domain", "domain"), ("exposures", "exposures"), ("level", "score M")):
        values = points[column].astype(object)
        known = list(LEVELS) if column == "level" else sorted(set(values.dropna()))
        if len(known) < 2:
            continue
        labels = [_name(value, column) for value in known] + (["unknown"] if values.isna().any() else [])
        codes = values.map({value: number for number, value in enumerate(known)}).fillna(len(known))
        found.append({"name": name, "labels": labels, "codes": _packed(codes.to_numpy(np.uint8), "u1")})
    return found


def frame_of(panes: Sequence[Pane]) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 around every point and step of all panes, with a margin: the frame that no step moves."""
    xy = np.concatenate([pane.points[["x", "y"]].to_numpy(float) for pane in panes])
    low, high = xy.min(axis=0), xy.max(axis=0)
    room = 0.04 * np.maximum(high - low, 1e-9)
    (x0, y0), (x1, y1) = (low - room).tolist(), (high + room).tolist()
    return x0, y0, x1, y1


def map_data(
    panes: Sequence[Pane],
    colour: Colour,
    start_step: int | str | None = None,
    selected: np.ndarray | None = None,
) -> dict[str, Any]:
    """The component's data; places are kept in 16 bits of the frame, far below a pixel.

    start_step ("all", or one of the steps) and selected (row numbers) are what a new frame begins with. Raises
    ValueError where a pane's points are not the same rows at every step.
    """
    frame, steps = frame_of(panes), sorted(set(panes[0].points["step"].tolist()))
    scale, hues = _scale(panes, colour, steps)
    places = [_pane(pane, frame, steps, own) for pane, own in zip(panes, hues, strict=True)]
    n = len(panes[0].points) // len(steps)
    data = {"frame": list(frame), "fit": list(fit_of(panes)), "steps": steps, "panes": places}
    data["facets"] = facets_of(panes[0].points.iloc[:n])
    frame_id = digest(data | {"panes": [[each["name"], each["rows"], each["places"]] for each in places]})
    start = {"step": start_step, "selected": None if selected is None else selected.tolist()}
    return {**data, "scale": scale, "frame_id": frame_id, "palettes": _palettes()} | {
        "id": digest([frame_id, scale, [each["path"] for each in places]]),
        "start": start,
    }


def _pane(pane: Pane, frame: tuple[float, float, float, float], steps: list[int], hues: np.ndarray) -> dict[str, Any]:
    points, n = pane.points, len(pane.points) // len(steps)
    rows = points["row"].to_numpy(np.int32)
    whole = np.array_equal(rows, np.tile(rows[:n], len(steps)))
    if not whole or not np.array_equal(points["step"], np.repeat(steps, n)):
        raise ValueError(f"{pane.name}: {len(points):,} points are not the same rows at each of {len(steps)} steps")
    x0, y0, x1, y1 = frame
    xy = (points[["x", "y"]].to_numpy(float) - (x0, y0)) / (x1 - x0, y1 - y0)
    path = pane.path
    return {
        "name": pane.name,
        "rows": _packed(rows[:n], "<i4"),
        "places": _packed(np.rint(xy * _PLACES), "<u2"),
        "hues": _packed(hues, "u1"),
        "entropy": _packed(points["entropy"].to_numpy(), "<f4"),
        "about": _about(points.iloc[:n]),
        "texts": list(pane.texts),
        "path": path
        and {"places": path.xy.astype(float).tolist(), "words": list(path.words), "n_context": path.n_context},
    }


def _packed(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def _about(rows: pd.DataFrame) -> list[str]:
    """What is said of each row, whatever the step."""
    said = []
    for row, score, domain, seen in zip(*(rows[name] for name in ("row", "score", "domain", "exposures")), strict=True):
        parts = [f"row {row}", f"M {score:.2f}"]
        parts += [] if pd.isna(domain) else [str(domain)]
        parts += [] if pd.isna(seen) else [_name(int(seen), "exposures")]
        said.append(" · ".join(parts))
    return said


# Colours


def _scale(panes: Sequence[Pane], colour: Colour, steps: list[int]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What the legend says, and (p,) uint8 numbers of the shades for each pane."""
    if colour in CONTINUOUS:
        low, high, unit = CONTINUOUS[colour]
        low, high = (min(steps), max(max(steps), min(steps) + 1)) if colour == "step" else (low, high)
        scale = {"name": COLOURS[colour], "low": low, "high": high, "unit": unit, "categories": None}
        return scale, [_shades(pane.points[colour].to_numpy(float), low, high) for pane in panes]
    columns = [pane.points[colour].astype(object) for pane in panes]
    known = categories(pd.concat(columns), colour)
    numbers = {value: number for number, (value, _) in enumerate(known)}
    coded = [column.map(numbers).fillna(len(known)).to_numpy(np.uint8) for column in columns]
    counts = np.stack([np.bincount(each, minlength=len(known) + 1) // len(steps) for each in coded], axis=1).tolist()
    listed = [
        {"name": _name(value, colour), "colour": hue, "n": n} for (value, hue), n in zip(known, counts, strict=False)
    ]
    if any((each == len(known)).any() for each in coded):
        listed.append({"name": "unknown", "colour": ["muted", 0], "n": counts[len(known)]})
    return {"name": COLOURS[colour], "categories": listed}, coded


def _shades(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)
    return np.rint(share * (N_SHADES - 1)).astype(np.uint8)


def categories(values: pd.Series, colour: Colour) -> list[tuple[Any, list[Any]]]:
    """Values of a column with [palette, place in it]: ordered ones from light to dark, held out in a hue of its own."""
    present = set(values.dropna().unique())
    if colour == "level":
        return [(level, ["levels", i]) for i, level in enumerate(LEVELS)]
    if colour == "loop":
        return [(False, ["categorical", 0]), (True, ["categorical", 1])]
    if colour == "exposures":
        seen = sorted(value for value in present if value != 0)
        places = np.linspace(3, 9, max(1, len(seen))).round().astype(int).tolist()
        held_out: list[tuple[Any, list[Any]]] = [(0, ["categorical", 1])] if 0 in present else []
        return held_out + [(value, ["sequential", place]) for value, place in zip(seen, places, strict=False)]
    return [(value, ["categorical", i % 6]) for i, value in enumerate(sorted(present, key=str))]


def _name(value: Any, colour: str) -> str:
    if colour == "exposures":
        return "held out" if value == 0 else f"{int(value)} exposure{'' if value == 1 else 's'}"
    return ("loops" if value else "no loop") if colour == "loop" else str(value)


@cache
def _palettes() -> dict[str, Any]:
    """Colours of both themes; the component takes those of the page."""
    found = {}
    for mode in ("light", "dark"):
        own = palette(mode)
        found[mode] = {"categorical": own.categorical, "sequential": own.sequential} | {
            "levels": own.levels,
            "muted": own.muted,
        }
    return found
