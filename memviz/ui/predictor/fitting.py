"""Fitting predictors from a page: the widgets that make a task, its job with live curves, and what was left."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import streamlit as st

from memviz.errors import InputError, MemvizError
from memviz.jobs import Job, Status
from memviz.measures.glossary import explain
from memviz.predictor.files import ABOUT
from memviz.predictor.known import epochs_of
from memviz.predictor.presets import PRESETS, SETTINGS
from memviz.predictor.task import DEFAULT_M, FitTask, expected_seconds, fit_folder, fit_task, fit_task_from
from memviz.settings import settings
from memviz.sweeps import Sweep
from memviz.sweeps.running import duration
from memviz.sweeps.tables import lengths_of
from memviz.ui.common.clicks import clicked
from memviz.ui.common.frames import picture
from memviz.ui.common.running import LINK_LENGTH, POLL_SECONDS, watch
from memviz.ui.common.shared import escaped, session, store, told, worker
from memviz.ui.population.page import KEY_LENGTH, choose_sweep, forget_unknown
from memviz.ui.predictor.tracks import known_now

KEEP: dict[str, Any] = {"persist_state": "session"}
SETTING_NAMES = {"published": "Published", "causal": "Causal", "context": "Context only"}
PRESET_NAMES = {"default": "Default", "small": "Small", "published": "The study's size"}
PRESET_WORDS = {"default": "default size", "small": "small size", "published": "the study's size"}
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
    linked = linked_fit()
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


# What to fit


def choose_fit() -> tuple[FitTask, Sweep]:
    """The task that the widgets ask for. Stops the page where there is no sweep; raises InputError."""
    bar = st.columns([5, 2.4])
    sweep = choose_sweep(bar[0])
    models = list(sweep.task.models)
    forget_unknown("fit_model", models)
    model = bar[1].selectbox("Model", models, len(models) - 1, key="fit_model", **KEEP)
    line = st.columns([3, 3, 1.6, 1.6], vertical_alignment="bottom")
    setting = line[0].segmented_control(
        "What it sees", SETTINGS, format_func=lambda name: SETTING_NAMES[name], default="published", required=True,
        help=explain("setting"), key="fit_setting", **KEEP,
    )  # fmt: skip
    sizes = "; ".join(f"{PRESET_NAMES[name]}: {_size_words(name)}" for name in PRESETS)
    preset = line[1].segmented_control(
        "Size", list(PRESETS), format_func=lambda name: PRESET_NAMES[name], default="default", required=True,
        help=f"{sizes}.", key="fit_preset", **KEEP,
    )  # fmt: skip
    lengths = lengths_of(sweep.task)
    forget_unknown("fit_m", lengths)
    usual = DEFAULT_M if DEFAULT_M in lengths else lengths[-1]
    m = line[2].selectbox("Continuation m", lengths, lengths.index(usual), key="fit_m", **KEEP)
    with line[3].popover("More", width="stretch", icon=":material/tune:"):
        options = _choose_more(sweep)
    task = fit_task(sweep, model, setting, k=sweep.task.context_at, m=m, preset=preset, **options)
    return task, sweep


def _choose_more(sweep: Sweep) -> dict[str, Any]:
    n = sweep.manifest["rows"]["n"]
    rows = st.number_input(
        "Rows", 20, max(20, n), None, step=100, placeholder=f"all {n:,}", key="fit_rows", **KEEP,
        help="So many rows of the sweep, drawn by a hash; empty: all of them.",
    )  # fmt: skip
    seed = st.number_input("Seed", 0, 2**31 - 1, 0, help="Of weights, order and dropout.", key="fit_seed", **KEEP)
    transfer = st.toggle(
        "For models of other sizes too", False, key="fit_transfer", **KEEP,
        help="Reads entropy, margin and log-probability alone, whose meaning does not change with the model.",
    )  # fmt: skip
    hidden = st.toggle("Read hidden states", True, disabled=transfer, key="fit_hidden", **KEEP)
    ngrams = st.toggle(
        "Read n-gram counts", False, disabled=transfer, key="fit_ngrams", **KEEP,
        help="How often the generated 1- and 2-grams stand in the training data, own copies removed. "
        "Such a predictor is not shown on the Trace page.",
    )  # fmt: skip
    own: dict[str, Any] = {"hidden": hidden and not transfer, "ngrams": ngrams and not transfer, "transfer": transfer}
    return own | {"n_rows": None if rows is None else int(rows), "seed": int(seed)}


def _size_words(preset: str) -> str:
    sizes = PRESETS[preset]
    return f"{sizes.n_layers} layers, {sizes.n_heads} heads, width {sizes.width}, at most {sizes.n_epochs} epochs"


def expected_words(task: FitTask, n_rows: int) -> str:
    """How long a fit may take, said before it starts."""
    n = n_rows if task.n_rows is None else min(n_rows, task.n_rows)
    return (
        f"{_size_words(task.preset)}; {n:,} rows, k = {task.k}, m = {task.m}. Fitting takes about "
        f"{duration(expected_seconds(task, n))} on two cores if every epoch is needed (an estimate from counted "
        "operations; it ends sooner when the validation loss stops falling), and reading hidden states comes before it."
    )


def fit_command(task: FitTask) -> str:
    """The command line that fits the same predictor."""
    words = ["memviz", "predictor", "fit", "--sweep", task.sweep, "--models", task.model, "--setting", task.setting]
    words += ["--preset", task.preset, "--k", str(task.k), "--m", str(task.m), "--seed", str(task.seed)]
    words += [] if task.n_rows is None else ["--sample", str(task.n_rows)]
    words += [] if task.hidden or task.transfer else ["--no-hidden"]
    words += ["--ngrams"] if task.ngrams else []
    words += ["--transfer"] if task.transfer else []
    return shlex.join(words)


# The fit under way


def linked_fit() -> FitTask | None:
    """The fit that the address names; says so where it is unknown. Never starts work."""
    name = st.query_params.get("run")
    if not name:
        return None
    try:
        request = store().get_request(name)
        if request:
            return fit_task_from(request)
        st.warning(f"This link names fit {name[:16]}, which is not known here: it was asked for elsewhere.")
    except MemvizError as error:
        st.warning(f"This link cannot be followed: {told(error)}")
    return None


def start(task: FitTask) -> None:
    """Keep the request under its hash, put it into the link, and start or join its job, which needs no visitor."""
    store().put_request(task.hash, task.request())
    st.query_params["run"] = task.hash[:LINK_LENGTH]
    worker().ask(task, session()).kept = True


def words_of(task: FitTask) -> str:
    """A fit in one line."""
    said = [task.model, SETTING_NAMES[task.setting].lower(), PRESET_WORDS[task.preset]]
    said += [f"k = {task.k}, m = {task.m}", f"seed {task.seed}"]
    said += [f"{task.n_rows:,} rows"] if task.n_rows else []
    said += ["statistics alone, for any size"] if task.transfer else [] if task.hidden else ["no hidden states"]
    return " · ".join(said + (["n-gram counts"] if task.ngrams else []))


def show_fit(task: FitTask) -> None:
    """Where a fit stands: progress, live curves and a cancel; its end; or how to start it, or go on with it."""
    job, folder = worker().job(task.hash), fit_folder(task, settings())
    if job and job.active:
        job.attend(session())
        watch(job, f"Fitting on {task.model}", cancel=True, unit="batches")
        st.fragment(_live_curves, run_every=2 * POLL_SECONDS)(job, folder)
        return
    if (folder / ABOUT).is_file():
        st.success("Fitted.")
        st.button(
            "See its results", type="primary", icon=":material/monitoring:", key="fit_results",
            on_click=_show_results, args=(task,),
        )  # fmt: skip
    else:
        _offer_start(task, job, folder)
    _curves(folder)


def _show_results(task: FitTask) -> None:
    st.query_params.pop("run", None)
    st.query_params["predictor"] = task.hash[:KEY_LENGTH]
    st.session_state["view"] = "results"


def _offer_start(task: FitTask, job: Job | None, folder: Path) -> None:
    begun = bool(epochs_of(folder))
    if job and job.status == Status.FAILED:
        st.error(told(job.error or "the fit failed"))
    elif job and job.status == Status.CANCELLED:
        st.info("Cancelled. " + ("Finished epochs are kept: **Go on** continues after them." if begun else ""))
    if clicked(st, "Go on" if begun else "Train", "fit_start", type="primary", icon=":material/play_circle:"):
        start(task)
        st.rerun()


def _live_curves(job: Job, folder: Path) -> None:
    if job.active:
        _curves(folder)


def _curves(folder: Path) -> None:
    epochs = epochs_of(folder)
    if not epochs:
        return
    from memviz.figures.predictor import loss_figure  # half a second of imports, only where it is drawn

    st.plotly_chart(loss_figure(epochs), key="fit_loss", config=picture("loss"), alt="Training and validation loss")
    last = epochs[-1]
    st.caption(
        f"Epoch {last['epoch']}: validation loss {last['validation_loss']:.4f} nats, token accuracy "
        f"{last['validation_accuracy']:.3f} on validation rows, {last['seconds']:.1f} s an epoch. {LOSS_NOTE}"
    )


def show_unfinished(but: FitTask | None) -> None:
    """Fits that were begun and have no result, with the way back to each, but for the one on the page."""
    folders = [path for path in (settings().cache / "predictors").glob("*/") if not (path / ABOUT).exists()]
    for folder in sorted(folders, key=lambda path: -path.stat().st_mtime):
        try:
            request = store().get_request(folder.name)
            task = fit_task_from(request) if request else None
        except MemvizError:
            continue
        if task is None or task == but:
            continue
        job = worker().job(folder.name)
        columns = st.columns([6, 1.2], vertical_alignment="center")
        state = "Under way" if job and job.active else "Unfinished"
        columns[0].markdown(f"**{state}** · {words_of(task)} · {len(epochs_of(folder))} epochs")
        if clicked(columns[1], "Show", f"show-{folder.name}", width="stretch"):
            st.query_params["run"] = folder.name[:LINK_LENGTH]
            st.rerun()


def is_nothing_fitted() -> bool:
    """Whether there is no predictor at all."""
    return not known_now()
