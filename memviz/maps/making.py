"""A map is made: rows chosen, states gathered, laid out, judged, stored."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from memviz.catalog import Card, find_model
from memviz.errors import InputError
from memviz.maps.gathering import Chosen, alone, batches, checked_layer, choose, gather, together
from memviz.maps.layout import fit_basis, nearest, quality, umap_layout, warm_up
from memviz.maps.layout.judging import n_judged_neighbours
from memviz.maps.records import EmbeddingMap, Silhouettes
from memviz.maps.task import MOST_POINTS, N_POINTS, MapTask, map_key, stored_map, weights_of
from memviz.measures.geometry import silhouette
from memviz.records import to_arrays
from memviz.store import Store
from memviz.sweeps.results import Sweep
from memviz.tasks.base import ENGINE, Report, Say

if TYPE_CHECKING:
    from memviz.engine.backend import Backend

LIBRARIES = ("numpy", "scipy", "torch", "transformers", "umap-learn", "numba")


def run_map(
    task: MapTask,
    backend: Backend,
    store: Store,
    report: Report = lambda done, total: None,
    say: Say = lambda stage: None,
) -> tuple[str, EmbeddingMap, bool]:
    """Key, map, and whether it was stored before.

    `report(done, total)` counts rows read, then points whose neighbours are known, then epochs. Raises InputError,
    Failure, and what `report` raises to cancel.
    """
    sweep = task.scope.sweep()
    key = map_key(task, sweep, backend.device.type)
    card = checked_card(task.model, sweep, backend, say)
    layer = checked_layer(card, task.layer)
    found = stored_map(store, key)
    if found:
        return key, found, True
    start = time.perf_counter()
    chosen = choose(task.scope, sweep, task.model, N_POINTS // len(task.steps))
    if len(chosen.places) * len(task.steps) > MOST_POINTS:
        raise InputError(
            f"{len(chosen.places):,} rows at {len(task.steps)} steps are more than {MOST_POINTS:,} points: "
            "take fewer of either"
        )
    if task.reducer == "umap":
        warm_up()  # it compiles while states are read
    made = _make(task, chosen, card, layer, backend, store, report, say)
    store.put(key, to_arrays(made), about(task.request(), card, backend, time.perf_counter() - start))
    return key, made, False


def checked_card(model: str, sweep: Sweep, backend: Backend, say: Say) -> Card:
    """The card of a model whose weights are those that were swept. Raises InputError where they are others."""
    from memviz.engine.preparing import prepare

    weights = weights_of(sweep, model)
    card = prepare(find_model(model, backend.settings), backend.settings, say)
    if card.weights != weights:
        raise InputError(f"{model} has other weights than when {sweep.folder} was made: sweep it again")
    return card


def about(request: dict[str, Any], card: Card, backend: Backend, seconds: float) -> dict[str, Any]:
    """What is kept beside a result and never hashed."""
    provenance = {
        "model": card.name,
        "label": card.label,
        "weights": card.weights,
        "device": backend.device.type,
        "versions": {name: version(name) for name in LIBRARIES},
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {"request": request, "provenance": provenance, "engine": ENGINE}


def _make(
    task: MapTask, chosen: Chosen, card: Card, layer: int, backend: Backend, store: Store, report: Report, say: Say
) -> EmbeddingMap:
    steps, n = np.array(task.steps, np.int32), len(chosen.places)
    index = task.scope.k + steps
    found = batches(chosen, together(card, layer), backend, store, report, say)
    states, entropy = gather(found, n, index, layer)
    points = states.reshape(-1, states.shape[2])
    basis, reduced, xy, judged = _laid_out(points, task, report, say)
    match = np.concatenate([np.ones((n, 1), bool), chosen.match], axis=1)[:, steps + 1]
    return EmbeddingMap(
        row=np.tile(chosen.rows, len(steps)),
        step=np.repeat(steps, n),
        xy=xy,
        hits=np.tile(chosen.hits, len(steps)),
        match=match.T.ravel(),
        entropy=entropy.ravel(),
        loop=np.tile(chosen.loop, len(steps)),
        m=np.array(task.scope.m, np.int32),
        layer=np.array(layer, np.int32),
        n_passing=np.array(chosen.n_passing, np.int32),
        basis=basis,
        reduced=reduced if task.reducer == "umap" else None,
        quality=judged,
        silhouettes=silhouettes(states, steps, chosen.group, chosen.units, say),
    )


def _laid_out(points: np.ndarray, task: MapTask, report: Report, say: Say) -> tuple[Any, ...]:
    """Basis, (p, c) coordinates along it, (p, 2) places, quality. Raises InputError for points of no use."""
    try:
        wanted = max(task.n_neighbours - 1, n_judged_neighbours(len(points)))
        say("finding neighbours")
        neighbours = nearest(points, wanted, report)
        basis = fit_basis(points)
        reduced = basis.project(points)
        xy = np.zeros((len(points), 2), np.float32)
        xy[:, : reduced.shape[1]] = reduced[:, :2]
        if task.reducer == "umap":
            say("laying out with UMAP")
            xy = umap_layout(neighbours.first(task.n_neighbours - 1), xy, task.seed, report=report)
        say("judging the map")
        return basis, reduced, xy, quality(points, xy, neighbours)
    except InputError as error:
        raise InputError(str(error)) from None


def silhouettes(states: np.ndarray, steps: np.ndarray, group: np.ndarray, units: np.ndarray, say: Say) -> Silhouettes:
    """Of memorized, half-memorized and unmemorized rows at each of s steps, from (s, n, d) states in full space.

    One row of each group of near-duplicates: shuffled labels would tear these apart.
    """
    say("comparing groups in full space")
    inside = alone(units) & (group < 3)
    found = [silhouette(each[inside], group[inside]) for each in states]
    names = ("value", "null_mean", "null_low", "null_high")
    numbers = {name: np.array([getattr(each, name) for each in found], np.float32) for name in names}
    return Silhouettes(step=steps, n=np.array([each.n for each in found], np.int32), **numbers)
