"""How good fitted predictors are: which one a page is about, its stored evaluation, and its family of other sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from memviz.catalog import known_models
from memviz.errors import InputError, MemvizError
from memviz.figures.predicted import BASELINES, METHOD_WORDS
from memviz.measures.glossary import GLOSSARY, explain
from memviz.population.reported import SOURCE, reported_accuracies
from memviz.predictor.known import Known, rename
from memviz.predictor.presets import SETTINGS
from memviz.predictor.tables import Tables
from memviz.predictor.task import fit_task_from
from memviz.settings import settings
from memviz.sweeps.running import duration
from memviz.ui.common.frames import choose_picture, offer_table, picture, title_line
from memviz.ui.common.shared import told
from memviz.ui.population.page import KEY_LENGTH, forget_unknown
from memviz.ui.predictor.fitting import PRESET_WORDS, SETTING_NAMES, fit_command
from memviz.ui.predictor.tracks import known_now

BOUND: dict[str, Any] = {"bind": "query-params"}
FEW = ("predictor", "boosting", "logistic", "position")
"""Methods drawn as curves before anybody chose any."""
CARDS = ("token_accuracy", "full_accuracy", "auroc", "average_precision", "brier", "divergence_error")
_LESS = ("brier", "calibration_error", "divergence_error")
"""Metrics of which less is better."""


@dataclass(frozen=True)
class View:
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
        best = lines.loc[lines["value"].idxmin() if metric in _LESS else lines["value"].idxmax()]
        return str(best["method"]), float(best["value"])


def _identity(known: Known) -> tuple[str, str, str]:
    return known.id, str(known.folder), known.about["created"]


@st.cache_resource(max_entries=16, show_spinner="Reading the evaluation")
def _tables(_known: Known, identity: tuple[str, str, str]) -> Tables:
    return _known.tables()


def name_of(known: Known) -> str:
    """A predictor in words."""
    request, data = known.about["request"], known.about["data"]
    said = [known.name] if known.name else []
    said += [known.model, PRESET_WORDS[request["preset"]], f"m up to {known.m}"]
    said += [f"{sum(data['rows'].values()):,} rows", "bundled" if known.shipped else known.about["created"][:16]]
    said += ["no hidden states"] if not known.about["features"]["hidden"] else []
    return " · ".join(said + (["n-grams"] if request["ngrams"] else []))


def choose_view(bar: Sequence[Any]) -> View:
    """The widgets above the results, all of them in the address; bar: places for setting, predictor, m and pictures.

    Stops the page with a sentence where no predictor can be read.
    """
    found = known_now()
    _follow_link(found)
    here = [setting for setting in SETTINGS if any(each.setting == setting for each in found)]
    forget_unknown("setting", here)
    st.session_state.setdefault("setting", here[0])
    setting = bar[0].segmented_control(
        "What it sees", here, format_func=lambda name: SETTING_NAMES[name], required=True,
        help=explain("setting"), key="setting",
    )  # fmt: skip
    among = {each.id[:KEY_LENGTH]: each for each in found if each.setting == setting}
    chosen = _choose_predictor(among, bar[1])
    try:
        lengths = sorted(_tables(chosen, _identity(chosen)).metrics["m"].unique().tolist())
    except InputError as error:
        st.error(told(error))
        st.stop()
    forget_unknown("m", lengths)
    m = bar[2].selectbox("Continuation m", lengths, len(lengths) - 1, key="m", **BOUND)
    with bar[3]:
        choose_picture()
    return View(chosen, _family(chosen, found), m)


def _follow_link(found: Sequence[Known]) -> None:
    """Let the widgets say what a new link says."""
    asked = st.query_params.get("predictor")
    if asked is None or asked == st.session_state.get("predictor_followed"):
        return
    for each in found:
        if each.id[:KEY_LENGTH] == asked:
            st.session_state["setting"], st.session_state["predictor"] = each.setting, asked
            return
    st.warning(f"This link is about predictor {told(asked[:32])}, which is not kept here; this is another one.")


def _choose_predictor(among: dict[str, Known], where: Any) -> Known:
    """Of one setting; after a change of setting, that of the same model and preset where there is one."""
    if st.session_state.get("predictor") not in among:
        model = st.session_state.get("predictor_model")
        alike = [name for name, each in among.items() if each.model == model]
        sizes = _parameters()
        st.session_state["predictor"] = (alike or sorted(among, key=lambda name: -sizes.get(among[name].model, 0)))[0]
    names = {name: name_of(each) for name, each in among.items()}
    chosen = where.selectbox("Predictor", list(among), format_func=lambda name: names[name], key="predictor")
    st.session_state["predictor_followed"] = st.query_params["predictor"] = chosen
    st.session_state["predictor_model"] = among[chosen].model
    return among[chosen]


def offer_name(known: Known) -> None:
    """A field that names a predictor fitted here; those that come with memviz keep theirs."""
    if known.shipped:
        return
    given = st.text_input("Name of this predictor", known.name, placeholder="a name", key=f"name-{known.id[:12]}")
    if given.strip() != known.name:
        try:
            rename(known, given)
        except MemvizError as error:
            st.error(told(error))
            return
        st.rerun()


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


# What stands on the page


def words_of(view: View) -> str:
    """n, sampling, unit and prevalence of what is shown."""
    line, known = view.metrics.iloc[0], view.known
    rows = known.about["data"]["rows"]
    return (
        f"{line['n']:,} test rows in {line['n_units']:,} groups of near-duplicates ({rows['train']:,} to train on, "
        f"{rows['validation']:,} to validate; whole groups, drawn by a hash, the same for every model) · "
        f"**{line['prevalence']:.1%} of the test positions are hits** · greedy, free-running, k = {known.k}, "
        f"m = {view.m} · intervals: 95 %, over groups; another fit or training run would differ by more"
    )


def show_cards(view: View) -> None:
    """The predictor's numbers, each beside the best baseline's."""
    for column, metric in zip(st.container(key="cards").columns(len(CARDS)), CARDS, strict=True):
        line, best = view.value(metric), view.best_baseline(metric)
        form = ".1f" if metric == "divergence_error" else ".3f"
        value = "–" if line is None else f"{line['value']:{form}}"
        column.metric(
            GLOSSARY[metric].label,
            value,
            None if best is None else f"baseline {best[1]:{form}}",
            delta_color="off",
            delta_arrow="off",
            help=explain(metric)
            + ("" if line is None else f" Interval [{line['low']:{form}}, {line['high']:{form}}].")
            + ("" if best is None else f" Below, the best baseline: {METHOD_WORDS[best[0]]}."),
            border=True,
        )


def show(
    figure: Callable[[], go.Figure], title: str, name: str, table: pd.DataFrame, note: str, missing: str = ""
) -> None:
    """A figure in its frame with title, note and the table behind it; `missing` where there is nothing to draw."""
    with st.container(border=True):
        head(title, name, table)
        if not len(table):
            st.info(missing or "This predictor's evaluation does not have it.")
            return
        st.plotly_chart(figure(), config=picture(name), key=f"figure-{name}", alt=f"{title}. {note}")
        st.caption(note)


def head(title: str, name: str, table: pd.DataFrame) -> None:
    """A frame's title, and the table behind it as files."""
    files = title_line(f"**{title}**")
    if len(table):
        with files.popover("Data", icon=":material/download:"):
            offer_table(table, name)


