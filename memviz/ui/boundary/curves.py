"""The Boundary page's tables: rows aligned at the boundary, curves and differences, computed once a view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.errors import InputError
from memviz.population import GROUPS, Aligned, align, boundary_curves, boundary_differences, members
from memviz.population.aligned import TABLE_GROUPS
from memviz.population.first_view import CURVES, DIFFERENCES, computed_before
from memviz.population.reported import DIRECTIONS, reported_frequencies
from memviz.population.summed import ENTROPIES, Summed, has_sums, summed
from memviz.sweeps.sums import EDGE
from memviz.ui.boundary.counts import Counted
from memviz.ui.common import frames
from memviz.ui.population.view import SweepView

PERMILLE = 1000.0


def sizes_of(view: SweepView) -> list[int]:
    """Context sizes k with an index before the boundary that has a distribution."""
    curves = [curve for curve in view.sweep.manifest["curves"] if curve["mode"] == "sliding"]
    return sorted({k for curve in curves for k in curve["k"] if k > 1})


def has_positions(view: SweepView, k: int) -> bool:
    """Whether entropies are known at every index; a packed sweep keeps them at one k."""
    about = view.sweep.manifest
    return has_sums(view.sweep) or (
        "positions" in about["tables"] and ("packed" not in about or k == view.task.context_at)
    )


@st.cache_resource(max_entries=8, show_spinner="Reading the sweep")
def _aligned(
    _view: SweepView, asked: tuple[Any, ...], model: str, k: int, _counted: Counted | None, of: str
) -> Aligned:
    found = _counted and _counted.of[model]
    given = {"generated" if found and found.generated else "frequencies": found}
    entropy = has_positions(_view, k) and not has_sums(_view.sweep)
    aligned = align(_view.sweep, model, k, m=_view.m, entropy=entropy, **given)  # type: ignore[arg-type]
    passing = _view.filters.apply(_view.rows)["row"]
    return aligned.where(np.isin(aligned.rows, passing))


def aligned_of(view: SweepView, model: str, k: int, found: Counted | None) -> Aligned:
    """The rows of a view under one model. Raises InputError where the sweep lacks them."""
    return _aligned(view, view.asked, model, k, found, found.key if found else "")


@st.cache_data(max_entries=200, max_size="64MB", show_spinner="Resampling rows")
def _curves(
    _aligned: Aligned | Summed, asked: tuple[Any, ...], model: str, k: int, quantity: str, counted: str
) -> pd.DataFrame:
    return boundary_curves(_aligned, quantity)


@st.cache_resource(max_entries=8, show_spinner="Reading the sweep")
def _summed(_view: SweepView, asked: tuple[Any, ...], k: int) -> dict[str, Future[Summed]]:
    """Of every model of the view: each is read beside the others, for most of it waits for no Python.

    What a sweep lacks is kept as well; any other error is raised, and so asked again.
    """
    with ThreadPoolExecutor() as pool:
        found = {model: pool.submit(summed, _view.sweep, _view.filters, model, k, _view.m) for model in _view.models}
    for each in found.values():
        if not isinstance(error := each.exception(), InputError | None):
            raise error
    return found


def source_of(view: SweepView, model: str, k: int, found: Counted | None, quantity: str) -> Aligned | Summed:
    """What a quantity is drawn from: sums of a large sweep, or rows. Raises InputError where the sweep lacks them."""
    if has_sums(view.sweep) and quantity in ENTROPIES:
        return _summed(view, view.asked, k)[model].result()
    return aligned_of(view, model, k, found)


def curves_of(view: SweepView, aligned: Aligned | Summed, quantity: str, found: Counted | None) -> pd.DataFrame:
    """Means by index for each group, with intervals and the null's band."""
    known = computed_before(view.sweep, view.filters, aligned.model, aligned.k, aligned.m, quantity, CURVES)
    if known is not None:
        return known
    return _curves(aligned, view.asked, aligned.model, aligned.k, quantity, _key(quantity, found))


def _key(quantity: str, found: Counted | None) -> str:
    """Entropies are the same whatever was counted."""
    return found.key if found and quantity.startswith("frequency") else ""


