"""Why does the model recite this: on which context tokens, heads and layers does it hang?"""

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.settings import settings
from memviz.sweeps.estimate import reading_words
from memviz.tasks.trace import task_of_ids, task_of_text
from memviz.ui.causes.form import LINK, NUMBERS, PAGE, choose_numbers, choose_view, fill, task_of
from memviz.ui.common.answers import stored
from memviz.ui.common.doors import PAGES
from memviz.ui.common.frames import frame
from memviz.ui.common.links import link_to, pinned_token
from memviz.ui.common.opening import fold_settings, show_head, widget_row
from memviz.ui.common.process import session, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.widgets import KEEP
from memviz.ui.prompt import begin, choose_prompt, offer_traces_prompt, prompt_words
from memviz.ui.trace.form import offered_models, ready_models

show_head("causes")
begin(LINK, "causes", fill, view="occlusion", **NUMBERS)
linked = LINK.followed(fill)
ready = ready_models()
said_model = ui.escaped(st.session_state[f"{PAGE}_model"])
box, beside = fold_settings(PAGE, f"**{said_model}** · {prompt_words(PAGE)}")
with box, widget_row():
    offered = offered_models(linked.whole if linked else None, ready, PAGE)
    model = st.selectbox("Model", offered, key="causes_model", width=220, **KEEP)
    form = choose_prompt(PAGE)
form.offer_others(beside)
offer_traces_prompt(beside, PAGE)
ui.offer(beside, "Run", "causes_run", type="primary", disabled=model not in ready)
with box:
    form.show([model])
card = ui.card_of(model)
if model not in ready and model in ready_models():
    st.rerun()
tokenizer = ui.tokenizer(card)
controls = widget_row()
with controls:
    view = choose_view()
form.wait_for_text()
try:
    with box:
        numbers = choose_numbers(view)
    prompt, sizes = form.prompt(tokenizer), form.sizes()
    make = task_of_text if isinstance(prompt, str) else task_of_ids
    trace = make(prompt, card, *([tokenizer] if make is task_of_text else []), *sizes, dtype=settings().dtype)
    task = linked or task_of(trace, view, numbers, card, tokenizer)
    task.check([card])
except InputError as error:
    ui.refuse(error)
ui.name_tab_after(task.model)
if ui.pressed("causes_run"):
    if stored(task, card) is None:
        worker().ask(task, session())
    LINK.keep(task)
LINK.name_again(task)
if under_way(task, f"{task.model} is {task.doing}", cancel=True, unit="rows"):
    st.stop()
found = stored(task, card)
if found is None:
    if not say_end(task, "Cancelled; nothing was kept. Press **Run** to start again."):
        n = task.n_rows(card)
        st.info(
            "Not computed yet: press **Run**. Opening a page or a link never starts work."
            + (" " + reading_words(n, len(trace.context_ids) + trace.n_steps, card.n_parameters) if n else "")
        )
    st.stop()

from memviz.ui.causes.views import show  # noqa: E402 - half a second of imports, only where something is drawn

with frame("causes", border=False):
    show(task, found, tokenizer, task.hash[:12], controls)
with st.container(horizontal=True):
    if ui.clicked(st, "Open in Trace", "causes_to_trace", icon=":material/timeline:"):
        st.switch_page(PAGES / "trace.py", query_params=link_to(task.whole) | pinned_token())
