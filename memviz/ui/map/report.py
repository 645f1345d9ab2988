"""What stands beside a map: how to read it, what the full space says, and its files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from memviz.figures.paired import paired_figure
from memviz.maps import NO_GROUPS, MapTask, PairedStates, Similarity, SimilarityTask, last_layer
from memviz.maps.layout import register_points
from memviz.measures.geometry import MOST_ROWS, N_PERMUTATIONS
from memviz.measures.glossary import GLOSSARY, explain
from memviz.records import BEFORE_NORM
from memviz.ui.common.answers import stored
from memviz.ui.common.progress import offer_jobs
from memviz.ui.common.texts import escaped
from memviz.ui.map.form import Asked
from memviz.ui.map.frame import Framed, same_spread
from memviz.ui.population.view import SweepView


def layer_words(layer: int | None, last: int) -> str:
    """A layer in words."""
    if layer == BEFORE_NORM:
        return f"layer {last} of {last} before the final norm"
    if layer is None or layer == last:
        return f"layer {last} of {last} after the final norm"
    return "the embedding" if layer == 0 else f"layer {layer} of {last}"


def caption(asked: Asked, frame: Framed, model: str) -> str:
    """Everything one must know of a map to read it."""
    found, place = frame.found, asked.models.index(model)
    quality, reducer = found.quality, "PCA" if found.exact else "UMAP, seed 0"
    if found.exact:
        shares = found.basis.variance[:2].tolist()
        reducer += f" ({sum(shares):.0%} of the variance)"
    whole = found.n_rows == int(found.n_passing)
    which = "all that pass" if whole else f"drawn at random (seed {asked.scope.seed}) of {int(found.n_passing):,}"
    moved = ""
    if frame.registration is not None:
        moved = (
            f" Registered onto the first map: turned and shifted by Procrustes on {frame.registration.n:,} shared "
            f"points, drawn at the first map's spread. Residual, against the first map's variance: "
            f"{frame.residual:.2f} as drawn, {frame.registration.residual:.2f} at the scale of least squares."
        )
    return (
        f"**{escaped(model)}**: {reducer}, n = {len(found.row):,} points: {found.n_rows:,} rows ({which}) at "
        f"{len(found.steps)} steps. Reading states (after the token was read), "
        f"{'free-running' if asked.scope.free_running else 'teacher-forced'}, "
        f"{layer_words(asked.layers[place], last_layer(asked.cards[place]))}. "
        f"Trustworthiness {float(quality.trustworthiness):.3f}, "
        f"neighbour overlap {float(quality.neighbour_overlap):.2f} "
        f"(by chance {float(quality.overlap_by_chance):.3f}; {int(quality.n_neighbours)} neighbours, "
        f"{int(quality.n_judged):,} points judged).{moved}"
    )


def silhouettes_table(frames: Sequence[Framed], asked: Asked) -> pd.DataFrame:
    """Silhouette of the groups in full space beside its null, a line a model and step."""
    parts = []
    for model, frame in zip(asked.models, frames, strict=True):
        each = frame.found.silhouettes
        parts.append(
            pd.DataFrame(
                {
                    "model": model,
                    "step": each.step,
                    "silhouette": each.value,
                    "shuffled labels": _ranges(each.null_low, each.null_high),
                    "rows": each.n,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _ranges(low: np.ndarray, high: np.ndarray) -> list[str]:
    """Bands to read, empty where they are unknown."""
    return ["" if np.isnan(a) else f"{a:.3f} to {b:.3f}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]


# Numbers and files


def show_numbers(view: SweepView, asked: Asked, frames: Sequence[Framed]) -> None:
    """Silhouettes of the groups beside the picture's steps; for two models, how alike they see the rows."""
    left, right = st.columns(2)
    with left.container(border=True):
        st.markdown("**Do the groups stand apart?**", help=f"{explain('silhouette')} {explain('permutation_null')}")
        st.dataframe(silhouettes_table(frames, asked), hide_index=True, height=320, column_config=_NUMBERS)
        st.caption(
            "Mean silhouette of memorized (M = 1), half-memorized and unmemorized (M = 0) rows, Euclidean, in the full "
            "space at each step; -1 to 1. Beside it the middle 95 % of what the same rows give under shuffled labels "
            f"({N_PERMUTATIONS} times). One row of each group of near-duplicates; of more than {MOST_ROWS:,} rows, so "
            "many drawn at random (seed 0)."
        )
        for model, frame in zip(asked.models, frames, strict=True):
            if not frame.found.silhouettes.known:
                st.caption(f"{escaped(model)}: {NO_GROUPS}")
    with right.container(border=True):
        about = " ".join(f"{GLOSSARY[name].label}: {explain(name)}" for name in ("cka", "knn_overlap", "rsa"))
        st.markdown("**Do two models see the rows alike?**", help=about)
        if len(asked.models) < 2:
            st.caption("Choose a second model under **Beside it**.")
            return
        _show_similarity(view, asked)


