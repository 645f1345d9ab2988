"""What does one model write after this context, and is it what the text says?"""

import json

import streamlit as st

from memviz import ui
from memviz.catalog import known_models, read_card
from memviz.export import command, document, ids_file, linked_view, table
from memviz.figures.linked import standalone_html
from memviz.figures.splitting import N_SHOWN, split_data
from memviz.measures import MEASURES, compute_all
from memviz.measures.display import format_value
from memviz.passages import PASSAGES
from memviz.records import Decoding
from memviz.settings import settings
from memviz.tasks import MAX_TEXT_BYTES, InputError, TraceTask, task_of_text

OWN_TEXT = "Text of your own"
CARDS = ("memorization_score", "longest_common_prefix", "entropy_jump", "log10_n_p90", "edit_similarity")
DEFAULTS = {"context": 24, "continuation": 40, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
KEEP = {"persist_state": "session"}

st.title("Trace")
st.markdown("What does one model write after this context, and is it what the text says?")

ui.set_defaults("trace", DEFAULTS)
linked = ui.followed_link("trace", PASSAGES, OWN_TEXT)
ready = [model.name for model in known_models(settings()) if read_card(model, settings())]
models = list(dict.fromkeys([*([linked.model] if linked else []), ui.DEFAULT_MODEL, *ready]))
bar = st.columns([3, 4.4, 1.9, 1.9, 1.9, 1.3], vertical_alignment="bottom")
model = bar[0].selectbox("Model", models, key="trace_model", **KEEP)
source = bar[1].selectbox("Text", [*PASSAGES, OWN_TEXT], key="trace_source", **KEEP)
n_context = bar[2].number_input("Context", 1, MAX_TEXT_BYTES, key="trace_context", **KEEP)
n_steps = bar[3].number_input("Continuation", 1, MAX_TEXT_BYTES, key="trace_continuation", **KEEP)
with bar[4].popover("Decoding", width="stretch"):
    sampled = st.toggle("Sample", help="Draw tokens instead of taking the likeliest.", key="trace_sampled", **KEEP)
    temperature = st.number_input(
        "Temperature", 0.05, 5.0, step=0.1, disabled=not sampled, key="trace_temperature", **KEEP
    )
    top_k = st.number_input("Top-k (0: all)", 0, 1_000_000, disabled=not sampled, key="trace_top_k", **KEEP)
    top_p = st.number_input("Top-p", 0.01, 1.0, step=0.05, disabled=not sampled, key="trace_top_p", **KEEP)
    seed = st.number_input("Seed", 0, 2**53 - 1, disabled=not sampled, key="trace_seed", **KEEP)
    bar_eos = st.toggle("Bar the end of sequence", help="Published Pythia evaluations do.", key="trace_bar_eos", **KEEP)
    decode_only = st.toggle("Decode only", help="All of the text is context.", key="trace_decode_only", **KEEP)
pressed = bar[5].button("Run", type="primary", width="stretch", disabled=model not in ready, key="trace_run")


def task_for(text: str) -> TraceTask:
    """The task that the widgets ask of a text."""
    sampling = {
        "temperature": temperature,
        "top_k": top_k or None,
        "top_p": None if top_p == 1 else top_p,
        "seed": seed,
    }
    options = {"decoding": Decoding(**sampling if sampled else {}, bar_eos=bar_eos), "dtype": settings().dtype}
    return task_of_text(text, card, tokenizer, n_context, n_steps, not decode_only, **options)


text = PASSAGES.get(source)
if text is None:
    given = st.file_uploader("A .txt file", type="txt", max_upload_size=MAX_TEXT_BYTES // 1_000_000, key="trace_upload")
    ui.take_upload(given, "trace_text")
    text = st.text_area("Text", key="trace_text", height=140, placeholder="Paste or type a passage.", **KEEP)
card = ui.card_of(model)
tokenizer = ui.tokenizer(card)
split = ui.open_expander("Where the context ends: click a token, or use the arrow keys", "trace_open_split")
if split and text.strip() and not decode_only:
    ids = tokenizer.encode(text)
    with split:
        view = split_data(tokenizer.pieces(ids[:N_SHOWN]), len(ids), n_context, n_steps)
        ui.split_component(view, "trace_context")
passages = ui.open_expander(f"What {model} does with each of the passages", "trace_open_passages")
if passages:
    with passages:
        ui.show_passages(PASSAGES, task_for, card)
try:
    task = linked or task_for(text)
    task.check(card)
except InputError as error:
    ui.refuse(error)
if pressed:
    ui.run(task, card, "trace")

key, run = ui.result_of(task, card)


@st.fragment
def results() -> None:
    truth = run.trace.continuation_ids
    texts = None if truth is None else [tokenizer.to_bytes(truth[0])]
    values = {name: float(found[0]) for name, found in compute_all(run.trace, texts).items()}
    shown = [name for name in CARDS if truth is not None or not MEASURES[name].needs_truth]
    for column, name in zip(st.columns(len(shown)), shown, strict=True):
        measure = MEASURES[name]
        column.metric(measure.label, format_value(values[name], measure.unit), help=measure.help, border=True)
    view = linked_view(run, tokenizer)
    ui.linked_component({**view, **ui.selection()}, key=f"linked-{key[:16]}")
    st.caption(ui.note(task, run.provenance) + f" · fragile below a margin of {2 * float(run.trace.logit_noise):.1e}")
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
        measures.table(rows, border="horizontal", hide_index=True)
    export = ui.open_expander("Export", "trace_open_export")
    if export:
        title = f"{task.model}, {len(task.context_ids)} + {task.n_steps} tokens"
        files = {
            "JSON": (lambda: json.dumps(document(run, tokenizer), allow_nan=False), "json"),
            "CSV": (lambda: table(run, tokenizer).to_csv(index=False), "csv"),
            "Parquet": (lambda: table(run, tokenizer).to_parquet(index=False), "parquet"),
            "HTML": (lambda: standalone_html({**view, **ui.selection()}, title), "html"),
            "Token ids": (lambda: ids_file(task), "ids.json"),
        }
        for column, (label, (make, suffix)) in zip(export.columns(len(files)), files.items(), strict=True):
            name = f"memviz-{key[:12]}.{suffix}"
            column.download_button(label, make, name, on_click="ignore", width="stretch", key=f"export-{label}")
        export.caption("The same from the command line, with the token ids above:")
        export.code(command(task, f"memviz-{key[:12]}.ids.json"), language=None, wrap_lines=True)


results()
