"""The Dynamics page's tables: one a model of a sweep, and their notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from memviz.maps import GROUPS, Dynamics, DynamicsTask, Scope, dynamics_table
from memviz.ui.common.answers import keys_of, stored
from memviz.ui.common.process import store
from memviz.ui.population.view import SweepView


def tasks_of(view: SweepView) -> list[DynamicsTask]:
    """One a model, ascending, of the rows that a view passes."""
    scope = Scope(str(view.sweep.folder), view.task.context_at, view.m, filters=view.filters, dtype=view.task.dtype)
    return [DynamicsTask(model, scope) for model in view.models]


def found_of(tasks: Sequence[DynamicsTask]) -> dict[str, Dynamics]:
    """What the store holds, by model. Raises InputError where the sweep lacks one."""
    asked = zip(tasks, keys_of(tasks), strict=True)
    found = {task.model: _read(key, task) if store().has(key) else None for task, key in asked}
    return {model: each for model, each in found.items() if each is not None}


@st.cache_resource(max_entries=16, show_spinner="Reading the dynamics")
def _read(key: str, _task: DynamicsTask) -> Dynamics | None:
    return stored(_task)


def tables_of(view: SweepView, found: Mapping[str, Dynamics]) -> dict[str, pd.DataFrame]:
    """Long tables by the model's label."""
    tasks = tasks_of(view)
    keys = dict(zip((task.model for task in tasks), keys_of(tasks), strict=True))
    return {view.names[model]: _table(each, keys[model]) for model, each in found.items()}


@st.cache_resource(max_entries=16, show_spinner=False)
def _table(_found: Dynamics, key: str) -> pd.DataFrame:
    return dynamics_table(_found)


def groups_drawn(
    view: SweepView, tables: Mapping[str, pd.DataFrame], variant: str
) -> tuple[dict[str, pd.DataFrame], str]:
    """The tables without pairs of a group that is too small to draw, and which groups those are, by model."""
    kept, said = {}, []
    for name, table in tables.items():
        is_small = (table[["n_a", "n_b"]] < view.least).any(axis=1)
        kept[name] = table[~is_small]
        of = table[is_small & (table["variant"] == variant) & (table["a"] == table["b"]) & (table["n_a"] > 0)]
        groups = of.drop_duplicates("a")[["a", "n_a"]].itertuples(index=False)
        said += [f"{name}, {group} (n = {n})" for group, n in groups]
    return kept, "; ".join(said)


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All models' tables as one, the model in front."""
    parts = []
    for name, table in tables.items():
        part = table.copy()
        part.insert(0, "model", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def n_words(found: Mapping[str, Dynamics], view: SweepView, v: int) -> str:
    """Rows of each group behind the lines, a model at a time."""
    said = []
    for model, each in found.items():
        counts = ", ".join(f"{int(n):,} {group}" for group, n in zip((*GROUPS, "in all"), each.n_rows[v], strict=True))
        said.append(f"{view.names[model]}: {counts}")
    return "; ".join(said)


def sampled_words(found: Mapping[str, Dynamics]) -> str:
    """How the rows that are compared were chosen."""
    each = next(iter(found.values()))
    n, passing = int(each.n_rows[0, -1]), int(each.n_passing)
    drawn = "all that pass" if n == passing else f"drawn at random (seed 0) of {passing:,} that pass"
    n_units = int(each.n_units)
    alike = "no two of them near-duplicates" if n_units == n else f"in {n_units:,} groups of near-duplicates"
    return f"{n:,} rows ({drawn}), {alike}"
