"""What do models of different sizes, or one model at different steps, write after the same context?"""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.ladder import LADDER, ladder_data
from memviz.rows.cells import safe_csv
from memviz.settings import settings
from memviz.tasks.ladder import LadderTask, share_tokens, tasks_of
from memviz.ui import several
from memviz.ui.common.frames import offer_files
from memviz.ui.common.lookup import ensure_index, look_up
from memviz.ui.common.models import readers_of
from memviz.ui.common.opening import show_answer
from memviz.ui.common.widgets import saying
from memviz.ui.compare import files, ladder
from memviz.ui.compare.answer import answer_of
from memviz.ui.compare.elsewhere import offer_trace
from memviz.ui.compare.perturbation import show_perturbation
from memviz.ui.compare.steps import steps_of

WHY_CHARACTERS = (
    "These models split the text into different tokens, so position t is not the same question for each of them: "
    "their tokens stand over the characters they are made of, each with its own score, and nothing is compared "
    "position by position."
)

linked, choice, form, beside = several.open_page("compare")
ui.offer(beside, "Run", "compare_run", type="primary", disabled=not choice.models)
if not choice.models:
    st.info("Choose the models to compare.")
    st.stop()
readers = readers_of(choice.models)
aligned = share_tokens(readers)
ladder.say_same([card for card, _ in readers])
form.wait_for_text()
try:
    sizes = form.sizes()
    prompt = form.prompt(readers[0][1])
    task = linked or LadderTask(tasks_of(prompt, readers, *sizes, settings().dtype), choice.axis)
except InputError as error:
    ui.refuse(error)
rows = several.rows_of(task.drafted, readers, several.RunRow)
if ui.pressed("compare_run"):
    several.run_rows(task, rows)
    ensure_index(task.tasks[-1].model)
    rows = several.rows_of(task.drafted, readers, several.RunRow)
several.LINK.name_again(task)
ui.name_tab_after(task.model)
if not aligned:
    st.info(WHY_CHARACTERS)
several.watch_rows(rows)
done = [row for row in rows if row.result is not None]
if not done:
    st.info(
        "The first model is under way; each one is drawn as soon as it is done."
        if any(row.job and row.job.active for row in rows)
        else "Not computed yet: press **Run**. Opening a page or a link never starts work."
    )
    st.stop()
if len(done) < len(rows) and not any(row.job and row.job.active for row in rows):
    st.info(f"{len(done)} of {len(rows)} models are stored; **Run** computes the others, smallest first.")

rungs = ladder.rungs_of(rows, task.axis)
steps = steps_of(rows, rungs) if task.axis == "step" else None
counted = aligned and st.session_state.get("compare_counted", True)
last = done[-1]
lookup = look_up(last.result, last.model.name, last.tokenizer) if counted and last.result else None
view = ladder_data(rungs, aligned, lookup.tracks() if lookup else (), steps)


def state() -> dict[str, object]:
    """What the address asks the ladder to show."""
    return ladder.ladder_state([rung.name for rung in rungs])


@st.fragment
@saying()
def drawn() -> None:
    show_answer(answer_of(rungs, task.axis))
    ladder.ladder_component({**view, **state()}, f"ladder-{task.hash[:16]}")


@st.fragment
@saying()
def rest() -> None:
    offer_trace(task, [rung.label for rung in rungs])
    export = ui.open_expander("Export", "compare_open_export")
    if export:
        name = f"memviz-{task.hash[:12]}"
        ids, lines = files.commands(rows, aligned, name)
        title = f"{len(done)} models, {len(task.tasks[0].context_ids)} + {task.tasks[0].n_steps} tokens"
        makers = {
            "JSON": (lambda: files.ladder_document(task, done), f"{name}.json"),
            "CSV": (lambda: safe_csv(files.ladder_table(done)), f"{name}.csv"),
            "Parquet": (lambda: files.ladder_table(done).to_parquet(index=False), f"{name}.parquet"),
            "HTML": (lambda: LADDER.page({**view, **state()}, title), f"{name}.html"),
            "Token ids": files.packed(ids, name),
        }
        offer_files(export, makers, lines, "compare")


drawn()
if aligned:
    ladder.say_counted(lookup, last)
if task.axis == "size":
    st.caption("Each size is one training run: another seed may move a score as much as the next size does.")
show_perturbation(done)
rest()
