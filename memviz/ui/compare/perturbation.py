"""On the Compare page: change the context of one model, and see what is still reproduced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.errors import InputError
from memviz.figures.ngrams import spelled
from memviz.measures.perturbation import Operation, Perturbed, random_ids, shortest
from memviz.rows.cells import safe_csv
from memviz.tasks.perturbation import PerturbationTask
from memviz.ui.common.answers import stored
from memviz.ui.common.clicks import clicked
from memviz.ui.common.frames import draw, picture
from memviz.ui.common.links import PageLink
from memviz.ui.common.process import samples, session, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.texts import told
from memviz.ui.common.widgets import open_expander
from memviz.ui.several import PAGE, RunRow

LINK = PageLink(f"{PAGE}_change", (), "change of the context", PerturbationTask, "change")
OPERATIONS: dict[Operation, str] = {
    "suffix": "keep only the end",
    "drop": "drop tokens",
    "replace": "replace tokens",
    "prepend": "put tokens in front",
}
RANDOM, TYPED, HELD_OUT, LINKED = "random tokens", "a typed text", "a held-out row", "those of the link"
HELP = (
    "Keep only the end: the last 1, 2, … tokens of the context, to find the shortest that still elicits the "
    "continuation. Drop, replace: one or more tokens at each place in turn. In front: more and more foreign tokens."
)
N_PREPENDED = 16


def show_perturbation(rows: Sequence[RunRow]) -> None:
    """The section: what to change, on which model, and the stored result or how to get it."""
    linked = _linked(rows)
    if linked:
        st.session_state.setdefault(f"{PAGE}_open_change", True)
    box = open_expander("Change the context, and see what one model still writes", f"{PAGE}_open_change")
    if not box:
        return
    with box:
        row = _choose_row(rows)
        try:
            task = _task(row, linked)
            task.check([row.card])
        except InputError as error:
            st.error(told(error))
            return
        _result(task, row)


def _linked(rows: Sequence[RunRow]) -> PerturbationTask | None:
    """The change a link names, where it is of this page's prompt; the widgets are filled from it once."""
    task = LINK.linked()
    prompts = {row.task.model: (row.task.context_ids, row.task.continuation_ids) for row in rows}
    if task is None or prompts.get(task.model) != (task.context_ids, task.continuation_ids):
        return None
    return LINK.followed(_fill)


def _fill(task: PerturbationTask) -> None:
    said = {"model": task.model, "operation": task.operation, "width": task.width, "filler": LINKED}
    for name, value in said.items():
        st.session_state[f"{PAGE}_change_{name}"] = value


def _choose_row(rows: Sequence[RunRow]) -> RunRow:
    names = [row.model.name for row in rows]
    if st.session_state.get(f"{PAGE}_change_model") not in names:
        st.session_state[f"{PAGE}_change_model"] = names[-1]
    name = st.columns([2, 4])[0].selectbox("Model to try", names, key=f"{PAGE}_change_model")
    return rows[names.index(name)]


def _task(row: RunRow, linked: PerturbationTask | None) -> PerturbationTask:
    """The change that the widgets ask for. Raises InputError."""
    st.session_state.setdefault(f"{PAGE}_change_operation", "suffix")
    st.session_state.setdefault(f"{PAGE}_change_width", 1)
    said = st.segmented_control(
        "Change",
        list(OPERATIONS),
        format_func=lambda name: OPERATIONS[name],
        required=True,
        help=HELP,
        key=f"{PAGE}_change_operation",
    )
    operation: Operation = said or "suffix"
    n_leading, whole = row.task.n_leading(row.card), row.task
    width = 1
    filler: tuple[int, ...] = ()
    columns = st.columns([1.2, 2, 3], vertical_alignment="bottom")
    if operation in ("drop", "replace"):
        width = int(columns[0].number_input("Tokens at once", 1, step=1, key=f"{PAGE}_change_width"))
    if operation in ("replace", "prepend"):
        n = len(whole.context_ids) - n_leading if operation == "replace" else N_PREPENDED
        filler = _filler(columns[1:], row, n, linked)
    assert whole.continuation_ids is not None
    return PerturbationTask(
        whole.model,
        whole.context_ids,
        n_leading,
        whole.continuation_ids,
        operation,
        width,
        filler,
        whole.dtype,
    )


