"""What does one model write after this context, and is it what the text says?"""

import json

import streamlit as st

from memviz import ui
from memviz.errors import InputError
from memviz.export import command, document, ids_file, linked_view, table
from memviz.figures.linked import TRACE
from memviz.figures.splitting import N_SHOWN, split_data
from memviz.measures import MEASURES, compute_all
from memviz.measures.display import format_value
from memviz.measures.glossary import explain
from memviz.passages import PASSAGES
from memviz.rows.cells import safe_csv
from memviz.tasks.trace import TraceTask
from memviz.ui.common.frames import offer_files
from memviz.ui.common.lookup import look_up
from memviz.ui.common.opening import fold_settings, show_answer, show_head, widget_row
from memviz.ui.common.strip import linked_component, selection
from memviz.ui.common.widgets import KEEP, saying
from memviz.ui.compare.elsewhere import offer_others
from memviz.ui.prompt import OWN_TEXT, begin, choose_prompt
from memviz.ui.trace import predictions
from memviz.ui.trace.aligned import show_aligned
from memviz.ui.trace.answer import answer_of
from memviz.ui.trace.autorun import hear_typing, note_edit, note_run, run_edited
from memviz.ui.trace.border import draw_border
from memviz.ui.trace.forecast import show_forecast
from memviz.ui.trace.forks import fork_tracks, show_forks
from memviz.ui.trace.form import (
    LINK,
    NEUTRAL,
    PAGE,
    choose_decoding,
    fill,
    offered_models,
    ready_models,
    said_settings,
    task_of,
    without_truth,
)
from memviz.ui.trace.other_runs import other_runs
from memviz.ui.trace.passages import show_passages
from memviz.ui.trace.training_data import show_training

CARDS = ("memorization_score", "longest_common_prefix", "entropy_jump", "log10_n_p90", "edit_similarity")

show_head("trace")
begin(LINK, "trace", fill, **NEUTRAL)
linked = LINK.followed(fill)
ready = ready_models()
box, beside = fold_settings(PAGE, said_settings())
with box, widget_row():
    model = st.selectbox("Model", offered_models(linked, ready), key="trace_model", width=220, **KEEP)
    form = choose_prompt(PAGE, note_edit)
    with st.popover("Decoding"):
        decoding = choose_decoding()
form.offer_others(beside)
ui.offer(beside, "Run", "trace_run", type="primary", disabled=model not in ready)
with box:
    form.show([model])
if form.source == OWN_TEXT:
    hear_typing()
card = ui.card_of(model)
if model not in ready and model in ready_models():  # it became so while this page was drawn
    st.rerun()
if card.notes:
    st.caption(f":material/info: {ui.escaped(model)}: {ui.escaped('; '.join(card.notes))}.")
tokenizer = ui.tokenizer(card)
prompt = form.prompt(tokenizer)


def task_for(text: str) -> TraceTask:
    """The task that the widgets ask of another text."""
    return task_of(text, card, tokenizer, form, decoding)


with box:
    split = ui.open_expander("Where the context ends: click a token, or use the arrow keys", "trace_open_split")
if split and prompt and not decoding.decode_only:
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    with split:
        data = split_data(tokenizer.pieces(ids[:N_SHOWN]), len(ids), form.n_context or 0, form.n_steps or 0)
        draw_border(data, "trace_context", note_edit)
if form.source in PASSAGES:
    with box:
        passages = ui.open_expander(f"What {ui.escaped(model)} does with each of the passages", "trace_open_passages")
    if passages:
        with passages:
            show_passages(task_for, card)
if linked is None and not prompt:
    other_runs(None)
    form.wait_for_text()
decoding = without_truth(decoding, prompt, tokenizer, form)
try:
    task = linked or task_of(prompt, card, tokenizer, form, decoding)
    task.check([card])
except InputError as error:
    other_runs(None)
    ui.refuse(error)
ui.name_tab_after(task.model)
if ui.pressed("trace_run"):
    ui.run(task, card, LINK)
elif linked is None:
    run_edited(task, card)

other_runs(task.hash)
show_forecast(task, card)
key, run = ui.result_of(task, card)
note_run(task, run)


@st.fragment
@saying()
def results() -> None:
    truth = run.trace.continuation_ids
    texts = None if truth is None else [tokenizer.to_bytes(truth[0])]
    values = {name: float(found[0]) for name, found in compute_all(run.trace, texts).items()}
    show_answer(answer_of(run, task, values))
    lookup, picture = look_up(run, task.model, tokenizer), st.container()
    tracks = predictions.choose_tracks(run, key, task, card)
    forks = fork_tracks(run, task, card, tokenizer)
    view = linked_view(run, tokenizer, [*tracks, *forks, *(lookup.tracks() if lookup else ())])
    with picture:
        linked_component({**view, **selection()}, key=f"linked-{key[:16]}")
    st.caption(ui.note(task, run.provenance) + f" · fragile below a margin of {2 * float(run.trace.logit_noise):.1e}")
    shown = [name for name in CARDS if truth is not None or not MEASURES[name].needs_truth]
    for column, name in zip(st.container(key="cards").columns(len(shown)), shown, strict=True):
        measure = MEASURES[name]
        column.metric(measure.label, format_value(values[name], measure.unit), help=explain(name), border=True)
    if task.continuation_ids is not None:
        offer_others(task.model)
    show_aligned(run, tokenizer, values["memorization_score"])
    show_forks(run, task, card, tokenizer)
    show_training(lookup, task.model, tokenizer)
    measures = ui.open_expander("All measures", "trace_open_measures")
    if measures:
        rows = [
            {
                "measure": m.label,
                "value": format_value(values[m.name], m.unit),
                "what it is": m.help,
                "source": m.source,
            }
            for m in MEASURES.values()
        ]
        measures.container(key="measures").table(rows, border="horizontal", hide_index=True)
    export = ui.open_expander("Export", "trace_open_export")
    if export:
        title = f"{task.model}, {len(task.context_ids)} + {task.n_steps} tokens"
        counts = lookup.exported if lookup else lambda: None
        said = predictions.exported(tracks, run.trace.n_context)
        name = f"memviz-{key[:12]}"
        files = {
            "JSON": (lambda: json.dumps(document(run, tokenizer, counts(), said), allow_nan=False), f"{name}.json"),
            "CSV": (lambda: safe_csv(table(run, tokenizer, counts(), said)), f"{name}.csv"),
            "Parquet": (lambda: table(run, tokenizer, counts(), said).to_parquet(index=False), f"{name}.parquet"),
            "HTML": (lambda: TRACE.page({**view, **selection()}, title), f"{name}.html"),
            "Token ids": (lambda: ids_file(task), f"{name}.ids.json"),
        }
        offer_files(export, files, command(task, f"{name}.ids.json"), "export")


results()