def _show_similarity(view: SweepView, asked: Asked) -> None:
    scope = replace(asked.scope, n_rows=None)
    task = SimilarityTask((asked.models[0], asked.models[1]), scope, (asked.layers[0], asked.layers[1]))
    found = stored(task)
    if found is None:
        st.caption("CKA, neighbour overlap and representational similarity of the same rows: not computed yet.")
        offer_jobs([task], [task], "Compare them", "Similarity", "map-similarity")
        return
    st.dataframe(_similarity_table(found), hide_index=True, height=320, column_config=_NUMBERS)
    st.caption(
        f"{int(found.n):,} rows: all that pass, or {MOST_ROWS:,} of them drawn at random (seed {scope.seed}), "
        f"without near-duplicates, so not only the map's own. {int(found.n_neighbours)} neighbours. Beside each number "
        f"the middle 95 % of what {int(found.n_permutations)} permutations of which row is which give. CKA: linear, "
        "debiased; overlap: mean share of each row's nearest rows that both have; similarity: Spearman correlation of "
        "pairwise cosines. A number is missing where all rows are equally far from one another. Ceiling: the most that "
        "a number can be; where states repeat, chance says which rows are nearest, and the overlap stays below 1."
    )


_NUMBERS = {name: st.column_config.NumberColumn(format="%.3f") for name in ("silhouette", "value", "ceiling")}


def _similarity_table(found: Similarity) -> pd.DataFrame:
    """A line a measure and step."""
    parts = []
    for name, each in (
        ("CKA", found.cka),
        ("k-NN overlap", found.knn_overlap),
        ("representational similarity", found.rsa),
    ):
        null = _ranges(each.null_low, each.null_high)
        most = found.knn_ceiling if each is found.knn_overlap else 1.0
        columns = {"measure": name, "step": found.step, "value": each.value, "permuted rows": null, "ceiling": most}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def before(found: PairedStates, names: tuple[str, str]) -> tuple[go.Figure, pd.DataFrame, str]:
    """Places of the same rows under two weights, the earlier moved onto the later."""
    move = register_points(found.xy[1], found.xy[0])
    places = dict(
        zip(names, (found.xy[0], same_spread(move, found.xy[1], found.xy[0]).apply(found.xy[1])), strict=True)
    )
    parts = [
        pd.DataFrame({"model": name, "row": found.row, "memorized": found.memorized, "x": xy[:, 0], "y": xy[:, 1]})
        for name, xy in places.items()
    ]
    note = (
        f"PCA of each by itself, at the last step; the earlier turned and shifted onto the later (Procrustes, residual "
        f"{move.residual:.2f}) and drawn at its spread. The picture illustrates; the numbers below decide."
    )
    return paired_figure(places, found.memorized), pd.concat(parts, ignore_index=True), note


def exported(frames: Sequence[Framed], asked: Asked) -> pd.DataFrame:
    """The points of all maps as they are drawn, with their model in front."""
    parts = []
    for model, frame in zip(asked.models, frames, strict=True):
        part = frame.points.copy()
        part.insert(0, "model", model)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def map_command(task: MapTask) -> str:
    """The command line that makes a map again. Filters by template or class have no option there."""
    scope, out = task.scope, f"map-{task.model.replace('@', '-')}-{task.reducer}"
    words = ["memviz", "map", "--sweep", scope.folder, "--model", task.model, "--out", out]
    words += [] if task.layer is None else [f"--layer={task.layer}"]
    words += [f"--step={','.join(map(str, task.steps))}", "--reducer", task.reducer, "--seed", str(task.seed)]
    words += ["--k", str(scope.k), "--m", str(scope.m), "--mode", scope.mode, "--dtype", scope.dtype]
    words += [] if scope.n_rows is None else ["--sample", str(scope.n_rows), "--sample-seed", str(scope.seed)]
    for domain in scope.filters.domains:
        words += ["--domain", domain]
    for option, values in (("--buckets", scope.filters.buckets), ("--parts", scope.filters.parts)):
        words += [option, ",".join(map(str, values))] if values else []
    return shlex.join(words)


def show_command(tasks: Sequence[MapTask]) -> None:
    """The command lines that make the maps again, or why there are none."""
    filters = tasks[0].scope.filters
    if filters.templates or filters.classes:
        st.caption("The command line cannot filter by template or class, so it cannot make this map.")
        return
    st.caption("The same from the command line:")
    st.code("\n".join(map(map_command, tasks)), language=None, wrap_lines=True)
