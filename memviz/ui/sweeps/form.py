"""The Sweeps page's form: the widgets that make its task."""

from __future__ import annotations

import streamlit as st

from memviz.settings import settings
from memviz.sweeps import SweepTask
from memviz.sweeps.task import ANCHORED, AT, CONTEXTS, CONTINUATIONS, SLIDING
from memviz.ui.common.rows import choose_models, choose_rows
from memviz.ui.common.widgets import KEEP


def choose_task() -> SweepTask:
    """The task that the widgets ask for. Raises InputError where they make none."""
    models = choose_models("sweep")
    rows = choose_rows("sweep")
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
