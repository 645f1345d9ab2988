"""The Sweeps page's form: the widgets that make its task."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from memviz.catalog import known_models, read_card
from memviz.demo.stream import TrainingData
from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.rows.kept import data_sets, rows_of
from memviz.settings import settings
from memviz.sweeps import RowSet, SweepTask, row_sets
from memviz.sweeps.rowset import PARTS
from memviz.sweeps.task import ANCHORED, AT, CONTEXTS, CONTINUATIONS, SLIDING
from memviz.ui.common.process import bundled_models
from memviz.ui.common.widgets import KEEP

SUITE_ROWS = "Rows of the bundled corpus"


def choose_task() -> SweepTask:
    """The task that the widgets ask for. Raises InputError where they make none."""
    ready = [model.name for model in known_models(settings()) if read_card(model, settings())]
    bundled = [model.name for model in bundled_models()]
    whole = [model.name for model in bundled_models() if model.step == model.n_steps and not model.seed][::-1]
    options = list(dict.fromkeys([*bundled[::-1], *ready]))
    models = st.multiselect("Models", options, whole, key="sweep_models", **KEEP)
    rows = _choose_rows()
    sizes = st.columns([2, 2, 1.6])
    contexts = sizes[0].pills(
        "Context sizes k", CONTEXTS, selection_mode="multi", wrap=True, default=CONTEXTS, key="sweep_contexts", **KEEP,
        help=f"A context curve at m = {AT}; none leaves it out.",
    )  # fmt: skip
    continuations = sizes[1].pills(
        "Continuation sizes m", CONTINUATIONS, selection_mode="multi", wrap=True, default=CONTINUATIONS,
        key="sweep_continuations", **KEEP, help=f"A continuation curve at k = {AT}; one decode serves all of them.",
    )  # fmt: skip
    modes = sizes[2].pills(
        "Context grows", [SLIDING, ANCHORED], selection_mode="multi", wrap=True, default=[SLIDING, ANCHORED],
        key="sweep_modes", **KEEP,
        help="sliding: the first k tokens of the row, so the target moves. anchored: the target stays.",
    )  # fmt: skip
    n_workers = st.number_input(
        f"Workers of the Ray cluster {settings().ray_address}", 0, 1024, 0, key="sweep_workers",
        help="0: this process computes. Workers take a CPU each; GPUs are for the command line's --gpus-per-worker.",
    ) if settings().ray_address else 0  # fmt: skip
    positions = st.toggle(
        "Also every position", True, key="sweep_positions", help="Entropy curves on the Boundary page need it.", **KEEP
    )
    return SweepTask(
        models=tuple(models),
        rows=rows,
        contexts=tuple(contexts),
        context_modes=tuple(modes) or (SLIDING,),
        continuations=tuple(continuations),
        dtype=settings().dtype,
        positions=positions,
        n_workers=int(n_workers),
    )


@cache
def _corpus() -> TrainingData | None:
    """The bundled corpus, or None where the suite is not there."""
    try:
        return read_data()
    except OSError:
        return None


def _choose_rows() -> RowSet:
    saved = {each["name"]: each["rows"] for each in row_sets(settings())}
    data = _corpus()
    added = data_sets(settings())
    sources = [*([SUITE_ROWS] if data else []), *dict.fromkeys([*saved, *added])]
    if not sources:
        raise InputError("the bundled corpus is not here, and no row set is saved: use `memviz sweep --data FILE`")
    if st.session_state.get("sweep_source") not in (None, *sources):
        del st.session_state["sweep_source"]
    source = st.selectbox(
        "Rows", sources, key="sweep_source", help="Row sets are saved on any page that lists or filters rows; data "
        "sets are those of `memviz data add`; files of your own are swept with `memviz sweep --data FILE`.", **KEEP,
    )  # fmt: skip
    if source in added:
        return RowSet(str(rows_of(source, settings())), sample=_choose_sample(st))
    if source != SUITE_ROWS or data is None:
        return saved[source]
    filters = st.columns([2, 2.4, 2.4, 1.2])
    parts = filters[0].pills("Part", PARTS, selection_mode="multi", wrap=True, key="sweep_parts", **KEEP)
    domains = filters[1].pills(
        "Domain", sorted(set(data.domain.tolist())), selection_mode="multi", wrap=True, key="sweep_domains", **KEEP
    )
    buckets = filters[2].pills(
        "Planned exposures",
        sorted(set(data.bucket.tolist())),
        selection_mode="multi",
        wrap=True,
        key="sweep_buckets",
        **KEEP,
    )
    sample = _choose_sample(filters[3])
    return RowSet(domains=tuple(domains), buckets=tuple(buckets), parts=tuple(parts), sample=sample)


def _choose_sample(place: Any) -> int | None:
    return place.number_input(
        "Sample", min_value=1, value=None, step=100, placeholder="all", key="sweep_sample", **KEEP,
        help="So many of the rows that pass, drawn at random; empty: all of them.",
    )  # fmt: skip
