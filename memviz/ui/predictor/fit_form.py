"""The widgets that ask for a fit, and the task they make."""

from __future__ import annotations

import shlex
from typing import Any

import streamlit as st

from memviz.measures.glossary import explain
from memviz.predictor.presets import PRESETS, SETTINGS
from memviz.predictor.task import DEFAULT_M, MOST_WINDOWS, FitTask, expected_seconds, fit_task
from memviz.sweeps import Sweep
from memviz.sweeps.progress import duration
from memviz.sweeps.tables import lengths_of
from memviz.ui.common.sweep import choose_sweep
from memviz.ui.common.widgets import KEEP, forget_unknown

SETTING_NAMES = {"published": "Published", "causal": "Causal", "context": "Context only"}
PRESET_NAMES = {"default": "Default", "small": "Small", "published": "The study's size", "ensemble": "Ensemble"}
PRESET_WORDS = {
    "default": "default size",
    "small": "small size",
    "published": "the study's size",
    "ensemble": "ensemble",
}


def choose_fit() -> tuple[FitTask, Sweep]:
    """The task that the widgets ask for. Stops the page where there is no sweep; raises InputError."""
    bar = st.columns([5, 2.4])
    sweep = choose_sweep(bar[0])
    models = list(sweep.task.models)
    forget_unknown("fit_model", models)
    model = bar[1].selectbox("Model", models, len(models) - 1, key="fit_model", **KEEP)
    line = st.columns([2.9, 3.8, 1.4, 1.2], vertical_alignment="bottom")
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
    windows = st.number_input(
        "Windows a training row", 1, MOST_WINDOWS, 1, key="fit_windows", **KEEP,
        help="Further windows of a row give it other contexts; the model first writes after each of them.",
    )  # fmt: skip
    by_document = st.toggle(
        "Test on documents of their own", False, key="fit_documents", **KEEP,
        help="No document is in two parts, where rows say which they are of; else no group of near-duplicates is.",
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
    own |= {"windows": int(windows), "split": "document" if by_document else "group"}
    return own | {"n_rows": None if rows is None else int(rows), "seed": int(seed)}


def _size_words(preset: str) -> str:
    sizes = PRESETS[preset]
    each = f"{sizes.members} of " if sizes.members > 1 else ""
    return f"{each}{sizes.n_layers} layers, {sizes.n_heads} heads, width {sizes.width}, at most {sizes.n_epochs} epochs"


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
    words += ["--windows", str(task.windows)] if task.windows > 1 else []
    words += ["--split", task.split] if task.split != "group" else []
    words += [] if task.n_rows is None else ["--sample", str(task.n_rows)]
    words += [] if task.hidden or task.transfer else ["--no-hidden"]
    words += ["--ngrams"] if task.ngrams else []
    words += ["--transfer"] if task.transfer else []
    return shlex.join(words)


def words_of(task: FitTask) -> str:
    """A fit in one line."""
    said = [task.model, SETTING_NAMES[task.setting].lower(), PRESET_WORDS[task.preset]]
    said += [f"k = {task.k}, m = {task.m}", f"seed {task.seed}"]
    said += [f"{task.n_rows:,} rows"] if task.n_rows else []
    said += [f"{task.windows} windows a training row"] if task.windows > 1 else []
    said += ["split by document"] if task.split == "document" else []
    said += ["statistics alone, for any size"] if task.transfer else [] if task.hidden else ["no hidden states"]
    return " · ".join(said + (["n-gram counts"] if task.ngrams else []))
