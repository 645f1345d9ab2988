"""What the Map page is made of: what is asked, stored maps or their jobs, one frame for two sizes, the selection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import Card
from memviz.figures.maps import Colour, Pane, component_css, component_js, map_data
from memviz.jobs import Job, Question, Status
from memviz.maps import (
    MOST_POINTS,
    N_POINTS,
    EmbeddingMap,
    MapTask,
    Scope,
    last_layer,
    map_key,
    register,
    shared,
    spread_steps,
    stored_map,
    table_of,
)
from memviz.maps.layout import Registration
from memviz.records import BEFORE_NORM
from memviz.ui.common.clicks import clicked
from memviz.ui.common.drawing import _component, _ignore
from memviz.ui.common.running import card_of, watch
from memviz.ui.common.shared import device_kind, escaped, session, store, told, worker
from memviz.ui.population.page import View, forget_unknown

ALONE = "none"
LAST, BEFORE, EMBEDDING = "last", "last, before the final norm", "embedding"
SIZES = (2_000, N_POINTS, 25_000, MOST_POINTS)
STEP_COUNTS = (8, 16, 32)
REDUCERS = {"pca": "PCA", "umap": "UMAP"}
SELECTED = "map_selected"
"""In the session: which sweep a selection is of, and its row numbers."""
BOUND: dict[str, Any] = {"bind": "query-params"}


# What is asked


@dataclass(frozen=True)
class Asked:
    """What the widgets say: one or two models, and everything a map of them depends on."""

    models: tuple[str, ...]
    cards: tuple[Card, ...]
    layers: tuple[int | None, ...]
    """Of each model; None is the last after the final norm."""
    scope: Scope
    steps: tuple[int, ...]
    reducer: str

    def tasks(self, reducer: str) -> list[MapTask]:
        """One a model. Raises InputError."""
        return [
            MapTask(model, self.scope, layer, self.steps, reducer)
            for model, layer in zip(self.models, self.layers, strict=True)
        ]


def choose(view: View, where: Sequence[Any]) -> Asked:
    """The widgets that say what to map; models that must be got ready first stop the page here. Raises InputError."""
    names = view.names
    forget_unknown("of", view.models)
    model = where[0].selectbox(
        "Model", view.models, len(view.models) - 1, format_func=lambda n: names[n], key="of", **BOUND
    )
    others = [ALONE, *(each for each in view.models if each != model)]
    forget_unknown("beside", others)
    other = where[1].selectbox("Beside it", others, format_func=lambda n: names.get(n, n), key="beside", **BOUND)
    models = (model,) if other == ALONE else (model, other)
    cards = tuple(card_of(each) for each in models)
    depths = [last_layer(card) for card in cards]
    options = [LAST, BEFORE, *map(str, range(depths[0] - 1, 0, -1)), EMBEDDING]
    forget_unknown("layer", options)
    layer = where[2].selectbox(
        "Layer", options, key="layer", help="Of a second model, the layer at the same share of its depth.", **BOUND
    )
    counts = sorted({min(n, view.m) for n in STEP_COUNTS})
    forget_unknown("steps", counts)
    n_steps = where[3].selectbox(
        "Steps", counts, key="steps", help="Decoding steps in one map, evenly spread, first and last.", **BOUND
    )
    most = where[4].selectbox(
        "Points",
        SIZES,
        SIZES.index(N_POINTS),
        format_func=lambda n: f"{n:,}",
        key="points",
        help="Rows times steps, at most.",
        **BOUND,
    )
    reducer = where[5].segmented_control(
        "Reducer",
        list(REDUCERS),
        format_func=lambda name: REDUCERS[name],
        default="pca",
        required=True,
        key="reducer",
        **BOUND,
    )
    steps = spread_steps(view.m, n_steps)
    scope = Scope(
        str(view.sweep.folder),
        view.task.context_at,
        view.m,
        filters=view.filters,
        n_rows=None if most == N_POINTS else min(most // len(steps), n_passing(view, model)),
        dtype=view.task.dtype,
    )
    return Asked(models, cards, tuple(layer_at(layer, depths[0], depth) for depth in depths), scope, steps, reducer)


def layer_at(said: str, of_first: int, last: int) -> int | None:
    """The layer of a model with `last` layers at the depth that is said of the first one's.

    The last one by its number would be the state after the final norm: a layer within is the one before it.
    """
    special = {LAST: None, BEFORE: BEFORE_NORM, EMBEDDING: 0}
    if said in special:
        return special[said]
    layer = max(1, round(int(said) * last / of_first))
    return layer if layer < last else BEFORE_NORM


def n_passing(view: View, model: str) -> int:
    """Rows of a view that a map can show: those that pass and were asked for m tokens after k."""
    sequences = view.sequences
    condition = (sequences["model"] == model) & (sequences["mode"] == "sliding")
    condition &= (sequences["k"] == view.task.context_at) & (sequences["m"] >= view.m)
    return len(view.filters.apply(sequences[condition]))


# Stored or not


def stored_maps(view: View, tasks: Sequence[MapTask]) -> list[EmbeddingMap | None]:
    """What the store holds. Raises InputError where the sweep lacks a model."""
    return [_map(map_key(task, view.sweep, device_kind(task.scope.dtype))) for task in tasks]


def _map(key: str) -> EmbeddingMap | None:
    if not store().has(key):
        return None
    found = _read_map(key)
    if found is None:
        _read_map.clear()
    return found


@st.cache_resource(max_entries=8, show_spinner="Reading the map")
def _read_map(key: str) -> EmbeddingMap | None:
    return stored_map(store(), key)


def show_jobs(tasks: Sequence[Question], missing: Sequence[Question], verb: str, words: str, key: str) -> bool:
    """Progress of the jobs under way, else why some failed and the button that asks for what is missing.

    True while a job is under way. Jobs that just ended have saved their results before they are asked.
    """
    active = [job for job in map(_job, tasks) if job is not None and job.active]
    for job in active:
        job.attend(session())
        watch(job, f"{words} of {job.model}", cancel=True, unit="rows, points or epochs")
    if active or not missing:
        return bool(active)
    for job in [job for job in map(_job, missing) if job is not None]:
        if job.status == Status.FAILED:
            st.error(f"{escaped(job.model)}: {told(job.error or 'the job failed')}")
        if job.status == Status.CANCELLED:
            st.info(f"{words} of {escaped(job.model)} was cancelled; states that were read are kept.")
    if clicked(st, verb, key, type="primary"):
        for task in missing:
            worker().ask(task, session())
        st.rerun()
    return False


def _job(task: Question) -> Job | None:
    return worker().job(task.hash)


# One frame


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


def framed(view: View, found: Sequence[EmbeddingMap], keys: Sequence[str]) -> list[Framed]:
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


# The selection


def selected_rows(view: View) -> np.ndarray | None:
    """Row numbers that were selected on this sweep, ascending; None where nothing is."""
    said = st.session_state.get(SELECTED)
    return said[1] if said is not None and said[0] == view.key else None


def keep_selection(view: View, rows: list[int]) -> None:
    """Rows that were caught become the selection; none end it."""
    if rows:
        st.session_state[SELECTED] = (view.key, np.array(rows, np.int64))
    else:
        st.session_state.pop(SELECTED, None)


@st.cache_resource(max_entries=6, show_spinner=False)
def _map_data(_panes: Sequence[Pane], colour: Colour, at: int | str | None, _rows: np.ndarray | None, key: Any) -> Any:
    return map_data(_panes, colour, at, _rows)


def map_component(panes: Sequence[Pane], colour: Colour, view: View, key: str) -> None:
    """Draw the map; the step goes into the address, the selection into the session.

    What a new frame begins with is kept as it was, so that the data stay the same and are not sent again.
    """
    if key not in st.session_state:
        step = st.query_params.get("step", "")
        at: int | str | None = int(step) if re.fullmatch("-?[0-9]{1,6}", step) else step or None
        st.session_state[f"{key}_start"] = (at, selected_rows(view))
    paths = [None if pane.path is None else pane.path.xy.tobytes() for pane in panes]
    at, rows = st.session_state[f"{key}_start"]
    data = _map_data(panes, colour, at, rows, (key, paths, None if rows is None else rows.tobytes()))
    draw = _component("memviz_map", component_css, component_js)
    chosen = draw(data=data, key=key, on_selected_change=_ignore, on_step_change=_ignore)
    if chosen.get("step") is not None:
        st.query_params["step"] = str(chosen["step"])
    if chosen.get("selected") is not None:
        keep_selection(view, chosen["selected"])
