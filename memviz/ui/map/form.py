"""What the Map page's widgets ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from memviz.catalog import Card
from memviz.maps import MOST_POINTS, N_POINTS, MapTask, Scope, last_layer, spread_steps
from memviz.records import BEFORE_NORM
from memviz.ui.common.models import card_of
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.view import SweepView

ALONE = "none"
LAST, BEFORE, EMBEDDING = "last", "last, before the final norm", "embedding"
SIZES = (2_000, N_POINTS, 25_000, MOST_POINTS)
STEP_COUNTS = (8, 16, 32)
REDUCERS = {"pca": "PCA", "umap": "UMAP"}


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


def settings_line(view: SweepView) -> str:
    """What the widgets say, in a line; before they are drawn first, what the address says."""

    def said(key: str, usual: str, words: Mapping[Any, str]) -> str:
        value = st.session_state.get(key)
        return words.get(value, str(value)) if value is not None else st.query_params.get(key, usual)

    other = said("beside", ALONE, view.names)
    parts = (
        said("of", view.names[view.models[-1]], view.names) + ("" if other == ALONE else f" beside {other}"),
        f"layer: {said('layer', LAST, {})}",
        f"{said('steps', str(STEP_COUNTS[0]), {})} steps",
        f"{said('points', f'{N_POINTS:,}', {n: f'{n:,}' for n in SIZES})} points",
        said("reducer", REDUCERS["pca"], REDUCERS),
    )
    return escaped(" \N{MIDDLE DOT} ".join(parts))


def choose(view: SweepView, where: Sequence[Any]) -> Asked:
    """The widgets that say what to map; models that must be got ready first stop the page here. Raises InputError."""
    names = view.names
    forget_unknown("of", view.models)
    model = where[0].selectbox(
        "Model", view.models, len(view.models) - 1, format_func=lambda n: names[n], **bound("of")
    )
    others = [ALONE, *(each for each in view.models if each != model)]
    forget_unknown("beside", others)
    other = where[1].selectbox("Beside it", others, format_func=lambda n: names.get(n, n), **bound("beside"))
    models = (model,) if other == ALONE else (model, other)
    cards = tuple(card_of(each) for each in models)
    depths = [last_layer(card) for card in cards]
    options = [LAST, BEFORE, *map(str, range(depths[0] - 1, 0, -1)), EMBEDDING]
    forget_unknown("layer", options)
    layer = where[2].selectbox(
        "Layer", options, help="Of a second model, the layer at the same share of its depth.", **bound("layer")
    )
    counts = sorted({min(n, view.m) for n in STEP_COUNTS})
    forget_unknown("steps", counts)
    n_steps = where[3].selectbox(
        "Steps", counts, help="Decoding steps in one map, evenly spread, first and last.", **bound("steps")
    )
    most = where[4].selectbox(
        "Points",
        SIZES,
        SIZES.index(N_POINTS),
        format_func=lambda n: f"{n:,}",
        help="Rows times steps, at most.",
        **bound("points"),
    )
    reducer = where[5].segmented_control(
        "Reducer",
        list(REDUCERS),
        format_func=lambda name: REDUCERS[name],
        default="pca",
        required=True,
        **bound("reducer"),
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


def n_passing(view: SweepView, model: str) -> int:
    """Rows of a view that a map can show: those that pass and were asked for m tokens after k."""
    if view.pool is not None:
        asked = view.pool.hits(model, view.task.context_at, view.m) >= 0
        return int((asked & view.pool.passing(view.filters)).sum())
    sequences = view.sequences
    condition = (sequences["model"] == model) & (sequences["mode"] == "sliding")
    condition &= (sequences["k"] == view.task.context_at) & (sequences["m"] >= view.m)
    return len(view.filters.apply(sequences[condition]))
