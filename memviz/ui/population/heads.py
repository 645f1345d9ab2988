"""The section of Population on attention heads: which ones rows hang on, and whether rows hang on the same."""

from __future__ import annotations

import streamlit as st

from memviz import ui
from memviz.catalog import Card, known_models, read_card
from memviz.errors import InputError
from memviz.figures.causes import row_heads_figure
from memviz.measures.glossary import explain
from memviz.measures.heads import RowHeads, overlaps
from memviz.population.heads import heads_table, row_heads_of, told
from memviz.settings import settings
from memviz.tasks.row_heads import RowHeadsTask
from memviz.ui.common import frames
from memviz.ui.common.answers import stored
from memviz.ui.common.process import session
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.widgets import bound, forget_unknown
from memviz.ui.population.view import SweepView

N_ROWS, N_SHOWN = 40, 12


def show_heads(view: SweepView) -> None:
    """Asked of one model of the view, on **Run**; rows are those of the whole sweep."""
    st.subheader("Which heads carry it")
    known = {model.name: model for model in known_models(settings())}
    models = [name for name in view.models if name in known and read_card(known[name], settings())]
    if not models:
        st.info("None of these models is ready here: get one ready on Overview, then its heads can be silenced.")
        return
    forget_unknown("heads_model", models)
    model = st.selectbox(
        "Model whose heads are silenced", models, len(models) - 1, format_func=lambda name: view.names[name],
        width=240, **bound("heads_model"),
    )  # fmt: skip
    card = ui.card_of(model)
    try:
        task = _asked(view, card, (view.key, card.name, card.weights), view.m)
    except InputError as error:
        st.info(ui.told(error))
        return
    if under_way(task, "Silencing one head after another", cancel=True, unit="rows"):
        return
    found = stored(task, card)
    if found is not None:
        _show(view, task, found)
        return
    if not say_end(task, "Cancelled; nothing was kept."):
        st.caption(
            f"Each head of the model is silenced on {len(task.rows)} rows of this sweep, with M = 1 and with M = 0, "
            "one of each group of near-duplicates: minutes for a model of the suite, longer for larger ones."
        )
    if ui.clicked(st, "Silence heads", "heads_run", icon=":material/play_circle:"):
        ui.worker().ask(task, session())
        st.rerun()


@st.cache_data(max_entries=50)
def _asked(_view: SweepView, _card: Card, key: tuple[str, ...], m: int) -> RowHeadsTask:
    return row_heads_of(_view.sweep, _card.name, _card, N_ROWS, _view.task.context_at, m)


@st.cache_data(max_entries=20, show_spinner="Drawing by chance")
def _judged(_found: RowHeads, key: str) -> dict[str, str]:
    return {each.which: told(each) for each in overlaps(_found)}


def _show(view: SweepView, task: RowHeadsTask, found: RowHeads) -> None:
    table, said = heads_table(found), _judged(found, task.hash)
    sentences = [each[0].upper() + each[1:] for each in said.values()]
    st.markdown(f"**{sentences.pop()}.** {'. '.join(sentences)}.")
    n = int(found.memorized.sum())
    frames.show_figure(
        row_heads_figure(table.head(N_SHOWN)),
        table,
        f"Rows with a head among their {found.n_strongest} strongest",
        "row-heads",
        view.task,
        f"{n} rows with M = 1, {len(found.rows) - n} with M = 0. {explain('row_heads')}",
    )
