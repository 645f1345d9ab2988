"""Several models asked about one prompt: which ones, their rows with what each answered, and the page's link.

Compare and Inside the model share the form, so that going from one to the other keeps the prompt and the models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.catalog import Card, Model, find_model, known_models, read_card
from memviz.errors import InputError
from memviz.jobs import Job, Status
from memviz.records import Run
from memviz.settings import settings
from memviz.tasks.base import Task
from memviz.tasks.ladder import Choice, LadderTask, Reader, ascending, choices
from memviz.tasks.trace import TraceTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.answers import stored
from memviz.ui.common.links import PageLink
from memviz.ui.common.opening import fold_settings, show_head, widget_row
from memviz.ui.common.process import bundled_models, session, worker
from memviz.ui.common.progress import watch_several
from memviz.ui.common.runs import seen
from memviz.ui.common.texts import escaped
from memviz.ui.prompt import INPUTS, PromptForm, begin, choose_prompt, fill_prompt, prompt_words

PAGE = "compare"
"""What the keys of the widgets begin with on both pages."""
HAND = "Chosen by hand"
LINK = PageLink(PAGE, ("choice", "models", *INPUTS), "comparison", LadderTask)
K = TypeVar("K", bound=Task[Any])
R = TypeVar("R")
W = TypeVar("W", bound="ModelRow[Any, Any]")


def fill(task: LadderTask) -> None:
    """Let the widgets say what a task asks."""
    fill_prompt(PAGE, task.tasks[0])
    names = tuple(one.model for one in task.tasks)
    label = next((c.label for c in choices(offered_models()) if tuple(m.name for m in c.models) == names), HAND)
    st.session_state[f"{PAGE}_choice"] = label
    st.session_state[f"{PAGE}_models"] = list(names)


def choose_those_with(model: str) -> None:
    """Let the widgets name the first choice that a model is of, or the model alone."""
    found = choices(offered_models())
    fitting = [choice for choice in found if any(one.name == model for one in choice.models)]
    st.session_state[f"{PAGE}_choice"] = fitting[0].label if fitting else HAND
    if not fitting:
        st.session_state[f"{PAGE}_models"] = [model]


def offered_models() -> list[Model]:
    """Models that can be compared: the bundled ones, and those that are ready, with their number of parameters."""
    bundled = {model.name for model in bundled_models()}
    cards = [(model, read_card(model, settings())) for model in known_models(settings())]
    known = [replace(model, n_parameters=card.n_parameters) if card else model for model, card in cards]
    return [model for model, (_, card) in zip(known, cards, strict=True) if card or model.name in bundled]


def open_page(name: str) -> tuple[LadderTask | None, Choice, PromptForm, DeltaGenerator]:
    """How the page of a file in pages/ begins: what a link asks, the models, the form, and the place beside it."""
    show_head(name)
    begin(LINK, name, fill)
    linked = LINK.followed(fill)
    box, beside = fold_settings(PAGE, f"**{said_models()}** · {prompt_words(PAGE)}")
    with box:
        with widget_row():
            choice = choose_models(linked)
            form = choose_prompt(PAGE)
        form.show([model.name for model in choice.models])
    form.offer_others(beside)
    return linked, choice, form, beside


def said_models() -> str:
    """The models that the widgets name, in words."""
    label, chosen = st.session_state.get(f"{PAGE}_choice", ""), st.session_state.get(f"{PAGE}_models") or []
    if label == HAND:
        return escaped(", ".join(chosen)) or "no models"
    return escaped(label or choices(offered_models())[0].label)


def choose_models(linked: LadderTask | None) -> Choice:
    """The widgets that say which models, as a choice with their order."""
    offered = offered_models()
    found = {choice.label: choice for choice in choices(offered)}
    names = [*found, HAND]
    if st.session_state.get(f"{PAGE}_choice") not in names:
        st.session_state[f"{PAGE}_choice"] = names[0]
    label = st.selectbox("Models", names, key=f"{PAGE}_choice", width=250, persist_state="session")
    if label in found:
        return found[label]
    known = {model.name: model for model in offered}
    if linked:
        known |= {task.model: find_model(task.model, settings()) for task in linked.tasks}
    chosen = st.multiselect("Compare", list(known), key=f"{PAGE}_models", persist_state="session")
    return Choice(HAND, "hand", ascending(known[name] for name in chosen))


@dataclass(frozen=True)
class ModelRow(Generic[K, R]):
    """One model: what is asked of it, its stored answer, and its job."""

    task: K
    model: Model
    card: Card
    tokenizer: Tokenizer
    result: R | None
    job: Job | None
    refusal: str
    """Why the model cannot be asked this, empty where it can."""

    @property
    def status(self) -> str:
        """What stands in a row without a result."""
        if self.refusal:
            return self.refusal
        if self.job and self.job.active:
            return "running" if self.job.status == Status.RUNNING else "in the queue"
        if self.job and self.job.status == Status.FAILED:
            return self.job.error or "the job failed"
        return "cancelled" if self.job and self.job.status == Status.CANCELLED else "not computed yet"


RunRow = ModelRow[TraceTask, Run]


def rows_of(
    tasks: Sequence[K],
    readers: Sequence[Reader],
    row: Callable[..., W],
) -> list[W]:
    """A `row` a model as it is now; jobs are asked before the store, for one that just ended has saved its result."""
    rows = []
    for task, (card, own) in zip(tasks, readers, strict=True):
        model, job = find_model(task.model, settings()), worker().job(task.hash)
        rows.append(row(task, model, card, own, stored(task, card), job, _refusal(task, card)))
    return rows


def _refusal(task: Task[Any], card: Card) -> str:
    try:
        task.check([card])
    except InputError as error:
        return str(error)
    return ""


def run_rows(task: LadderTask, rows: Sequence[ModelRow[Any, Any]]) -> None:
    """What the Run button does: every model without an answer is asked, in order; the link names the prompt."""
    for row in rows:
        seen().add(row.task.hash)  # this page shows it
        if row.result is None and not row.refusal:
            worker().ask(row.task, session())
    LINK.keep(task)


def watch_rows(rows: Sequence[ModelRow[Any, Any]]) -> None:
    """Progress of the jobs that are under way, with one button that cancels them; the page again when one ends."""
    jobs = [row.job for row in rows if row.job and row.job.active]
    for job in jobs:
        job.attend(session())
    if jobs:
        watch_several(jobs, len(rows), f"{PAGE}_cancel")
