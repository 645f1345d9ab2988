"""Tracks: what is drawn along a row of tokens, and numbers as JSON and a component take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

ENTROPY_DOMAINS = (8.0, 13.0)
"""nats. One axis for all prompts and models, readable where trained models live; the second, past ln V of every known
vocabulary, only where an entropy exceeds the first (untrained checkpoints). Larger -log p are drawn at the edge."""


class Series(TypedDict):
    """One line, step line or row of cells; null breaks it."""

    label: str
    values: Sequence[float | None] | str
    """k + m values by absolute index, or the name under which the component knows them: "entropy" and "surprisal"
    follow the chosen mode of a trace, "r0", "r1", ... are the rows of a ladder."""
    style: str
    """"main", "faint", or of a ladder's row its name; "border" is for cells: 1 draws a solid border, 0 a dashed one."""


class Track(TypedDict):
    """A further view on the same axis: lines and steps under the entropy curve, cells as a row of the strip."""

    id: str
    label: str
    unit: str
    kind: Literal["line", "steps", "cells"]
    scale: Literal["linear", "log"]
    domain: tuple[float, float]
    series: Sequence[Series]
    texts: NotRequired[Sequence[str | None]]
    """k + m hover texts, shown as text."""


def entropy_track(highest: float, series: Sequence[Series]) -> Track:
    """The track of entropies, the highest of which decides its axis."""
    return {
        "id": "entropy", "label": "entropy", "unit": "nats", "kind": "line", "scale": "linear",
        "domain": (0.0, next((top for top in ENTROPY_DOMAINS if highest <= top), ENTROPY_DOMAINS[-1])),
        "series": series,
    }  # fmt: skip


def drawn_track(track: Track, length: int) -> dict[str, Any]:
    """A track as the component takes it. Raises ValueError where it does not fit a row of `length` tokens."""
    low, high = track["domain"]
    if not low < high or (track["scale"] == "log" and low <= 0):
        raise ValueError(f"track {track['id']!r}: domain ({low}, {high}) does not fit a {track['scale']} scale")
    columns = [(entry["label"], entry["values"]) for entry in track["series"]] + [("texts", track.get("texts"))]
    for label, values in columns:
        if values is not None and not isinstance(values, str) and len(values) != length:
            raise ValueError(
                f"track {track['id']!r}, {label}: got {len(values)} values, expected {length}, one per index"
            )
    series = [
        entry if isinstance(entry["values"], str) else {**entry, "values": numbers(np.array(entry["values"], float), 4)}
        for entry in track["series"]
    ]
    return {**track, "domain": [low, high], "series": series, "texts": list(track.get("texts") or ()) or None}


def numbers(values: np.ndarray, decimals: int) -> list[float | None]:
    """Rounded, -0.0 as 0.0, null where not finite: JSON has neither NaN nor infinity."""
    return [round(v, decimals) + 0.0 if np.isfinite(v) else None for v in np.asarray(values, float).tolist()]


def surprisals(values: np.ndarray) -> list[float | None]:
    """As exact as a probability shown with three decimals needs, and no longer: most of the data are these."""
    fine, coarse = numbers(values, 4), numbers(values, 2)
    return [f if f is None or f < 4 else c for f, c in zip(fine, coarse, strict=True)]
