"""The form of Causes: which view, its numbers, and the task that they make of a prompt."""

from __future__ import annotations

from typing import Any

import streamlit as st

from memviz.catalog import Card
from memviz.measures.glossary import explain
from memviz.settings import settings
from memviz.tasks.causes import (
    MOST_DRAWN,
    MOST_DRAWS,
    MOST_SIGMA,
    CauseTask,
    OcclusionTask,
    RecoveryTask,
    cause_of,
    seen_counts,
)
from memviz.tasks.trace import TraceTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.links import PageLink
from memviz.ui.common.opening import widget_row
from memviz.ui.common.process import samples
from memviz.ui.common.widgets import KEEP
from memviz.ui.prompt import INPUTS, fill_prompt, within

PAGE = "causes"
VIEWS = {
    "occlusion": "What it hangs on",
    "heads": "Which heads carry it",
    "noise_recovery": "Where noise is undone",
    "contributions": "Which layer writes it",
}
NUMBERS: dict[str, float] = {"drawn": 4, "sigma": 3.0, "draws": 2, "seed": 0}
LINK: PageLink[CauseTask[Any]] = PageLink(PAGE, ("model", *INPUTS, "view", *NUMBERS), "causes", CauseTask)
_FIELDS = {"drawn": "n_drawn", "draws": "n_draws"}


def fill(task: CauseTask[Any]) -> None:
    """Let the widgets say what a task asks."""
    fill_prompt(PAGE, task.whole)
    said: dict[str, Any] = {"view": task.kind, "seed": getattr(task, "seed", 0)}
    if isinstance(task, OcclusionTask):
        said["drawn"] = task.n_drawn
    if isinstance(task, RecoveryTask):
        said |= {"sigma": task.sigma, "draws": task.n_draws}
    for name, value in said.items():
        st.session_state[f"{PAGE}_{name}"] = value


def choose_view() -> str:
    """The widget that says which view is shown."""
    said = st.segmented_control(
        "View",
        list(VIEWS),
        format_func=lambda name: VIEWS[name],
        required=True,
        key=f"{PAGE}_view",
        width="content",
        wrap=True,
        label_visibility="collapsed",
        **KEEP,
    )
    return said or "occlusion"


def choose_numbers(view: str) -> dict[str, Any]:
    """The numbers of a view, by the names of its task's fields. Raises InputError for one that cannot be used."""
    views: dict[str, dict[str, tuple[str, float, float, float]]] = {
        "occlusion": {"drawn": ("Replacements a token", 1, 1, MOST_DRAWN), "seed": ("Seed", 1, 0, 2**31 - 1)},
        "heads": {"seed": ("Seed", 1, 0, 2**31 - 1)},
        "noise_recovery": {
            "sigma": ("Noise, deviations", 0.5, 0.01, MOST_SIGMA),
            "draws": ("Draws", 1, 1, MOST_DRAWS),
            "seed": ("Seed", 1, 0, 2**31 - 1),
        },
    }
    asked = views.get(view, {})
    found: dict[str, Any] = {}
    row = widget_row()
    for name, (label, step, low, high) in asked.items():
        about = explain(f"causes_{name}")
        value = row.number_input(label, step=step, key=f"{PAGE}_{name}", help=about, width=190, **KEEP)
        number = within(label, value, low, high)
        found[name] = float(number) if name == "sigma" else int(number)
    return found


def task_of(trace: TraceTask, view: str, numbers: dict[str, Any], card: Card, own: Tokenizer) -> CauseTask[Any]:
    """The task of a view. Raises InputError."""
    counts = seen_counts(card, own, settings(), samples())
    named = {_FIELDS.get(name, name): value for name, value in numbers.items()}
    return cause_of(trace, view, card, own, counts, **named)
