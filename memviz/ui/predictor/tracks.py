"""On the Trace page: what fitted predictors say of a prompt, before anything is generated and beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.figures.linked import Track
from memviz.figures.predicted import BASELINES, METHOD_WORDS, SETTING_WORDS, predicted_track
from memviz.jobs import Status
from memviz.measures.glossary import explain
from memviz.predictor.applying import inputs_of, objection
from memviz.predictor.data import parts_of
from memviz.predictor.files import ABOUT
from memviz.predictor.forecast import Forecast, ForecastTask, stored_forecast
from memviz.predictor.forward import probability, read_weights
from memviz.predictor.known import SHIPPED, Known, known_predictors, predictors_for
from memviz.predictor.presets import SETTINGS
from memviz.predictor.task import data_key
from memviz.records import Run
from memviz.settings import settings
from memviz.sweeps.kept import kept_sweeps
from memviz.sweeps.rowset import SUITE
from memviz.tasks.trace import TraceTask, result_key
from memviz.ui.common.clicks import clicked
from memviz.ui.common.running import watch
from memviz.ui.common.shared import device_kind, samples, session, store, told, worker

CHOSEN = "predicted"
"""The widget that chooses settings, and the address's parameter."""


# Which predictors there are


def known_now() -> list[Known]:
    """Every fitted predictor, read again only when a folder changed."""
    folders = (settings().cache / "predictors", SHIPPED)
    paths = [path for folder in folders for path in sorted(folder.glob(f"*/{ABOUT}"))]
    return _known(tuple((str(path), path.stat().st_mtime_ns) for path in paths))


@st.cache_resource(max_entries=2, show_spinner=False)
def _known(there: tuple[tuple[str, int], ...]) -> list[Known]:
    return known_predictors(settings()) if there else []


def usable(card: Card, task: TraceTask) -> tuple[dict[str, Known], str | None]:
    """Setting -> predictor that can be asked about a run, and why another one cannot, in one sentence."""
    found: dict[str, Known] = {}
    problem = None
    n_context = len(task.context_ids) - len(card.leading_ids)
    for setting, known in predictors_for(card, settings(), known_now(), n_context).items():
        said = objection(known, card, n_context, task.decoding.greedy)
        if said is None:
            found[setting] = known
        problem = problem or said
    return found, problem


# Before there is a run


def show_forecast(task: TraceTask, card: Card) -> None:
    """Where nothing was generated yet: what the context alone tells, or the button that asks for it."""
    known = usable(card, task)[0].get("context")
    if known is None or store().has(result_key(task, card, device_kind(task.dtype))):
        return
    asked = _question(task, known)
    job, found = worker().job(asked.hash), stored_forecast(store(), asked)
    with st.container(border=True):
        st.markdown("**Before anything is generated: P(memorized) from the context alone**")
        if found is not None:
            _draw(found, known, task)
        elif job and job.active:
            job.attend(session())
            watch(job, f"{task.model} reads {len(task.context_ids)} tokens of context", unit="contexts")
        else:
            _offer(asked, job.error if job and job.status == Status.FAILED else None)


def _question(task: TraceTask, known: Known) -> ForecastTask:
    return ForecastTask(task.model, task.context_ids, known.id, task.dtype)


def _offer(asked: ForecastTask, error: str | None) -> None:
    if error:
        st.error(told(error))
    button, note = st.columns([2, 5], vertical_alignment="center")
    if clicked(button, "Predict from the context alone", "trace_forecast", icon=":material/online_prediction:"):
        worker().ask(asked, session())
        st.rerun()
    note.caption("One pass over the context, no decoding. It is kept, and shown beside the truth after **Run**.")


