"""Maps set side by side, and new points on a map that stays as it is."""

from __future__ import annotations

import numpy as np

from memviz.errors import InputError
from memviz.maps.layout import Registration, place_among, register_points
from memviz.maps.records import EmbeddingMap
from memviz.records import Hidden


def place(found: EmbeddingMap, states: np.ndarray) -> np.ndarray:
    """(b, 2) float32 places of (b, d) states of the map's model and layer; the map itself does not change.

    Exact for PCA. For UMAP approximate (`found.exact` says which): the weighted mean of the nearest points of the map,
    along the components that were kept. Raises InputError for states of another width.
    """
    if states.shape[-1] != len(found.basis.mean):
        raise InputError(
            f"these states have width {states.shape[-1]}, the map's {len(found.basis.mean)}: take a map of their model"
        )
    reduced = found.basis.project(states)
    return reduced[:, :2] if found.reduced is None else place_among(found.reduced, found.xy, reduced)


def trajectory(found: EmbeddingMap, hidden: Hidden, free_running: bool = True, row: int = 0) -> np.ndarray:
    """(k + m, 2) float32: the places of one traced prompt's reading states, token by token, from index 0 on.

    Raises InputError where the trace did not keep the map's layer, or has no truth to be read.
    """
    layer = int(found.layer)
    if layer not in hidden.layers:
        raise InputError(
            f"the trace keeps layers {', '.join(map(str, hidden.layers.tolist()))}, the map shows layer {layer}: "
            "trace with all layers, or take a map of one that is kept"
        )
    read = hidden.free_running if free_running else hidden.teacher_forced
    if read is None:
        raise InputError("the trace has no true continuation to be read: take the free-running one")
    at = int(np.flatnonzero(hidden.layers == layer)[0])
    return place(found, np.concatenate([hidden.context[row, :, at], read[row, :, at]]))


def shared(one: EmbeddingMap, other: EmbeddingMap) -> tuple[np.ndarray, np.ndarray]:
    """(n,) places in one map and in the other of the rows and steps that both have."""
    width = int(max(one.step.max(), other.step.max())) + 2
    a, b = (each.row * width + each.step + 1 for each in (one, other))
    return np.intersect1d(a, b, return_indices=True)[1:]


def register(moving: EmbeddingMap, fixed: EmbeddingMap) -> Registration:
    """How to move one map onto another, by the rows and steps that both have. Raises InputError for fewer than 3."""
    in_a, in_b = shared(moving, fixed)
    try:
        return register_points(moving.xy[in_a], fixed.xy[in_b])
    except InputError as error:
        raise InputError(str(error)) from None
