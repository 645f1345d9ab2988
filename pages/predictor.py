"""Can it be told, token by token, which part of a continuation is memorized?"""

from typing import Any

import streamlit as st

from memviz import ui
from memviz.figures.predicted import BASELINES, METHOD_WORDS
from memviz.ui.common.frames import draw, frame, offer_table, picture
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.widgets import bound, forget_unknown, saying
from memviz.ui.population.view import LEAST
from memviz.ui.predictor import evaluation, results
from memviz.ui.predictor.fit import LOSS_NOTE, show_training
from memviz.ui.predictor.known import is_nothing_fitted

VIEWS = {"results": "Results", "train": "Train"}

head = show_head("predictor")
nothing = is_nothing_fitted()
view_name = head.segmented_control(
    "Show",
    list(VIEWS),
    format_func=lambda name: VIEWS[name],
    default="train" if nothing or "run" in st.query_params else "results",
    required=True,
    label_visibility="collapsed",
    width="content",
    **bound("view"),
)

if view_name == "train":
    show_training(nothing)
    st.stop()

if nothing:
    st.info("No predictor is fitted yet: choose **Train** above, or use `memviz predictor fit`.")
    st.stop()

# half a second of imports, only where something is drawn
from memviz.figures import predictor as figures  # noqa: E402
from memviz.figures import thresholds  # noqa: E402

view, beside = evaluation.choose_evaluation()
ui.name_tab_after(view.known.model)
folded: dict[str, Any] = {"label_visibility": "collapsed", "width": 230}
measures = [name for name in figures.METRIC_WORDS if name in set(view.metrics["metric"])]
forget_unknown("metric", measures)
metric = beside.selectbox(
    "Measure",
    measures,
    format_func=lambda name: figures.METRIC_WORDS[name],
    **folded,
    **bound("metric"),
)
tried = [name for name in BASELINES if name in set(view.metrics["method"])]
forget_unknown("beside", tried)
baseline = beside.selectbox(
    "Baseline beside each size",
    tried,
    len(tried) - 1,
    format_func=lambda name: METHOD_WORDS[name],
    **folded,
    **bound("beside"),
)
show_answer(results.answer_of(view))

left, right = st.columns(2)
with left:
    own = view.metrics[view.metrics["metric"] == metric]
    results.show(
        lambda: figures.methods_figure(own, metric),
        "Against simpler ways of guessing",
        "methods",
        own,
        f"{view.known.model}, m = {view.m}, n = {view.metrics.iloc[0]['n']:,} test rows; every baseline is fitted on "
        "the same training rows. The oracle (hollow) reads the true token: right up to the first miss, not after.",
    )
with right:
    lines = view.sizes[view.sizes["metric"] == metric]
    results.show(
        lambda: figures.sizes_figure(lines, metric, view.models, baseline),
        "By model size and continuation size",
        "sizes",
        lines[lines["method"].isin(["predictor", baseline])],
        f"{len(view.family)} fitted alike, one a model, on the same rows; dotted: {METHOD_WORDS[baseline]}. "
        "A larger model has another share of hits, so compare each line with its own dotted one.",
    )

results.show_cards(view)
st.caption(results.words_of(view))
ui.draw_so_far("predictor")
chosen = results.choose_methods(view)
roc, precision = st.columns(2)
prevalence = float(view.metrics.iloc[0]["prevalence"])
curves = view.of(view.tables.curves)
unit = f"unit: position, {view.metrics.iloc[0]['n']:,} rows x {view.m}"
for place, name, title in ((roc, "roc", "ROC"), (precision, "precision_recall", "Precision against recall")):
    with place:
        results.show(
            lambda name=name: thresholds.curve_figure(curves, name, chosen, prevalence),  # type: ignore[misc]
            title,
            name.replace("_", "-"),
            curves[(curves["curve"] == name) & curves["method"].isin(chosen)],
            f"{view.known.model}, {unit}; prevalence {prevalence:.3f}",
            "The test positions hold one label only, so there is no curve.",
        )

calibration, confusion = st.columns(2)
with calibration:
    bins = view.of(view.tables.calibration)
    drawn = [name for name in chosen if name != "oracle_rank"]
    results.show(
        lambda: thresholds.reliability_figure(bins, drawn),
        "Reliability",
        "reliability",
        bins[bins["method"].isin([*drawn, "predictor_unscaled"])],
        f"{unit}, by tenths of the predicted probability; the predictor's is scaled by a temperature of "
        f"{view.known.about['temperature']:.2f} fitted on the validation part. The oracle's are no probabilities.",
    )