def _filler(where: Sequence[Any], row: RunRow, n: int, linked: PerturbationTask | None) -> tuple[int, ...]:
    """Tokens to put in, as the widgets say."""
    known = samples()
    held_out = np.flatnonzero(known.data.bucket == 0).tolist() if known else []
    kinds = [*([LINKED] if linked and linked.filler_ids else []), RANDOM, TYPED, *([HELD_OUT] if held_out else [])]
    if st.session_state.get(f"{PAGE}_change_filler") not in kinds:
        st.session_state[f"{PAGE}_change_filler"] = RANDOM
    kind = where[0].selectbox("With", kinds, key=f"{PAGE}_change_filler")
    own = row.tokenizer
    if kind == LINKED and linked:
        return linked.filler_ids
    if kind == TYPED:
        text = where[1].text_input("Text", "Once upon a time there was", key=f"{PAGE}_change_text")
        ids = own.encode(text)
        if not ids:
            raise InputError("the text to put in is empty: type at least a word")
        return tuple(ids[: max(n, N_PREPENDED)])
    if kind == HELD_OUT and known is not None:
        number = where[1].selectbox("Held-out row", held_out, key=f"{PAGE}_change_row")
        same = own.hash == known.tokenizer.hash
        ids = known.data.ids[number].tolist() if same else own.encode(known.texts[number])
        return tuple(ids[:n])
    seed = int(where[1].number_input("Seed", 0, 2**31 - 1, step=1, key=f"{PAGE}_change_seed"))
    return random_ids([each for each in own.text_ids if each < row.card.vocab_size], n, seed)


def _result(task: PerturbationTask, row: RunRow) -> None:
    if under_way(task, f"{task.model} reads changed contexts", cancel=True, unit="contexts"):
        return
    found = stored(task, row.card)
    if found is None:
        say_end(task)
        n = len(task.variants(row.card.n_positions and row.card.n_positions - len(task.continuation_ids)))
        st.caption(f"Not computed yet: {n} changed contexts, each decoded for {len(task.continuation_ids)} tokens.")
        if clicked(st, "Try them", f"{PAGE}_change_run", icon=":material/science:"):
            worker().ask(task, session())
            LINK.keep(task)
            st.rerun(scope="app")
        return
    text = row.tokenizer.pieces(task.context_ids[task.n_leading :])
    words = [spelled([piece]) for piece in text]
    goal = found.whole_score
    mark = None
    if task.operation == "suffix":
        mark, gaps = shortest(found.at, found.score, goal)
        st.markdown(_said_suffix(found, words, mark, gaps))
    else:
        st.markdown(_said_change(found, task.operation))
    from memviz.figures.perturbed import perturbed_figure  # half a second of imports, only where it is drawn

    draw(
        perturbed_figure(found, task.operation, words, mark),
        key=f"{PAGE}_change_{task.hash[:12]}",
        config=picture("changes"),
    )
    table = _table(found, task, row)
    numbers = {name: st.column_config.NumberColumn(format="%.2f") for name in ("M", "mean log p")}
    st.dataframe(table, hide_index=True, height=240, column_config=numbers)
    name = f"memviz-change-{task.hash[:12]}.csv"
    st.download_button("CSV", lambda: safe_csv(table), name, on_click="ignore", key=f"{PAGE}_change_csv")


def _said_suffix(found: Perturbed, words: Sequence[str], mark: int | None, gaps: np.ndarray) -> str:
    scanned = f"Scanned: {len(found.at)} lengths, {found.at.min()} to {found.at.max()}"
    every = " (every one)" if len(found.at) == found.at.max() - found.at.min() + 1 else " (evenly spaced ones)"
    goal = f"M = {found.whole_score:.2f}" + (", the whole continuation" if found.whole_score == 1 else "")
    if found.whole_score == 0:
        return f"The whole context elicits nothing (M = 0), so there is nothing to reach. {scanned}{every}."
    if mark is None:
        return f"No shorter context reaches the {goal} of the whole one. {scanned}{every}."
    more = f" {len(gaps)} longer ones do not, for more context is not always better." if len(gaps) else ""
    return (
        f"**The last {mark} of {len(words)} context tokens** are enough for {goal}, as with the whole context.{more} "
        f"{scanned}{every}."
    )


def _said_change(found: Perturbed, operation: Operation) -> str:
    worst = int(found.score.argmin())
    kept = int((found.score >= found.whole_score).sum())
    where = "tokens in front" if operation == "prepend" else "as first index"
    return (
        f"Unchanged, M is {found.whole_score:.2f}. It is still reached under **{kept} of {len(found.at)}** changes; "
        f"the least is {found.score[worst]:.2f}, with {found.at[worst]} {where}."
    )


def _table(found: Perturbed, task: PerturbationTask, row: RunRow) -> pd.DataFrame:
    """One line a changed context: what was changed, M, mean log p, and what was written."""
    written = [row.tokenizer.to_bytes(ids).decode("utf-8", "replace") for ids in found.generated_ids]
    name = {"suffix": "tokens kept", "prepend": "tokens in front"}.get(task.operation, "first index")
    return pd.DataFrame({name: found.at, "M": found.score, "mean log p": found.mean_logprob, "written": written})
