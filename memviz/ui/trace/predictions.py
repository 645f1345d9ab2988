"""On the Trace page: what fitted predictors say of each token, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import streamlit as st

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.figures.predicted import SETTING_WORDS, predicted_track
from memviz.figures.tracks import Track
from memviz.measures.glossary import explain
from memviz.predictor.applying import inputs_of
from memviz.predictor.forecast import Forecast
from memviz.predictor.forward import probability, read_weights
from memviz.predictor.known import Known
from memviz.predictor.presets import SETTINGS
from memviz.records import Run
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import stored
from memviz.ui.common.texts import escaped, told
from memviz.ui.trace.predictors import (
    choose_own,
    clock,
    name_of_own,
    question,
    said_of_row,
    said_of_several,
    usable,
)

CHOSEN = "predicted"
"""The widget that chooses settings, and the address's parameter."""


def choose_tracks(run: Run, key: str, task: TraceTask, card: Card) -> list[Track]:
    """The widget that chooses settings, a caption, and the rows of cells they ask for; none without a predictor."""
    found, problem = usable(card, task)
    if not found:
        if problem:
            st.caption(f"P(memorized) is not shown: {problem}.")
        return []
    forecast = stored(question(task, found["context"]), card) if "context" in found else None
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
    with control:
        choose_own(card, task)
    chosen = [name for name in SETTINGS if name in (asked or ())]
    with note:
        _say(found, chosen, forecast, run, task)
    truth = run.trace.continuation_ids
    match = None if truth is None else run.trace.generated_ids[0] == truth[0]
    tracks = []
    for name in chosen:
        try:
            said = _probability(found[name], found[name].id, key, run, task.n_leading(card))
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
    own = [name_of_own(found[name]) for name in chosen if not found[name].shipped]
    said = f"Fitted here: {escaped(', '.join(own))}. " if own else ""
    said += said_of_several({name: found[name] for name in chosen}, task.n_steps)
    said += said_of_row(found[chosen[0]], task)
    if "context" in chosen and forecast is not None and _was_before(forecast, run):
        said += f" Context only: made {clock(forecast.created)}, before this text was generated."
    st.caption(said)


def _was_before(forecast: Forecast, run: Run) -> bool:
    try:
        return forecast.created < datetime.fromisoformat(run.provenance["created"])
    except (KeyError, TypeError, ValueError):
        return False
