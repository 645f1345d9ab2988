"""From which layer on does a model hold the true token, and what would the layers below it say?"""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.measures.glossary import explain
from memviz.settings import settings
from memviz.tasks.ladder import LadderTask, share_tokens, tasks_of
from memviz.ui import several
from memviz.ui.common.frames import draw, frame, offer_picture, offer_table, picture, title_line
from memviz.ui.common.models import readers_of
from memviz.ui.common.opening import show_answer, widget_row
from memviz.ui.common.widgets import bound, saying
from memviz.ui.layers import cells
from memviz.ui.layers.elsewhere import offer_other_pages
from memviz.ui.layers.files import table_of
from memviz.ui.layers.readings import MODES, READS, layers_rows, said_of, say_failures
from memviz.ui.prompt import offer_traces_prompt

WHAT = (
    "A logit lens reads the state of every layer as if it were the last: through the model's own final norm and output "
    "matrix. It shows what could already be read off there, not what the layer was trained for; early layers of some "
    "models are unreadable this way. The commit layer is the first layer from which the true token stays the likeliest "
    "up to the last layer; there is none where the last layer's likeliest token is another one."
)

linked, choice, form, beside = several.open_page("layers")
offer_traces_prompt(beside, several.PAGE)
ui.offer(beside, "Run", "layers_run", type="primary", disabled=not choice.models)
if not choice.models:
    st.info("Choose the models to look into.")
    st.stop()
readers = readers_of(choice.models)
aligned = share_tokens(readers)
form.wait_for_text()
try:
    sizes = form.sizes()
    prompt = form.prompt(readers[0][1])
    task = linked or LadderTask(tasks_of(prompt, readers, *sizes, settings().dtype), choice.axis)
    rows = layers_rows(task, readers)
except InputError as error:
    ui.refuse(error)
if ui.pressed("layers_run"):
    several.run_rows(task, rows)
    rows = layers_rows(task, readers)
several.LINK.name_again(task)
ui.name_tab_after(task.model)
several.watch_rows(rows)
say_failures(rows)
done = [row for row in rows if row.result is not None]
if not done:
    if not any(row.job and row.job.active for row in rows):
        st.info("Not computed yet: press **Run**. Opening a page or a link never starts work.")
    st.stop()
if len(done) < len(rows) and not any(row.job and row.job.active for row in rows):
    st.info(f"{len(done)} of {len(rows)} models are stored; **Run** computes the others.")

# half a second of imports, only where something is drawn
from memviz.figures.lens import QUANTITIES, commit_figure, depth_figure, lens_figure  # noqa: E402

by_name = {row.model.name: row for row in done}
names = [row.model.name for row in rows]
if st.session_state.get("shown") not in names:
    st.session_state.pop("shown", None)
top = st.container(key="tight")  # the picture begins on the first screen's upper part
with top:
    choose = widget_row()
shown = choose.selectbox(
    "Model drawn", names, len(names) - 1, width=220, label_visibility="collapsed", **bound("shown")
)
choose.markdown("Reads", width="content", help=f"{explain('teacher_forced')} {explain('free_running')}")
mode = choose.segmented_control(
    "Reading",
    list(MODES),
    format_func=lambda name: MODES[name],
    default="teacher_forced",
    required=True,
    width="content",
    label_visibility="collapsed",
    **bound("reading"),
)
quantity = choose.segmented_control(
    "Shade",
    list(QUANTITIES),
    format_func=lambda name: QUANTITIES[name],
    default="probability",
    required=True,
    width="content",
    label_visibility="collapsed",
    **bound("shade"),
)
row = by_name.get(shown, done[-1])
if row.model.name != shown:
    st.info(f"{ui.escaped(shown)} has no reading yet; this is {ui.escaped(row.model.name)}.")
with top:
    show_answer(said_of(row, mode))
key = f"lens-{row.task.hash[:12]}-{mode}-{quantity}"
st.session_state[f"{key}_context"] = row.n_context


@st.fragment
@saying()
def drawn() -> None:
    cell = cells.chosen_cell(row, mode)
    place, detail = st.columns([3.4, 1.2]) if cell else (st.container(), None)
    with place:
        picked = frame("lens", border=False)
    scores, truth = row.scores(mode), row.words(row.task.continuation_ids)
    tops = row.words(scores.top_ids[..., 0].ravel())
    figure = lens_figure(scores, quantity, truth, row.n_context, cell, tops=tops)
    words = f"{QUANTITIES[quantity]} by layer and position, {row.model.name}, {MODES[mode]}"
    draw(
        figure,
        picked,
        key=key,
        config=picture("layers"),
        on_select=lambda: cells.take_cell(key),
        selection_mode="points",
        alt=words,
    )
    picked.caption(
        f"{MODES[mode].capitalize()}: {READS[mode]}. One prompt, {row.n_context} context tokens, "
        f"{len(row.task.continuation_ids)} positions; each column is the token being predicted. Line: commit layer. "
        "A cell is written with its likeliest token, cut to two letters; click it to see more."
    )
    if cell and detail:
        with detail:
            cells.show_cell(row, mode, cell)


with top:
    drawn()
if len({len(one.scores(mode).rank) for one in done}) > 1:
    st.caption("The models differ in depth, so below they are compared at the same share of it.")
left, right = st.columns(2)
with left, frame("commit"):
    with title_line("**Commit layer by position**").popover("Save as", icon=":material/download:"):
        offer_picture("commit")
    if aligned:
        commits = {one.model.name: (one.scores(mode).commit, len(one.scores(mode).rank) - 1) for one in done}
        figure = commit_figure(commits, row.words(row.task.continuation_ids), row.n_context)
        draw(figure, key=f"commit-{task.hash[:12]}-{mode}", config=picture("commit"))
        st.caption(
            f"{MODES[mode].capitalize()}; a row a model, shaded by commit layer / last layer. "
            "Blank: the last layer's likeliest token is another one."
        )
    else:
        st.info("These models split the text into different tokens, so positions are not the same question for them.")
with right, frame("depth"):
    with title_line("**The true token on its way up**").popover("Save as", icon=":material/download:"):
        offer_picture("depth")
    figure = depth_figure({one.model.name: one.scores(mode) for one in done})
    draw(figure, key=f"depth-{task.hash[:12]}-{mode}", config=picture("depth"))
    st.caption(
        f"{MODES[mode].capitalize()}; mean over this prompt's {len(row.task.continuation_ids)} positions: it "
        "says nothing of other prompts."
    )
with st.container(horizontal=True):
    offer_other_pages(task, row)
    with st.popover("Save as", icon=":material/download:"):
        offer_picture("lens")
        offer_table(table_of(done), f"layers-{task.hash[:12]}")
st.caption(WHAT)
