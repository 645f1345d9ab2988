"""What do models of different sizes, or one model at different steps, write after the same context?"""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.ladder import ladder_data, standalone_html
from memviz.passages import PASSAGES
from memviz.settings import settings
from memviz.tasks.ladder import LadderTask, share_tokens, tasks_of
from memviz.tasks.trace import MAX_TEXT_BYTES
from memviz.ui.compare import page as compare
from memviz.ui.compare import perturbation as perturbing

OWN_TEXT = "Text of your own"
DEFAULTS = {"context": 32, "continuation": 32}
KEEP = {"persist_state": "session"}
WHY_CHARACTERS = (
    "These models split the text into different tokens, so position t is not the same question for each of them: "
    "their tokens stand over the characters they are made of, each with its own score, and nothing is compared "
    "position by position."
)

st.title("Compare")
st.markdown("What do models of different sizes, or one model at different steps, write after the same context?")

sources = [*([ui.ROW] if ui.samples() else []), *PASSAGES, OWN_TEXT]
first_row = ui.known_row(ui.default_model())
ui.set_defaults("compare", {**DEFAULTS, "source": sources[0], "row": first_row, "model": ui.default_model()})
linked = compare.followed_ladder(PASSAGES, OWN_TEXT)
bar = st.columns([3.4, 4, 1.7, 1.9, 1.3], vertical_alignment="bottom")
choice = compare.choose_models(bar[0], linked)
source = bar[1].selectbox("Text", sources, key="compare_source", **KEEP)
n_context = bar[2].number_input("Context", step=1, key="compare_context", **KEEP)
n_steps = bar[3].number_input("Continuation", step=1, key="compare_continuation", **KEEP)
ui.offer(bar[4], "Run", "compare_run", type="primary", width="stretch", disabled=not choice.models)

if source == ui.ROW:
    ui.show_row(st.session_state["compare_row"], "compare")
elif source == OWN_TEXT:
    given = st.file_uploader("A .txt file", type="txt", max_upload_size=MAX_TEXT_BYTES // 1_000_000, key="compare_file")
    ui.take_upload(given, "compare_text")
    st.text_area("Text", key="compare_text", height=140, placeholder="Paste or type a passage.", **KEEP)
if not choice.models:
    st.info("Choose the models to compare.")
    st.stop()
readers = compare.readers_of(choice.models)
aligned = share_tokens(readers)
try:
    ui.within("Context", n_context, 1, MAX_TEXT_BYTES)
    ui.within("Continuation", n_steps, 1, MAX_TEXT_BYTES)
    prompt = PASSAGES.get(source) or st.session_state.get("compare_text", "")
    if source == ui.ROW:
        prompt = ui.prompt_of_row(st.session_state["compare_row"], readers[0][1])
    task = linked or LadderTask(tasks_of(prompt, readers, n_context, n_steps, settings().dtype), choice.axis)
except InputError as error:
    ui.refuse(error)
if ui.pressed("compare_run"):
    compare.run_ladder(task, readers)
compare.keep_link(task)
if not aligned:
    st.info(WHY_CHARACTERS)
rows = compare.rows_of(task, readers)
compare.watch_rows(rows)
done = [row for row in rows if row.run is not None]
if not done:
    st.info(
        "The first model is under way; each one is drawn as soon as it is done."
        if any(row.job and row.job.active for row in rows)
        else "Not computed yet: press **Run**. Opening a page or a link never starts work."
    )
    st.stop()
if len(done) < len(rows) and not any(row.job and row.job.active for row in rows):
    st.info(f"{len(done)} of {len(rows)} models are stored; **Run** computes the others, smallest first.")

rungs = compare.rungs_of(rows, task.axis)
steps = compare.steps_of(rows, rungs) if task.axis == "step" else None
counted = aligned and st.session_state.get("compare_counted", True)
lookup = ui.look_up(done[-1].run, done[-1].model.name, done[-1].tokenizer) if counted else None
view = ladder_data(rungs, aligned, lookup.tracks() if lookup else (), steps)


def state() -> dict[str, object]:
    """What the address asks the ladder to show."""
    return compare.ladder_state([rung.name for rung in rungs])


@st.fragment
def drawn() -> None:
    compare.ladder_component({**view, **state()}, f"ladder-{task.hash[:16]}")


@st.fragment
def rest() -> None:
    compare.offer_trace(task, [rung.label for rung in rungs])
    export = ui.open_expander("Export", "compare_open_export")
    if export:
        name = f"memviz-{task.hash[:12]}"
        ids, lines = compare.commands(rows, aligned, name)
        title = f"{len(done)} models, {len(task.tasks[0].context_ids)} + {task.tasks[0].n_steps} tokens"
        files = {
            "JSON": (lambda: compare.ladder_document(task, done), f"{name}.json"),
            "CSV": (lambda: compare.ladder_table(done).to_csv(index=False), f"{name}.csv"),
            "Parquet": (lambda: compare.ladder_table(done).to_parquet(index=False), f"{name}.parquet"),
            "HTML": (lambda: standalone_html({**view, **state()}, title), f"{name}.html"),
            "Token ids": compare.packed(ids, name),
        }
        for column, (label, (make, file)) in zip(export.columns(len(files)), files.items(), strict=True):
            column.download_button(label, make, file, on_click="ignore", width="stretch", key=f"compare-{label}")
        export.caption("The same from the command line, with the token ids above:")
        export.code(lines, language=None, wrap_lines=True)


drawn()
if aligned:
    compare.say_counted(lookup, done[-1])
if task.axis == "size":
    st.caption("Each size is one training run: another seed may move a score as much as the next size does.")
perturbing.show_perturbation(done)
rest()
