"""One fitted predictor's stored evaluation, with its family of other sizes, and which one a page is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.catalog import known_models
from memviz.errors import InputError
from memviz.figures.predicted import BASELINES
from memviz.measures.glossary import explain
from memviz.predictor.evaluation import LESS_IS_BETTER, by_exposures
from memviz.predictor.known import Known
from memviz.predictor.presets import SETTINGS
from memviz.predictor.tables import Tables
from memviz.settings import settings
from memviz.sweeps.rowset import SUITE
from memviz.ui.common.links import CHOSEN_LENGTH, keep_chosen, newly_chosen
from memviz.ui.common.opening import fold_settings, widget_row
from memviz.ui.common.process import samples
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import bound, forget_unknown, refuse
from memviz.ui.predictor.fit_form import PRESET_WORDS, SETTING_NAMES
from memviz.ui.predictor.known import known_now


@dataclass(frozen=True)
class Evaluation:
    """One predictor's evaluation as a page looks at it."""

    known: Known
    family: tuple[Known, ...]
    """Those of other models that were asked for alike, itself included; models ascending by parameters."""
    m: int

    @cached_property
    def tables(self) -> Tables:
        return _tables(self.known, _identity(self.known))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Lines of this predictor at this m."""
        return self.of(self.tables.metrics)

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The lines of a table at this m."""
        return table[table["m"] == self.m]

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """Metrics of the whole family at every m."""
        parts = [_tables(each, _identity(each)).metrics for each in self.family]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def exposures(self) -> pd.DataFrame:
        """Token accuracy by exposures; empty where those of the rows are not known."""
        rows = samples() if self.known.about["data"]["source"] == SUITE else None
        outcomes = self.of(self.tables.outcomes)
        if rows is None or not len(outcomes):
            return pd.DataFrame()
        return _by_exposures(outcomes, rows.exposures, rows.exposure_labels, (*_identity(self.known), self.m))

    @property
    def epochs(self) -> pd.DataFrame:
        """One line an epoch of its fit."""
        return pd.DataFrame(self.known.about["epochs"])

    @property
    def models(self) -> list[str]:
        return [each.model for each in self.family]

    def value(self, metric: str, method: str = "predictor") -> pd.Series | None:
        """A line of the metrics, or None where there is none."""
        found = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["method"] == method)]
        return found.iloc[0] if len(found) and np.isfinite(found.iloc[0]["value"]) else None

    def best_baseline(self, metric: str) -> tuple[str, float] | None:
        """The baseline that does best, the oracle left out."""
        lines = self.metrics[(self.metrics["metric"] == metric) & self.metrics["method"].isin(BASELINES)]
        lines = lines[np.isfinite(lines["value"])]
        if not len(lines):
            return None
        best = lines.loc[lines["value"].idxmin() if metric in LESS_IS_BETTER else lines["value"].idxmax()]
        return str(best["method"]), float(best["value"])


def _identity(known: Known) -> tuple[str, str, str]:
    return known.id, str(known.folder), known.about["created"]


@st.cache_resource(max_entries=16, show_spinner="Reading the evaluation")
def _tables(_known: Known, identity: tuple[str, str, str]) -> Tables:
    return _known.tables()


@st.cache_data(max_entries=32, show_spinner=False)
def _by_exposures(
    _outcomes: pd.DataFrame, _exposures: np.ndarray, _order: Sequence[str], key: tuple[str | int, ...]
) -> pd.DataFrame:
    return by_exposures(_outcomes, _exposures, _order)


def name_of(known: Known) -> str:
    """A predictor in words."""
    request, data = known.about["request"], known.about["data"]
    said = [known.name] if known.name else []
    said += [known.model, PRESET_WORDS[request["preset"]], f"m up to {known.m}"]
    said += [f"{sum(data['rows'].values()):,} rows", "bundled" if known.shipped else known.about["created"][:16]]
    said += ["no hidden states"] if not known.about["features"]["hidden"] else []
    return " · ".join(said + (["n-grams"] if request["ngrams"] else []))


def choose_evaluation() -> tuple[Evaluation, DeltaGenerator]:
    """The settings of the results, folded into one line and all of them in the address; and the place beside it.

    Stops the page with a sentence where no predictor can be read.
    """
    found = known_now()
    known = {each.id[:CHOSEN_LENGTH]: each for each in found}
    asked = newly_chosen("predictor", known, "predictor")
    if asked:
        st.session_state["setting"], st.session_state["predictor"] = known[asked].setting, asked
    here = [setting for setting in SETTINGS if any(each.setting == setting for each in found)]
    forget_unknown("setting", here)
    st.session_state.setdefault("setting", here[0])
    among = {name: each for name, each in known.items() if each.setting == st.session_state["setting"]}
    chosen = among[_said_predictor(among)]
    said, m_said = f"{SETTING_NAMES[chosen.setting]}: {chosen.name or chosen.model}", st.query_params.get("m", chosen.m)
    line = f"**{escaped(said)}** · m = {escaped(str(st.session_state.get('m') or m_said))}"
    box, beside = fold_settings("predictor", line)
    with box:
        row = widget_row()
    row.segmented_control(
        "What it sees", here, format_func=lambda name: SETTING_NAMES[name], required=True,
        help=explain("setting"), key="setting",
    )  # fmt: skip
    names = {name: name_of(each) for name, each in among.items()}
    row.selectbox("Predictor", list(among), format_func=lambda name: names[name], key="predictor", width=420)
    keep_chosen("predictor", chosen.id[:CHOSEN_LENGTH])
    try:
        lengths = sorted(_tables(chosen, _identity(chosen)).metrics["m"].unique().tolist())
    except InputError as error:
        refuse(error)
    forget_unknown("m", lengths)
    m = row.selectbox("Continuation m", lengths, len(lengths) - 1, width=150, **bound("m"))
    return Evaluation(chosen, _family(chosen, found), m), beside


def _said_predictor(among: Mapping[str, Known]) -> str:
    """Of one setting; after a change of setting, that of the same model and preset where there is one."""
    if st.session_state.get("predictor") not in among:
        model = st.session_state.get("predictor_model")
        alike = [name for name, each in among.items() if each.model == model]
        sizes = _parameters()
        st.session_state["predictor"] = (alike or sorted(among, key=lambda name: -sizes.get(among[name].model, 0)))[0]
    name: str = st.session_state["predictor"]
    st.session_state["predictor_model"] = among[name].model
    return name


def _parameters() -> dict[str, int]:
    return {model.name: model.n_parameters or 0 for model in known_models(settings())}


def _family(chosen: Known, found: Sequence[Known]) -> tuple[Known, ...]:
    def asked(known: Known) -> dict[str, Any]:
        left_out = ("model", "data", "sweep")
        return {name: value for name, value in known.about["request"].items() if name not in left_out}

    rows = chosen.about["data"]["rows"]
    same: dict[str, Known] = {}
    for each in found:
        if asked(each) == asked(chosen) and each.about["data"]["rows"] == rows and _is_readable(each):
            same.setdefault(each.model, each)
    same[chosen.model] = chosen
    sizes = _parameters()
    return tuple(sorted(same.values(), key=lambda each: (sizes.get(each.model, 0), each.model)))


def _is_readable(known: Known) -> bool:
    try:
        return bool(len(_tables(known, _identity(known)).metrics))
    except InputError:
        return False