with confusion:
    counts = view.of(view.tables.confusion)
    counts = counts[counts["method"] == "predictor"].sort_values("threshold").copy()
    counts["threshold"] = counts["threshold"].astype(float).round(2)  # shipped tables keep it in float32
    steps = counts["threshold"].tolist()
    forget_unknown("threshold", steps)

    @st.fragment
    @saying()
    def by_threshold() -> None:
        threshold = st.select_slider("Called memorized from P =", steps, 0.5, **bound("threshold"))
        at = counts[counts["threshold"] == threshold].iloc[0]
        words = "Confusion, and accuracy, precision and recall against the threshold"
        options: dict[str, Any] = {"config": picture("confusion"), "alt": words}
        draw(thresholds.confusion_figure(at), key="figure-confusion", **options)
        draw(thresholds.threshold_figure(counts, threshold), key="figure-threshold", **options)

    with frame("confusion"):
        results.head("Confusion by threshold", "confusion", counts)
        by_threshold()
        st.caption(f"{unit}; shares are of each line. Accuracies elsewhere on this page are at P = 0.50.")

levels, divergence = st.columns(2)
with levels:
    by_level = view.of(view.tables.levels)
    level_metric = metric if metric in ("token_accuracy", "full_accuracy") else "token_accuracy"
    n_of = by_level[(by_level["method"] == "predictor") & (by_level["metric"] == level_metric)]
    rows = ", ".join(f"{n:,}" for n in n_of.sort_values("level")["n"])
    large = by_level[by_level["n"] >= LEAST]
    results.show(
        lambda: figures.levels_figure(large, level_metric, [name for name in chosen if name != "oracle_rank"]),
        "By score level",
        "levels",
        by_level[by_level["metric"] == level_metric] if len(large) else large,
        f"Level of the memorization score at m = {view.m}; test rows a level, ascending: {rows}; fewer than "
        f"{LEAST} are not drawn. A method that always says miss is right on the lowest level.",
        f"No level has {LEAST} test rows.",
    )
with divergence:
    outcomes = view.of(view.tables.outcomes)
    results.show(
        lambda: figures.divergence_figure(outcomes, chosen, view.m),
        "Predicted first divergence",
        "divergence",
        outcomes[outcomes["method"].isin(chosen)],
        f"First position below P = 0.5 against the first that differs (m where none does); n = "
        f"{view.metrics.iloc[0]['n']:,} rows.",
    )

box = ui.open_expander("By exposures: how often a row was to be read in training", "predictor_exposures")
if box:
    with box:
        by = view.exposures
        n_of = ", ".join(f"{n:,}" for n in by[by["method"] == "predictor"]["n"]) if len(by) else ""
        large = by[by["n"] >= LEAST] if len(by) else by
        results.show(
            lambda: figures.exposures_figure(large, [name for name in chosen if name != "oracle_rank"]),
            "By exposures",
            "exposures",
            by if len(large) else large,
            f"Token accuracy at m = {view.m}; test rows, in order: {n_of}; fewer than {LEAST} are not drawn.",
            f"No group has {LEAST} test rows." if len(by) else "How often these rows were seen is not known.",
        )
against = results.differences_of(view)
if len(against):
    with st.container(border=True):
        results.head("Difference from simpler ways of guessing", "differences", against, drawn=False)
        numbers = {name: st.column_config.NumberColumn(format="%.4f") for name in ("difference", "low", "high")}
        st.dataframe(against, hide_index=True, column_config=numbers)
        st.caption(
            f"Predictor less baseline on the same {view.metrics.iloc[0]['n']:,} test rows; intervals: 95 %, over "
            f"{results.unparted(view.known)}, drawn alike for both. Even: the interval holds 0."
        )
loss, theirs = st.columns(2)
with loss:
    results.show(
        lambda: figures.loss_figure(view.known.about["epochs"]),
        "How it was fitted",
        "loss",
        view.epochs,
        LOSS_NOTE,
    )
with theirs, st.container(border=True):
    st.markdown("**The study's numbers beside these**")
    beside = results.reported_beside(view)
    st.dataframe(
        beside,
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%.3f") for name in beside.columns[2:]},
    )
    st.caption(
        "Other models, another corpus and another share of hits: the study's numbers cannot be compared cell by cell "
        "with ours. They are those of its tables as a published summary gives them."
    )

with st.expander("All numbers: every method, size and continuation size"):
    table = view.sizes.drop(columns=["predictor"])
    st.dataframe(table, hide_index=True)
    offer_table(table, "predictor-metrics")
with st.expander("This predictor"):
    results.show_about(view)
st.page_link(ui.PAGES / "trace.py", label="Predictions under the tokens of a trace", icon=":material/timeline:")
