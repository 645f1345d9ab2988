"""Stored maps, and two of them in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.maps import EmbeddingMap, MapTask, register, shared, table_of
from memviz.maps.layout import Registration
from memviz.ui.common.answers import keys_of, stored
from memviz.ui.common.process import store
from memviz.ui.population.view import SweepView


def stored_maps(tasks: Sequence[MapTask]) -> list[EmbeddingMap | None]:
    """What the store holds. Raises InputError where the sweep lacks a model."""
    return [_map(key, task) for key, task in zip(keys_of(tasks), tasks, strict=True)]


def _map(key: str, task: MapTask) -> EmbeddingMap | None:
    if not store().has(key):
        return None
    found = _read_map(key, task)
    if found is None:
        _read_map.clear()
    return found


@st.cache_resource(max_entries=8, show_spinner="Reading the map")
def _read_map(key: str, _task: MapTask) -> EmbeddingMap | None:
    return stored(_task)


@dataclass(frozen=True)
class Framed:
    """A map's points as they are drawn, and how they came into the frame of the first one."""

    found: EmbeddingMap
    points: pd.DataFrame
    registration: Registration | None
    residual: float | None = None
    """Share of the first map's variance, over shared points, that this one does not explain as it is drawn."""

    def moved(self, xy: np.ndarray) -> np.ndarray:
        """(p, 2) places of the map in the frame that is drawn."""
        return xy if self.registration is None else self.registration.apply(xy)


def framed(view: SweepView, found: Sequence[EmbeddingMap], keys: Sequence[str]) -> list[Framed]:
    """Maps in the frame of the first. Raises InputError where they share too few points."""
    frames = []
    for place, (each, key) in enumerate(zip(found, keys, strict=True)):
        move = same_spread(register(each, found[0]), each.xy, found[0].xy) if place else None
        points, left = _points(each, view.sweep, key), None
        if move is not None:
            xy = move.apply(each.xy)
            points = points.assign(x=xy[:, 0], y=xy[:, 1])
            mine, its = shared(each, found[0])
            left = unexplained(xy[mine], found[0].xy[its])
        frames.append(Framed(each, points, move, left))
    return frames


def unexplained(drawn: np.ndarray, fixed: np.ndarray) -> float:
    """Share of the variance of (n, 2) fixed points that as many drawn ones, in order, leave."""
    off, spread = drawn.astype(np.float64) - fixed, fixed - fixed.mean(axis=0, dtype=np.float64)
    return float(np.square(off).sum() / np.square(spread).sum())


def same_spread(move: Registration, moving: np.ndarray, fixed: np.ndarray) -> Registration:
    """The same turn and centre at the spread of the fixed map: the least-squares scale shrinks maps that do not agree.

    Its residual stays that of the least squares.
    """
    sizes = [np.square(xy - xy.mean(axis=0)).sum(dtype=np.float64) for xy in (moving, fixed)]
    scale = float(np.sqrt(sizes[1] / sizes[0])) * np.sqrt(len(moving) / len(fixed))
    centre = moving.mean(axis=0, dtype=np.float64) @ move.rotation
    return replace(move, scale=scale, shift=move.shift + (move.scale - scale) * centre)


@st.cache_resource(max_entries=8, show_spinner=False)
def _points(_found: EmbeddingMap, _sweep: Any, key: str) -> pd.DataFrame:
    return table_of(_found, _sweep)