def groups_drawn(view: SweepView, curves: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The curves of all rows and of the groups that are large enough to draw, and what to say of each and of others."""
    n = curves.groupby("group")["n"].max()
    small = n[(n > 0) & (n < view.least) & (n.index != "all")]
    words = {group: f"{group} ({GROUPS[group]})" for group in GROUPS} | {"all": "all rows"}
    drawn = ", ".join(
        f"{words[group]} n = {n[group]:,}" for group in words if n.get(group, 0) > 0 and group not in small
    )
    said = ", ".join(f"{GROUPS[str(group)]} (n = {size})" for group, size in small.items())
    left_out = f"not drawn, of fewer than {view.least} rows: {said}" if said else ""
    return curves[~curves["group"].isin(small.index)], frames.joined(drawn, left_out)


def moved_of(aligned: Aligned | Summed, quantity: str) -> tuple[int, dict[str, np.ndarray]] | None:
    """Each group's (k + M,) means as chosen with the edge moved; None where too few positions were decoded for it."""
    if isinstance(aligned, Summed):
        moved = aligned.moved(quantity)
        return None if moved is None else (EDGE, moved)
    if aligned.match.shape[1] < aligned.m + EDGE:
        return None
    chosen = {group: members(aligned, group, EDGE) for group in GROUPS}
    return EDGE, {group: aligned.of(quantity)[mask].mean(axis=0) for group, mask in chosen.items() if mask.any()}


@st.cache_data(max_entries=200, show_spinner="Resampling rows")
def _differences(
    _aligned: Sequence[Aligned | Summed],
    asked: tuple[Any, ...],
    model: str,
    sizes: tuple[int, ...],
    quantity: str,
    counted: str,
) -> pd.DataFrame:
    return boundary_differences(_aligned, quantity)


def differences_of(
    view: SweepView, aligned: Sequence[Aligned | Summed], quantity: str, found: Counted | None
) -> pd.DataFrame:
    """Index k minus index k - 1 by group. Raises InputError where the quantity is unknown there."""
    one = aligned[0]
    if len(aligned) == 1:
        known = computed_before(view.sweep, view.filters, one.model, one.k, one.m, quantity, DIFFERENCES)
        if known is not None:
            return known
    sizes = tuple(each.k for each in aligned)
    return _differences(aligned, view.asked, one.model, sizes, quantity, _key(quantity, found))


def readable(table: pd.DataFrame, view: SweepView, kind: str) -> pd.DataFrame:
    """A table of differences to read: values with intervals, in nats or permille."""
    scale = PERMILLE if kind == "frequency" else 1

    def with_interval(name: str) -> list[str]:
        columns = ((scale * table[f"{name}{end}"]).tolist() for end in ("", "_low", "_high"))
        return [_interval(*values) for values in zip(*columns, strict=True)]

    return pd.DataFrame(
        {
            "model": [view.names[model] for model in table["model"]],
            "k": table["k"],
            "group": [f"{group}, {TABLE_GROUPS[group]}" for group in table["group"]],
            "n": table["n"],
            "difference": with_interval("jump"),
            "less all rows": with_interval("above"),
            "selection alone": with_interval("null"),
            "could be seen": [_seen(shift) for shift in scale * table["detectable"]],
            "edge moved, less all rows": with_interval("edge_above"),
            "n there": table["n_edge"],
            "reported": [DIRECTIONS.get((kind, group), "–") for group in table["group"]],
        }
    )


_REPORTED_COLUMNS = ["context", "continuation", "jump"]


def null_note(table: pd.DataFrame) -> str:
    """What selection alone was computed from, and what it could miss."""
    n_unseen = int(table["n_unseen"].min())
    rates = (
        f"For M = 0 by the hits of {n_unseen:,} rows that these weights have read at most once"
        if n_unseen
        else "For M = 0 by the hits of these rows themselves: the sweep has none that the weights have not learnt"
    )
    return (
        f"Selection alone: a hit depends on its position and on how easy its token is, and on nothing else. {rates}. "
        "“Could be seen”: the shift beyond selection alone that 80 % of samples of this size would show. For M = 1 "
        "selection alone is overstated, for hits cluster by row, and power is nearly none: of simulated rises of "
        "frequency by a third none was found; for M = 0, of falls by a quarter, 6 % (1,500 rows, docs/population.md). "
        "No jump found is no sign that there is none."
    )


def _seen(shift: float) -> str:
    return "–" if math.isnan(shift) else f"{shift:.2f}"


def reported() -> pd.DataFrame:
    """The study's own 1-gram frequencies to read, one line a model, in billions of occurrences."""
    found = reported_frequencies()
    found["cell"] = [f"{a:.2f} → {b:.2f}, {jump:+z.2f}" for a, b, jump in found[_REPORTED_COLUMNS].to_numpy()]
    table = found.pivot(index="model", columns="group", values="cell").loc[found["model"].unique()]
    return table[list(GROUPS)].rename(columns=lambda group: f"{group}, {GROUPS[group]}").reset_index()


def _interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+z.2f}" if math.isnan(low) else f"{value:+z.2f} [{low:+z.2f}, {high:+z.2f}]"