def choose_methods() -> list[str]:
    """Which methods the curves draw."""
    known = [name for name in METHOD_WORDS if name not in ("majority", "all_miss")]
    forget_unknown("methods", known)
    said = st.pills(
        "Curves of", known, selection_mode="multi", default=list(FEW), format_func=lambda name: METHOD_WORDS[name],
        wrap=True, key="methods", help=f"{explain('baseline')} {explain('oracle')}", **BOUND,
    )  # fmt: skip
    return [name for name in METHOD_WORDS if name in (said or ())]


def reported_beside(view: View) -> pd.DataFrame:
    """The study's accuracies and ours, a line a model."""
    ours = view.sizes[view.sizes["method"] == "predictor"]
    parts = []
    for metric in ("token_accuracy", "full_accuracy"):
        found = ours[ours["metric"] == metric].pivot_table(index="model", columns="m", values="value", sort=False)
        theirs = reported_accuracies().pivot_table(index="model", columns="m", values=metric, sort=False)
        for source, each in (("this page", found.loc[view.models]), (SOURCE, theirs)):
            named = each.add_prefix(f"{'token' if metric == 'token_accuracy' else 'full'}, m = ")
            parts.append(named.assign(source=source))
    token = pd.concat([parts[0], parts[1]])
    full = pd.concat([parts[2], parts[3]]).drop(columns="source")
    joined = token.join(full).reset_index()
    return joined[["source", "model", *(name for name in joined.columns if name not in ("source", "model"))]]


def show_about(view: View) -> None:
    """What the predictor is: features, parameters, seconds, versions, and how to load or repeat it."""
    offer_name(view.known)
    about = view.known.about
    features, seconds = about["features"], about["seconds"]
    hidden = f"hidden state of {features['hidden']} numbers, " if features["hidden"] else ""
    lines = {
        "features of a token": hidden + ", ".join(features["statistics"]),
        "parameters": f"{about['n_parameters']:,}",
        "epochs": f"{len(about['epochs'])}, kept the one with the smallest validation loss",
        "temperature": f"{about['temperature']:.2f}, fitted on the validation part",
        "fitted in": f"{duration(seconds['fitting'])}, after {duration(seconds['reading'])} of reading",
        "hits in training rows": f"{about['data']['prevalence']['train']:.1%}",
        "made": about["created"],
        "versions": ", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        "id": about["id"][:KEY_LENGTH],
    }
    st.table([{"": name, "value": value} for name, value in lines.items()], border="horizontal", hide_index=True)
    st.caption("The same from the command line, with the folder of the sweep it was fitted on:")
    st.code(fit_command(fit_task_from(about["request"] | {"sweep": "SWEEP"})), language=None, wrap_lines=True)
