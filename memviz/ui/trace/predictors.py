"""On the Trace page: which fitted predictors can be asked about the prompt, and how good each is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.figures.predicted import BASELINES, METHOD_WORDS, SETTING_WORDS
from memviz.predictor.applying import objection
from memviz.predictor.data import parts_of
from memviz.predictor.forecast import ForecastTask
from memviz.predictor.known import Known, fitted_on, predictors_for
from memviz.predictor.presets import SETTINGS, Setting
from memviz.predictor.task import data_key
from memviz.settings import settings
from memviz.sweeps.kept import kept_sweeps
from memviz.sweeps.rowset import SUITE
from memviz.tasks.trace import TraceTask
from memviz.ui.common.links import CHOSEN_LENGTH, keep_chosen, newly_chosen
from memviz.ui.common.process import samples
from memviz.ui.common.widgets import forget_unknown
from memviz.ui.predictor.known import known_now

FITS = "fits"
"""The address's parameter: "shipped" leaves predictors fitted here out, so that a link means what it meant."""
BY = "by"
"""The widget that chooses a predictor fitted here, and the address's parameter: the start of its id."""


def usable(card: Card, task: TraceTask) -> tuple[dict[str, Known], str | None]:
    """Setting -> predictor that can be asked about a run, and why another one cannot, in one sentence.

    A shipped one, unless one fitted here is chosen.
    """
    found: dict[str, Known] = {}
    problem = None
    n_context = len(task.context_ids) - task.n_leading(card)
    chosen = _chosen(_able(card, task))
    for setting, known in predictors_for(card, settings(), _among(), n_context, chosen).items():
        said = objection(known, card, n_context, task.decoding.greedy)
        if said is None:
            found[setting] = known
        problem = problem or said
    return found, problem


def _among() -> list[Known]:
    only_shipped = st.query_params.get(FITS) == "shipped"
    return [each for each in known_now() if each.shipped or not only_shipped]


def _able(card: Card, task: TraceTask) -> list[Known]:
    n_context = len(task.context_ids) - task.n_leading(card)
    return [e for e in fitted_on(card, _among()) if objection(e, card, n_context, task.decoding.greedy) is None]


def _chosen(able: Sequence[Known]) -> str:
    """The start of the id of the one fitted here that speaks, by the widget or a new link; empty where none does."""
    own = ["", *(each.id[:CHOSEN_LENGTH] for each in able if not each.shipped)]
    asked = st.query_params.get(BY)
    if asked and asked != st.session_state.get(f"{BY}_followed"):
        st.session_state[BY] = newly_chosen(BY, own, "predictor") or ""
    forget_unknown(BY, own)
    usual = "" if len(own) == 1 or any(each.shipped for each in able) else own[1]
    chosen: str = st.session_state.setdefault(BY, usual)
    if chosen:
        keep_chosen(BY, chosen)
    else:
        st.query_params.pop(BY, None)
        st.session_state.pop(f"{BY}_followed", None)
    return chosen


def choose_own(card: Card, task: TraceTask, asked: Collection[Setting] = SETTINGS) -> None:
    """Which predictor fitted here speaks in place of the bundled one of its setting; nothing where there is none.

    asked: the settings that speak here; one of another that was chosen elsewhere stays chosen.
    """
    chosen = st.session_state.get(BY)
    able = [each for each in _able(card, task) if each.setting in asked or each.id[:CHOSEN_LENGTH] == chosen]
    own = {each.id[:CHOSEN_LENGTH]: name_of_own(each) for each in able if not each.shipped}
    if own:
        usual = "the bundled predictors" if any(each.shipped for each in able) else "those fitted last"
        st.selectbox(
            "Said by", ["", *own], format_func=lambda name: own.get(name, usual), key=BY, label_visibility="collapsed"
        )


def name_of_own(known: Known) -> str:
    """A predictor fitted here, in a few words."""
    return f"{SETTING_WORDS[known.setting]}: {known.name or 'fitted ' + known.about['created'][:16].replace('T', ' ')}"


def question(task: TraceTask, known: Known) -> ForecastTask:
    return ForecastTask(task.model, task.context_ids, known.id, task.dtype)


FITTED_ON = {
    "train": " **Fitting read row {}**, so what is said here may be known by heart.",
    "validation": " Row {} is a validation row: with others it decided when fitting stopped.",
    "test": " Row {} is a test row: fitting never read it.",
}


def said_of_row(known: Known, task: TraceTask) -> str:
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
                request = _known.about["request"]
                return parts_of(sweep, request["n_rows"], request.get("split", "group"))
    return None


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


def clock(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
