"""Where do memorized sequences lie among hidden states, and how do they move?"""

from functools import partial

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.figures.maps import COLOURS, Pane
from memviz.ui.common.answers import keys_of
from memviz.ui.common.frames import frame, offer_picture, offer_table
from memviz.ui.common.opening import show_answer, show_head
from memviz.ui.common.progress import offer_jobs
from memviz.ui.common.widgets import bound, saying
from memviz.ui.dynamics.paired import show_paired
from memviz.ui.map import component, form, report
from memviz.ui.map.frame import framed, stored_maps
from memviz.ui.map.trail import keep_prompt, trail_of
from memviz.ui.population.answers import map_answer
from memviz.ui.population.sequences import show_sequences
from memviz.ui.population.view import LEAST, choose_view

WHY = (
    "A map bends a space of many dimensions into two: distances on it are not the model's, and a group that stands "
    "apart on it may not be apart in the full space. Two maps are moved onto each other before they are compared, and "
    "that imposes agreement. So maps illustrate, and the numbers below, taken in the full space, decide."
)

show_head("map")
view, _, beside = choose_view("map")
change = beside.popover(form.settings_line(view), icon=":material/tune:")
with change:
    line = [*st.columns(2), *st.columns(3), *st.columns(2)]
    trail_on = st.toggle("Show the Trace page's prompt as a path", value="prompt" in st.query_params, key="map_trail")
try:
    asked = form.choose(view, line)
    tasks = {reducer: asked.tasks(reducer) for reducer in form.REDUCERS}
    held = {reducer: stored_maps(each) for reducer, each in tasks.items()}
except InputError as error:
    ui.refuse(error)
ui.name_tab_after(" and ".join(asked.models))
colour = line[6].selectbox("Colour", list(COLOURS), format_func=lambda name: COLOURS[name], **bound("colour"))

reducer = "umap" if asked.reducer == "umap" and None not in held["umap"] else "pca"
for name in ("pca", "umap") if asked.reducer == "umap" else ("pca",):
    missing = [task for task, found in zip(tasks[name], held[name], strict=True) if found is None]
    if missing and (name == "pca" or None not in held["pca"]):
        if not any((job := ui.worker().job(task.hash)) and job.active for task in missing):
            waits = (
                "PCA stays on the picture until it is there." if name == "umap" else "Opening a page starts no work."
            )
            st.info(f"{form.REDUCERS[name]} is not computed yet for {len(missing)} model(s). {waits}")
        verb = "Compute" if name == "pca" else "Make the UMAP"
        draw = partial(component.draw_so_far, view, colour)
        offer_jobs(tasks[name], missing, verb, f"{form.REDUCERS[name]} map", f"map-{name}", draw)
maps = [found for found in held[reducer] if found is not None]
if len(maps) < len(asked.models):
    st.stop()

keys = keys_of(tasks[reducer])
try:
    frames = framed(view, maps, keys)
except InputError as error:
    ui.refuse(error)
show_answer(map_answer(frames[0].found.silhouettes, view.names[asked.models[0]], LEAST))
trail = trail_of(asked, frames) if trail_on else None
keep_prompt(trail_on)
if isinstance(trail, str):
    st.info(trail)
elif trail:
    how = "projected" if maps[0].exact else "placed among their nearest points, an approximation"
    st.caption(f"Path: the prompt read by {trail[0]}, context thin, what it wrote strong; its states are {how}.")


@st.fragment
@saying()
def drawn() -> None:
    panes = [
        Pane(
            view.names[model],
            each.points,
            trail[1] if isinstance(trail, tuple) and trail[0] == model else None,
            component.texts_of(view, each.points["row"].to_numpy()[: each.found.n_rows], asked.models[0]),
        )
        for model, each in zip(asked.models, frames, strict=True)
    ]
    with frame("map", border=False):
        with st.container(key="pair" if len(panes) > 1 else "single"):  # two need the room of the sidebar
            component.map_component(panes, colour, view, f"map-{'-'.join(name[:10] for name in keys)}")
        for model, each in zip(asked.models, frames, strict=True):
            st.caption(report.caption(asked, each, model))
    if component.selected_rows(view) is None:
        st.caption("Draw a lasso around points, or click one, to list their sequences here; Shift adds to them.")
    else:
        st.fragment(listed)()


@saying()
def listed() -> None:
    rows = component.selected_rows(view)
    if rows is None:
        return
    rows = rows[[row in known for row in rows.tolist()]]
    pair = (asked.models[-1], asked.models[0])
    component.mark_row(show_sequences(view, rows, "Selected on the map", "map", pair))


known = set((view.rows["row"] if view.pool is None else view.pool.rows).tolist())
drawn()
st.subheader("What the full space says", anchor=False)
st.caption(WHY)
report.show_numbers(view, asked, frames)
show_paired(view, "The last step, now and before", "map", report.before)
with st.popover("Save as", icon=":material/download:"):
    offer_picture("map")
    offer_table(report.exported(frames, asked), f"map-{keys[0][:12]}")
    report.show_command(tasks[reducer])
