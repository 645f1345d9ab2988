"""What does one model write after this context, and is it what the text says?"""

import json
from collections.abc import Sequence

import streamlit as st

from memviz import ui
from memviz.catalog import EMBEDDED, known_models, read_card
from memviz.errors import InputError
from memviz.export import command, document, ids_file, linked_view, table
from memviz.figures.linked import standalone_html
from memviz.figures.splitting import N_SHOWN, split_data
from memviz.measures import MEASURES, compute_all
from memviz.measures.display import format_value
from memviz.measures.glossary import explain
from memviz.passages import PASSAGES
from memviz.records import Decoding
from memviz.settings import settings
from memviz.tasks.trace import MAX_TEXT_BYTES, TraceTask, run_hash, task_of_ids, task_of_text
from memviz.ui.compare import page as compare
from memviz.ui.predictor import tracks as predicted

OWN_TEXT = "Text of your own"
CARDS = ("memorization_score", "longest_common_prefix", "entropy_jump", "log10_n_p90", "edit_similarity")
DEFAULTS = {"context": 32, "continuation": 32, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
LIMITS = {"Temperature": (0.01, 100), "Top-k": (0, 1_000_000), "Top-p": (0.01, 1), "Seed": (0, 2**53 - 1)}
KEEP = {"persist_state": "session"}

st.title("Trace")
st.markdown("What does one model write after this context, and is it what the text says?")

first_model = ui.default_model()
sources = [*([ui.ROW] if ui.samples() else []), *PASSAGES, OWN_TEXT]
ui.set_defaults("trace", {**DEFAULTS, "model": first_model, "source": sources[0], "row": ui.known_row(first_model)})
linked = ui.followed_link("trace", PASSAGES, OWN_TEXT)
known = known_models(settings())
ready = [model.name for model in known if read_card(model, settings())]
bundled = [model.name for model in ui.bundled_models()]
chosen = st.session_state["trace_model"]  # stays in the list when it goes, or another one would run in its place
models = list(dict.fromkeys([*([linked.model] if linked else []), *bundled, EMBEDDED[0].name, *ready, chosen]))
bar = st.columns([3, 4.4, 1.9, 1.9, 1.9, 1.3], vertical_alignment="bottom")
model = bar[0].selectbox("Model", models, key="trace_model", **KEEP)
source = bar[1].selectbox("Text", sources, key="trace_source", **KEEP)
n_context = bar[2].number_input("Context", step=1, key="trace_context", **KEEP)
n_steps = bar[3].number_input("Continuation", step=1, key="trace_continuation", **KEEP)
with bar[4].popover("Decoding", width="stretch"):
    sampled = st.toggle("Sample", help=explain("sampled"), key="trace_sampled", **KEEP)
    temperature = st.number_input("Temperature", step=0.1, disabled=not sampled, key="trace_temperature", **KEEP)
    top_k = st.number_input("Top-k (0: all)", step=1, disabled=not sampled, key="trace_top_k", **KEEP)
    top_p = st.number_input("Top-p", step=0.05, disabled=not sampled, key="trace_top_p", **KEEP)
    seed = st.number_input("Seed", step=1, disabled=not sampled, key="trace_seed", **KEEP)
    bar_eos = st.toggle("Bar the end of sequence", help=explain("bar_eos"), key="trace_bar_eos", **KEEP)
    decode_only = st.toggle("Decode only", help=explain("decode_only"), key="trace_decode_only", **KEEP)
ui.offer(bar[5], "Run", "trace_run", type="primary", width="stretch", disabled=model not in ready)


def check_numbers() -> None:
    """Raise InputError for a typed number that cannot be used."""
    if not decode_only:
        ui.within("Context", n_context, 1, MAX_TEXT_BYTES)
    ui.within("Continuation", n_steps, 1, MAX_TEXT_BYTES)
    for label, value in zip(LIMITS, (temperature, top_k, top_p, seed), strict=True):
        if sampled:
            ui.within(label, value, *LIMITS[label])


def task_for(prompt: str | Sequence[int]) -> TraceTask:
    """The task that the widgets ask of a text, or of a row of token ids."""
    check_numbers()
    sampling = {
        "temperature": temperature,
        "top_k": top_k or None,
        "top_p": None if top_p == 1 else top_p,
        "seed": seed,
    }
    options = {"decoding": Decoding(**sampling if sampled else {}, bar_eos=bar_eos), "dtype": settings().dtype}
    if isinstance(prompt, str):
        return task_of_text(prompt, card, tokenizer, n_context, n_steps, not decode_only, **options)
    return task_of_ids(prompt, card, n_context, n_steps, not decode_only, **options)


if source == ui.ROW:
    ui.show_row(st.session_state["trace_row"], "trace")
elif source == OWN_TEXT:
    given = st.file_uploader("A .txt file", type="txt", max_upload_size=MAX_TEXT_BYTES // 1_000_000, key="trace_upload")
    ui.take_upload(given, "trace_text")
    st.text_area("Text", key="trace_text", height=140, placeholder="Paste or type a passage.", **KEEP)
card = ui.card_of(model)
if model not in ready and any(each.name == model for each in known):  # it became so while this page was drawn
    st.rerun()
tokenizer = ui.tokenizer(card)
prompt: str | Sequence[int] = PASSAGES.get(source) or st.session_state.get("trace_text", "")
if source == ui.ROW:
    prompt = ui.prompt_of_row(st.session_state["trace_row"], tokenizer)
split = ui.open_expander("Where the context ends: click a token, or use the arrow keys", "trace_open_split")
if split and prompt and not decode_only:
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    with split:
        view = split_data(tokenizer.pieces(ids[:N_SHOWN]), len(ids), n_context, n_steps)
        ui.split_component(view, "trace_context")
if source in PASSAGES:
    passages = ui.open_expander(f"What {ui.escaped(model)} does with each of the passages", "trace_open_passages")
    if passages:
        with passages:
            ui.show_passages(PASSAGES, task_for, card)
try:
    task = linked or task_for(prompt)
    task.check(card)
except InputError as error:
    ui.other_runs(None)
    ui.refuse(error)
if ui.pressed("trace_run"):
    ui.run(task, card, "trace")

ui.other_runs(run_hash(task))
predicted.show_forecast(task, card)
key, run = ui.result_of(task, card)


@st.fragment
def results() -> None:
    truth = run.trace.continuation_ids
    texts = None if truth is None else [tokenizer.to_bytes(truth[0])]
    values = {name: float(found[0]) for name, found in compute_all(run.trace, texts).items()}
    shown = [name for name in CARDS if truth is not None or not MEASURES[name].needs_truth]
    for column, name in zip(st.container(key="cards").columns(len(shown)), shown, strict=True):
        measure = MEASURES[name]
        column.metric(measure.label, format_value(values[name], measure.unit), help=explain(name), border=True)
    lookup = ui.look_up(run, task.model, tokenizer)
    predictions = predicted.choose_tracks(run, key, task, card)
    view = linked_view(run, tokenizer, [*predictions, *(lookup.tracks() if lookup else ())])
    ui.linked_component({**view, **ui.selection()}, key=f"linked-{key[:16]}")
    st.caption(ui.note(task, run.provenance) + f" · fragile below a margin of {2 * float(run.trace.logit_noise):.1e}")
    if task.continuation_ids is not None:
        compare.offer_others(task.model)
    ui.show_training(lookup, task.model, tokenizer)
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
        said = predicted.exported(predictions, run.trace.n_context)
        files = {
            "JSON": (lambda: json.dumps(document(run, tokenizer, counts(), said), allow_nan=False), "json"),
            "CSV": (lambda: table(run, tokenizer, counts(), said).to_csv(index=False), "csv"),
            "Parquet": (lambda: table(run, tokenizer, counts(), said).to_parquet(index=False), "parquet"),
            "HTML": (lambda: standalone_html({**view, **ui.selection()}, title), "html"),
            "Token ids": (lambda: ids_file(task), "ids.json"),
        }
        for column, (label, (make, suffix)) in zip(export.columns(len(files)), files.items(), strict=True):
            name = f"memviz-{key[:12]}.{suffix}"
            column.download_button(label, make, name, on_click="ignore", width="stretch", key=f"export-{label}")
        export.caption("The same from the command line, with the token ids above:")
        export.code(command(task, f"memviz-{key[:12]}.ids.json"), language=None, wrap_lines=True)


results()
