"""Fitting on the Predictor page: the fit that the address names or the form, its job, and what was left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import streamlit as st

from memviz.errors import InputError, MemvizError
from memviz.jobs import Job
from memviz.predictor.files import ABOUT
from memviz.predictor.known import epochs_of
from memviz.predictor.task import FitTask
from memviz.settings import settings
from memviz.ui.common.clicks import clicked
from memviz.ui.common.frames import draw, picture
from memviz.ui.common.links import CHOSEN_LENGTH, LINK_LENGTH, find_task, keep_request, linked_task
from memviz.ui.common.process import session, worker
from memviz.ui.common.progress import POLL_SECONDS, say_end, under_way
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.widgets import saying
from memviz.ui.predictor.fit_form import choose_fit, expected_words, fit_command, words_of

LOSS_NOTE = (
    "Cross-entropy of the labels, nats a token. Training: mean over the epoch's batches, with dropout; validation: "
    "15 % of the row groups, without. The kept weights are those of the smallest validation loss."
)
NOTHING_YET = (
    "No predictor is fitted yet. Choose a finished sweep, a model and what the predictor may see, and press **Train**: "
    "its results then stand on this page, its predictions under the tokens of Trace."
)


def show_training(is_first: bool) -> None:
    """The fit that the address names, or the form for another one; below, those left unfinished."""
    linked = linked_task(FitTask, "fit")
    if linked:
        st.markdown(f"**This fit:** {escaped(words_of(linked))}")
        show_fit(linked)
        with st.expander("The same from the command line"):
            st.code(fit_command(linked), language=None, wrap_lines=True)
        if clicked(st, "Fit another one", "fit_another", icon=":material/add:"):
            st.query_params.pop("run", None)
            st.rerun()
    else:
        if is_first:
            st.info(NOTHING_YET)
        with st.container(border=True):
            _show_form()
    show_unfinished(linked)


def _show_form() -> None:
    try:
        task, sweep = choose_fit()
        st.caption(expected_words(task, sweep.manifest["rows"]["n"]))
        st.code(fit_command(task), language=None, wrap_lines=True)
        show_fit(task)
    except InputError as error:
        st.error(told(error))


def start(task: FitTask) -> None:
    """Put the request into the address, and start or join its job, which needs no visitor."""
    keep_request(task)
    worker().ask(task, session())


def show_fit(task: FitTask) -> None:
    """Where a fit stands: progress, live curves and a cancel; its end; or how to start it, or go on with it."""
    job, folder = worker().job(task.hash), task.folder(settings())
    if under_way(task, f"Fitting on {task.model}", cancel=True, unit="batches") and job:
        st.fragment(_live_curves, run_every=2 * POLL_SECONDS)(job, folder)
        return
    if (folder / ABOUT).is_file():
        st.success("Fitted.")
        st.button(
            "See its results", type="primary", icon=":material/monitoring:", key="fit_results",
            on_click=_show_results, args=(task,),
        )  # fmt: skip
    else:
        _offer_start(task, folder)
    _curves(folder)


def _show_results(task: FitTask) -> None:
    st.query_params.pop("run", None)
    st.query_params["predictor"] = task.hash[:CHOSEN_LENGTH]
    st.session_state["view"] = "results"


def _offer_start(task: FitTask, folder: Path) -> None:
    begun = bool(epochs_of(folder))
    say_end(task, "Cancelled. " + ("Finished epochs are kept: **Go on** continues after them." if begun else ""))
    if clicked(st, "Go on" if begun else "Train", "fit_start", type="primary", icon=":material/play_circle:"):
        start(task)
        st.rerun()


@saying()
def _live_curves(job: Job, folder: Path) -> None:
    if job.active:
        _curves(folder)


def _curves(folder: Path) -> None:
    epochs = epochs_of(folder)
    if not epochs:
        return
    from memviz.figures.predictor import loss_figure  # half a second of imports, only where it is drawn

    draw(loss_figure(epochs), key="fit_loss", config=picture("loss"), alt="Training and validation loss")
    last = epochs[-1]
    st.caption(
        f"Epoch {last['epoch']}: validation loss {last['validation_loss']:.4f} nats, token accuracy "
        f"{last['validation_accuracy']:.3f} on validation rows, {last['seconds']:.1f} s an epoch. {LOSS_NOTE}"
    )


def show_unfinished(but: FitTask | None) -> None:
    """Fits that were begun and have no result, with the way back to each, but for the one on the page."""
    folders = [path for path in (settings().cache / "predictors").glob("*/") if not (path / ABOUT).exists()]
    for folder in sorted(folders, key=lambda path: -path.stat().st_mtime):
        task = None
        with suppress(MemvizError):
            task = find_task(FitTask, folder.name)
        if task is None or task == but:
            continue
        job = worker().job(folder.name)
        columns = st.columns([6, 1.2], vertical_alignment="center")
        state = "Under way" if job and job.active else "Unfinished"
        columns[0].markdown(f"**{state}** · {escaped(words_of(task))} · {len(epochs_of(folder))} epochs")
        if clicked(columns[1], "Show", f"show-{folder.name}", width="stretch"):
            st.query_params["run"] = folder.name[:LINK_LENGTH]
            st.rerun()
