"""What stands on the Predictor page: cards, figures, the study's numbers, and what the predictor is."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from memviz.errors import MemvizError
from memviz.figures.predicted import METHOD_WORDS
from memviz.figures.predictor import METRIC_WORDS
from memviz.measures.glossary import GLOSSARY, explain
from memviz.population.reported import SOURCE, reported_accuracies
from memviz.predictor.evaluation import compared
from memviz.predictor.known import Known, rename
from memviz.predictor.task import FitTask
from memviz.sweeps.progress import duration
from memviz.tasks.base import task_from
from memviz.ui.common.frames import offer_picture, offer_table, show_figure, title_line
from memviz.ui.common.links import CHOSEN_LENGTH
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.view import LEAST
from memviz.ui.predictor.evaluation import Evaluation
from memviz.ui.predictor.fit_form import fit_command

FEW = ("predictor", "boosting", "logistic", "position")
"""Methods drawn as curves before anybody chose any."""
CARDS = ("token_accuracy", "full_accuracy", "auroc", "average_precision", "brier", "divergence_error")


def unparted(known: Known) -> str:
    """What is in one part alone, and what intervals are over."""
    return "documents" if known.about["request"].get("split") == "document" else "groups of near-duplicates"


def words_of(view: Evaluation) -> str:
    """n, sampling, unit and prevalence of what is shown."""
    line, known = view.metrics.iloc[0], view.known
    rows, windows = known.about["data"]["rows"], known.about["request"].get("windows", 1)
    read = "hidden states and per-token statistics" if known.about["features"]["hidden"] else "per-token statistics"
    n_members = known.about["preset"].get("members", 1)
    who = "A small Transformer reads" if n_members == 1 else f"{n_members} small Transformers, averaged, read"
    of_each = f", up to {windows} windows of each" if windows > 1 else ""
    return (
        f"{who} {read} of a model, never the true text · {line['n']:,} test rows in {line['n_units']:,} "
        f"{unparted(known)} ({rows['train']:,} to train on{of_each}, {rows['validation']:,} to validate; none is "
        f"parted; drawn by a hash, the same for every model) · "
        f"**{line['prevalence']:.1%} of the test positions are hits** · greedy, free-running, k = {known.k}, "
        f"m = {view.m} · intervals: 95 %, over groups; another fit or training run would differ by more"
    )


def answer_of(view: Evaluation) -> str:
    """How often the predictor is right about a token, and how that stands to the best simpler guess."""
    line, best = view.value("token_accuracy"), view.best_baseline("token_accuracy")
    if line is None or line["n"] < LEAST:
        return f"Not answerable: the evaluation has fewer than {LEAST} test rows."
    right = f"{line['value']:.1%} \\[{line['low']:.1%}, {line['high']:.1%}\\]"
    start = f"The predictor of {escaped(view.known.model)} is right about {right} of the tokens of {line['n']:,} rows"
    if best is None:
        return f"{start}; no simpler guess was judged beside it."
    paired = view.of(view.tables.differences)
    paired = paired[(paired["method"] == best[0]) & (paired["metric"] == "token_accuracy")]
    if len(paired):
        gap, low, high = (100 * paired[["value", "low", "high"]].iloc[0].to_numpy(float)).tolist()
        verdict = f"{gap:+z.1f} \\[{low:+z.1f}, {high:+z.1f}\\] points" + (
            ", not told from it" if low <= 0 <= high else ""
        )
    else:  # an evaluation made before there were any
        gap = 100 * (line["value"] - best[1])
        verdict = "not told from it" if line["low"] <= best[1] <= line["high"] else f"{gap:+z.1f} points"
    return f"{start}, the best simpler guess ({METHOD_WORDS[best[0]]}) about {best[1]:.1%}: {verdict}."


def show_cards(view: Evaluation) -> None:
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
    nothing = missing or "This predictor's evaluation does not have it."
    show_figure(figure() if len(table) else None, table, title, name, None, note, nothing)


def head(title: str, name: str, table: pd.DataFrame, drawn: bool = True) -> None:
    """A frame's title, and as files the table behind it, and what is `drawn`."""
    files = title_line(f"**{title}**")
    if len(table):
        with files.popover("Save as", icon=":material/download:"):
            if drawn:
                offer_picture(name)
            offer_table(table, name)


def choose_methods(view: Evaluation) -> list[str]:
    """Which methods the curves draw."""
    tried = set(view.metrics["method"])
    known = [name for name in METHOD_WORDS if name in tried - {"majority", "all_miss"}]
    forget_unknown("methods", known)
    said = st.pills(
        "Curves of",
        known,
        selection_mode="multi",
        default=[name for name in FEW if name in known],
        format_func=lambda name: METHOD_WORDS[name],
        wrap=True,
        help=f"{explain('baseline')} {explain('oracle')}",
        **bound("methods"),
    )
    return [name for name in METHOD_WORDS if name in (said or ())]


def differences_of(view: Evaluation) -> pd.DataFrame:
    """The predictor's metrics less those of baselines at this m, each with its paired interval and what it says."""
    found = view.of(view.tables.differences)
    return pd.DataFrame(
        {
            "baseline": [METHOD_WORDS[name] for name in found["method"]],
            "metric": [METRIC_WORDS[name] for name in found["metric"]],
            "difference": found["value"].to_numpy(float),
            "low": found["low"].to_numpy(float),
            "high": found["high"].to_numpy(float),
            "the predictor is": compared(found),
        }
    )


def reported_beside(view: Evaluation) -> pd.DataFrame:
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


def show_about(view: Evaluation) -> None:
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
        "id": about["id"][:CHOSEN_LENGTH],
    }
    st.table([{"": name, "value": value} for name, value in lines.items()], border="horizontal", hide_index=True)
    st.caption("The same from the command line, with the folder of the sweep it was fitted on:")
    st.code(fit_command(task_from(about["request"] | {"sweep": "SWEEP"}, FitTask)), language=None, wrap_lines=True)


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
