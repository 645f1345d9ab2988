"""What does a half precision do to the score M?"""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.population import lines_figure
from memviz.measures.glossary import explain
from memviz.population import PrecisionTask, labels_of, parameters_of, precision_table
from memviz.population.precision import ALL, HALVES, USUAL_ROWS
from memviz.ui.common import frames
from memviz.ui.common.answers import stored
from memviz.ui.common.links import keep_request, linked_task
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.process import session, whole_runs
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.rows import choose_models, choose_rows
from memviz.ui.common.widgets import KEEP, set_defaults
from memviz.ui.population.answers import precision_answer
from memviz.ui.population.view import LEAST
from memviz.ui.sweeps.state import estimate_words


def start(task: PrecisionTask) -> None:
    st.session_state.pop("precision_asks", None)
    keep_request(task)
    ui.worker().ask(task, session())
    st.rerun()


@st.cache_data(max_entries=8, show_spinner="Counting")
def table_of(_task: PrecisionTask, _sweeps: tuple, made: tuple):
    return precision_table(_task, _sweeps)


def opening() -> PrecisionTask | None:
    """What the page opens on: what its form asks at first, where that is stored."""
    largest = tuple(whole_runs()[-1:])
    if st.session_state.get("precision_asks") or "run" in st.query_params or not largest:
        return None
    task = PrecisionTask(largest, USUAL_ROWS)
    return None if stored(task) is None else task


show_head("precision")
set_defaults("precision", {"parts": list(USUAL_ROWS.parts), "sample": USUAL_ROWS.sample})
task = linked_task(PrecisionTask, "comparison") or opening()
if task is None:
    st.caption(
        "The same rows are asked in float32 and below it: near-ties fall otherwise, and behind the first one the text "
        "is another."
    )
    with st.container(border=True):
        try:
            models, rows = choose_models("precision", large_alone=True), choose_rows("precision")
            sizes = st.columns([2, 1, 1], vertical_alignment="bottom")
            half = sizes[0].segmented_control(
                "Half precision", HALVES, default=HALVES[0], required=True, key="precision_half", **KEEP
            )
            k = sizes[1].number_input("Context k", 1, value=32, key="precision_k", **KEEP)
            m = sizes[2].number_input("Continuation m", 1, value=32, key="precision_m", **KEEP)
            asked = PrecisionTask(models, rows, half, k, m)
            st.markdown(estimate_words(*asked.sweeps))
            if ui.clicked(st, "Run", "precision_run", type="primary", icon=":material/play_circle:"):
                start(asked)
            st.caption(
                "Two sweeps, whose batches are kept: float32 scores of the same rows are not computed again. A "
                "processor without half-precision units takes several times as long over the second."
            )
        except InputError as error:
            st.error(ui.told(error))
    st.stop()

ui.name_tab_after(", ".join(task.models))
st.markdown(f"**{ui.escaped(', '.join(task.models))}** · float32 and {task.half} · k = {task.k}, m = {task.m}")
if ui.clicked(st, "Ask for something else", "precision_another", icon=":material/add:"):
    st.query_params.pop("run", None)
    st.session_state["precision_asks"] = True
    st.rerun()
if under_way(task, "Asking in float32 and below it", cancel=True, unit="tokens"):
    st.stop()
found = stored(task)
if found is None:
    say_end(task, "Cancelled. Batches that were done are kept.")
    if ui.clicked(st, "Run", "precision_start", type="primary", icon=":material/play_circle:"):
        start(task)
    st.stop()
exact, low = found
try:
    table = table_of(task, found, (task.hash, *(sweep.manifest["provenance"]["created"] for sweep in found)))
except InputError as error:
    ui.refuse(error)
models = [name for name in parameters_of(exact) if name in task.models]
names, whole = labels_of(exact), table[table["level"] == ALL].set_index("model")
said = ui.escaped(names[models[-1]])
last, device = whole.loc[models[-1]], low.manifest["provenance"]["device"]
drawn_of = table[table["n"] >= LEAST]
show_answer(precision_answer(last, task.half, names[models[-1]], LEAST))
columns = ("level", "level of M in float32", "moved", models, names)
frames.show_figure(
    lines_figure(drawn_of, *columns, category=True, join=False) if len(drawn_of) else None,
    table,
    f"Rows whose M is another one in {task.half}",
    "precision",
    task.sweeps[1],
    f"{frames.n_words(drawn_of)}; groups of fewer than {LEAST} rows are not drawn; whiskers: 95 % (Wilson, by design "
    f"over groups of near-duplicates). {task.half} on "
    f"{device}, read verified: another device may move other rows.",
    f"Every group has fewer than {LEAST} rows.",
)
cards = st.container(key="cards").columns(4)
cards[0].metric("Rows", f"{int(last['n']):,}", border=True)
cards[1].metric(
    f"M is another one, {said}",
    f"{last['moved']:.1%}",
    help=f"{explain('moved_by_precision')} 95 %: {last['moved_low']:.1%} to {last['moved_high']:.1%}.",
    border=True,
)
cards[2].metric(
    f"Mean change of M, {said}",
    f"{last['change']:+z.4f}",
    help=f"95 %: {last['change_low']:+z.4f} to {last['change_high']:+z.4f}.",
    border=True,
)
cards[3].metric(
    f"M = 1 lost / gained, {said}",
    f"{int(last['lost'])} / {int(last['gained'])}",
    help="Rows that are memorized in float32 alone, and in the half precision alone.",
    border=True,
)
shown = table.drop(columns=["n_units"])
st.dataframe(shown, hide_index=True)