def _draw(found: Forecast, known: Known, task: TraceTask) -> None:
    from memviz.figures.predictor import forecast_figure  # half a second of imports, only where it is drawn

    p = found.probability[: task.n_steps]
    st.plotly_chart(
        forecast_figure(p, len(task.context_ids)),
        key="trace_forecast_figure",
        config={"displayModeBar": False},
        alt="P(memorized) for each token that will be generated, from the context alone",
    )
    beyond = f" The predictor says nothing of positions from {known.m} on." if task.n_steps > known.m else ""
    st.caption(
        f"Expected to be reproduced: {p.sum():.1f} of {len(p)} tokens (sum of the probabilities). "
        f"Made {_clock(found.created)}, before anything was generated. {said_of(known, task.n_steps)}"
        f"{_said_of_row(known, task)}{beyond}"
    )


def _clock(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


# Beside the truth


def choose_tracks(run: Run, key: str, task: TraceTask, card: Card) -> list[Track]:
    """The widget that chooses settings, a caption, and the rows of cells they ask for; none without a predictor."""
    found, problem = usable(card, task)
    if not found:
        if problem:
            st.caption(f"P(memorized) is not shown: {problem}.")
        return []
    forecast = stored_forecast(store(), _question(task, found["context"])) if "context" in found else None
    control, note = st.columns([2.4, 5], vertical_alignment="center")
    first = "context" if forecast else next(iter(found))
    asked = control.pills(
        "P(memorized)",
        list(found),
        selection_mode="multi",
        default=[first],
        format_func=lambda name: SETTING_WORDS[name],
        key=CHOSEN,
        help=f"{explain('p_memorized')} {explain('setting')}",
        wrap=True,
        bind="query-params",
    )
    chosen = [name for name in SETTINGS if name in (asked or ())]
    with note:
        _say(found, chosen, forecast, run, task)
    truth = run.trace.continuation_ids
    match = None if truth is None else run.trace.generated_ids[0] == truth[0]
    tracks = []
    for name in chosen:
        try:
            said = _probability(found[name], found[name].id, key, run, len(card.leading_ids))
        except (InputError, KeyError) as error:
            st.warning(f"The {SETTING_WORDS[name]} predictor cannot be read: {told(error)}")
            continue
        if name == "context" and forecast is not None:
            said = _padded(forecast.probability, len(said))
        tracks.append(predicted_track(name, said, match, run.trace.n_context))
    return tracks


def exported(tracks: Sequence[Track], n_context: int) -> dict[str, np.ndarray]:
    """The (m,) probabilities of drawn rows by setting, NaN where nothing is said."""
    return {
        track["id"].removeprefix("predicted-"): np.array(track["series"][0]["values"][n_context:], np.float32)
        for track in tracks
    }


def _padded(values: np.ndarray, m: int) -> np.ndarray:
    found = np.full(m, np.nan, np.float32)
    found[: min(m, len(values))] = values[:m]
    return found


@st.cache_resource(max_entries=16, show_spinner=False)
def _weights(folder: str, identity: str) -> Mapping[str, np.ndarray]:
    return read_weights(Path(folder))


@st.cache_data(max_entries=400, show_spinner=False)
def _probability(_known: Known, identity: str, run_key: str, _run: Run, n_leading: int) -> np.ndarray:
    """(m,) of a stored run, NaN beyond the predictor's m: milliseconds, and no torch."""
    m = _run.trace.n_continuation
    asked = min(m, _known.m)
    weights = _weights(str(_known.folder), identity)
    return _padded(probability(weights, _known.about, inputs_of(_run.trace, n_leading), asked)[0], m)


def _say(
    found: Mapping[str, Known], chosen: Sequence[str], forecast: Forecast | None, run: Run, task: TraceTask
) -> None:
    if not chosen:
        st.caption("Choose a setting to see what a fitted predictor says of each token.")
        return
    said = said_of_several({name: found[name] for name in chosen}, task.n_steps)
    said += _said_of_row(found[chosen[0]], task)
    if "context" in chosen and forecast is not None and _was_before(forecast, run):
        said += f" Context only: made {_clock(forecast.created)}, before this text was generated."
    st.caption(said)


FITTED_ON = {
    "train": " **Fitting read row {}**, so what is said here may be known by heart.",
    "validation": " Row {} is a validation row: with others it decided when fitting stopped.",
    "test": " Row {} is a test row: fitting never read it.",
}


def _said_of_row(known: Known, task: TraceTask) -> str:
    """Whether a predictor was fitted on the prompt, where it is a row of the suite's training data and it of theirs."""
    rows = samples()
    ids = [*task.context_ids, *(task.continuation_ids or ())]
    row = rows.row_of(ids) if rows and known.about["data"]["source"] == SUITE else None
    if row is None or (parts := _parts(known, known.id)) is None:
        return ""
    return FITTED_ON[parts[row]].format(row) if row in parts else f" Fitting never read row {row}."


@st.cache_data(max_entries=20, show_spinner=False)
def _parts(_known: Known, identity: str) -> dict[int, str] | None:
    for sweep in kept_sweeps(settings()):
        with suppress(InputError):  # it has no such model
            if data_key(sweep, _known.model) == _known.about["data"]["key"]:
                return parts_of(sweep, _known.about["request"]["n_rows"])
    return None


def _was_before(forecast: Forecast, run: Run) -> bool:
    try:
        return forecast.created < datetime.fromisoformat(run.provenance["created"])
    except (KeyError, TypeError, ValueError):
        return False


# How good it is


def said_of(known: Known, m: int) -> str:
    """A predictor's test accuracy against its best baseline, with prevalence and n, in a sentence."""
    try:
        best = _headline(known, known.id, m)
    except (OSError, ValueError, KeyError):
        return "Its evaluation cannot be read."
    return (
        f"Token accuracy {best['accuracy']:.3f} on {best['n']:,} test rows at m = {best['m']}; best baseline "
        f"{best['baseline_accuracy']:.3f} ({best['baseline']}), share of hits {best['prevalence']:.2f}."
    )


def said_of_several(known: Mapping[str, Known], m: int) -> str:
    """The same of one predictor a setting; what they have in common is said once."""
    try:
        best = {name: _headline(each, each.id, m) for name, each in known.items()}
    except (OSError, ValueError, KeyError):
        return "Their evaluation cannot be read."
    shared = {(each["m"], each["n"], round(each["prevalence"], 2)) for each in best.values()}
    if len(best) == 1 or len(shared) > 1:
        return "  \n".join(f"{SETTING_WORDS[name].capitalize()}: {said_of(known[name], m)}" for name in best)
    at, n, prevalence = shared.pop()
    words = "; ".join(
        f"**{SETTING_WORDS[name]}** {each['accuracy']:.3f}, best baseline {each['baseline_accuracy']:.3f} "
        f"({each['baseline']})"
        for name, each in best.items()
    )
    return f"Token accuracy on {n:,} test rows at m = {at}, share of hits {prevalence:.2f}: {words}."


@st.cache_data(max_entries=100, show_spinner=False)
def _headline(_known: Known, identity: str, m: int) -> dict[str, Any]:
    folder = _known.folder.parent if _known.shipped else _known.folder
    lines = pd.read_parquet(folder / "metrics.parquet", filters=[("predictor", "==", identity)])
    lines = lines[lines["metric"] == "token_accuracy"]
    lengths = sorted(lines["m"].unique())
    at = max((length for length in lengths if length <= m), default=lengths[0])
    values = lines[lines["m"] == at].set_index("method")
    baselines = values.loc[[name for name in BASELINES if name in values.index], "value"]
    best = str(baselines.idxmax())
    return {
        "m": int(at),
        "n": int(values.loc["predictor", "n"]),
        "accuracy": float(values.loc["predictor", "value"]),
        "baseline": METHOD_WORDS[best],
        "baseline_accuracy": float(baselines[best]),
        "prevalence": float(values.loc["predictor", "prevalence"]),
    }
