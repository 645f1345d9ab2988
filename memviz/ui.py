"""What pages share: the process's store and worker, results with progress, and the components. Imports Streamlit."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import streamlit as st
from streamlit.components import v2 as components
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from memviz.catalog import Card, find_model, read_card
from memviz.figures.linked import FILLS, MODES, component_css, component_js
from memviz.figures.splitting import split_css, split_js
from memviz.jobs import Job, Status, Worker
from memviz.measures.score import longest_common_prefix, memorization_score
from memviz.records import Run
from memviz.settings import SettingsError, settings
from memviz.store import Store, StoreError
from memviz.tasks import InputError, TraceTask, result_key, run_hash, stored_run, task_from, tokenizer_of
from memviz.tokenizer import Tokenizer

log = logging.getLogger(__name__)
DEFAULT_MODEL = "smollm2-135m"
POLL_SECONDS = 0.5
WARM_UP_SECONDS = 1.5
"""After the first script run, so that importing torch does not hold up the drawing of its page."""
LINK_LENGTH = 16
"""Characters of a run hash in a link."""
_NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
_SAMPLING = ("sampled", *_NEUTRAL)


@cache
def store() -> Store:
    """The one store of this process."""
    return Store(settings().cache / "results", settings().cache_limit)


@cache
def worker() -> Worker:
    """The one worker of this process; its thread starts with the first job."""
    return Worker(settings(), store())


def guard_settings() -> None:
    """Stop with one sentence where the settings cannot be used."""
    try:
        settings()
    except SettingsError as error:
        st.error(str(error))
        st.stop()


def set_style() -> None:
    """Less room above and beside the page than Streamlit leaves, and labels of cards that fit."""
    st.html(
        "<style>.stMainBlockContainer{padding:2.75rem clamp(1rem,3vw,3rem) 3rem}"
        "[data-testid=stMetricLabel] p{font-size:.8rem}</style>"
    )


def set_defaults(page: str, values: Mapping[str, Any]) -> None:
    """What a page's widgets say before anybody chose anything."""
    for name, value in values.items():
        st.session_state.setdefault(f"{page}_{name}", value)


def session() -> str:
    """The id of this browser session."""
    context = get_script_run_ctx()
    return context.session_id if context else "none"


@st.cache_resource(scope="session", on_release=lambda session_id: worker().leave(session_id), show_spinner=False)
def _attendance(session_id: str) -> str:
    return session_id


def attend() -> None:
    """Let the worker know when this session's connection is gone."""
    _attendance(session())


@cache
def _warm_up_later() -> None:
    timer = threading.Timer(WARM_UP_SECONDS, lambda: worker().prepare(DEFAULT_MODEL))
    timer.daemon = True
    timer.start()


def warm_up(at_once: bool = False) -> None:
    """Get the embedded model ready in the background, converted, loaded and measured, once the first page is drawn."""
    if not at_once:
        _warm_up_later()
    elif worker().job(f"prepare {DEFAULT_MODEL}") is None:
        worker().prepare(DEFAULT_MODEL)


def open_expander(label: str, key: str) -> DeltaGenerator | None:
    """An expander to fill, or None while it is closed: what nobody looks at is neither computed nor sent."""
    box = st.expander(label, key=key, on_change="rerun")
    return box if box.open else None


def show_state() -> None:
    """Device, models in memory and the queue, at the foot of the sidebar."""
    with st.sidebar:
        backend = worker().backend
        resident = ", ".join(backend.residents.names()) if backend else ""
        n_active = worker().n_active
        lines = [
            f"{settings().dtype} · {backend.device.type if backend else settings().device}",
            f"in memory: {resident}" if resident else "no model in memory",
            "queue empty" if not n_active else f"{n_active} in the queue",
        ]
        st.caption("  \n".join(lines))


@st.cache_resource(max_entries=8, show_spinner=False)
def _tokenizer(name: str, weights: str) -> Tokenizer:
    card = read_card(find_model(name, settings()), settings())
    assert card is not None and card.weights == weights
    return tokenizer_of(card, settings())


def tokenizer(card: Card) -> Tokenizer:
    """The tokenizer of a prepared model, read once."""
    return _tokenizer(card.name, card.weights)


def card_of(model: str) -> Card:
    """The card of a model; where it must be got ready first, shows that and stops the page here."""
    card = read_card(find_model(model, settings()), settings())
    if card:
        return card
    if model == DEFAULT_MODEL:
        warm_up(at_once=True)
    job = worker().job(f"prepare {model}")
    if job is None or not job.active:
        if job and job.status == Status.FAILED:
            st.error(job.error or "")
        st.info(f"{model} must be read once before it can be used: its tokenizer, its weight identity, its limits.")
        if st.button(f"Get {model} ready", type="primary"):
            worker().prepare(model, session())
            st.rerun()
        st.stop()
    _watch(job, f"Getting {model} ready")
    st.stop()


def device_kind(dtype: str) -> str:
    """The kind of device in a result's key; only asked of the engine where the key depends on it."""
    if dtype == "float32":
        return ""
    from memviz.engine.devices import choose_device

    return choose_device(settings().device).type


def stored(task: TraceTask, card: Card) -> Run | None:
    """The stored result of a task."""
    return stored_run(store(), result_key(task, card, device_kind(task.dtype)))


def run(task: TraceTask, card: Card, page: str) -> None:
    """What the Run button does: keep the request under its hash, put it into the link, and start or join the job.

    A stored result is shown as it is, for reading never waits in the queue.
    """
    name = run_hash(task)
    store().put_request(name, task.request())
    if stored(task, card) is None:
        worker().submit(task, session())
    st.query_params["run"] = name[:LINK_LENGTH]
    st.session_state[f"{page}_followed"] = (name[:LINK_LENGTH], _inputs(page))


def _inputs(page: str) -> dict[str, Any]:
    """What the visitor has chosen on a page, by widget."""
    names = ("model", "source", "text", "context", "continuation", "decode_only", "bar_eos", *_SAMPLING)
    return {name: st.session_state.get(f"{page}_{name}") for name in names}


def followed_link(page: str, passages: Mapping[str, str], own_text: str) -> TraceTask | None:
    """The request a link names, while the widgets still say what it says; they are filled from it when it is new.

    Never starts work. An unknown hash is said to be unknown, and the page goes on as without a link.
    """
    name = st.query_params.get("run")
    if not name:
        return None
    try:
        request = store().get_request(name)
        task = request and task_from(request)
    except (ValueError, StoreError) as error:
        st.warning(f"This link cannot be followed: {error}")
        return None
    if not task:
        st.warning(
            f"This link names run {name[:16]}, which is not stored here: "
            "it was made elsewhere, or the cache was cleared."
        )
        return None
    followed = st.session_state.get(f"{page}_followed")
    if followed is None or followed[0] != name:
        _fill(page, task, passages, own_text)
        st.session_state[f"{page}_followed"] = (name, _inputs(page))
    elif _inputs(page) != followed[1]:
        for parameter in ("run", "tok"):
            st.query_params.pop(parameter, None)
        return None
    return task


def _fill(page: str, task: TraceTask, passages: Mapping[str, str], own_text: str) -> None:
    """Set a page's widgets to what a task asks."""
    card = card_of(task.model)
    ids = [*task.context_ids, *(task.continuation_ids or ())]
    text = tokenizer(card).to_bytes(ids[len(card.leading_ids) :]).decode("utf-8", "replace")
    source = next((title for title, passage in passages.items() if passage.startswith(text)), own_text)
    decoding = asdict(task.decoding)
    values = {
        "model": task.model,
        "source": source,
        "text": text if source == own_text else st.session_state.get(f"{page}_text", ""),
        "context": max(1, len(task.context_ids) - len(card.leading_ids)),
        "continuation": task.n_steps,
        "decode_only": task.continuation_ids is None,
        "bar_eos": task.decoding.bar_eos,
        "sampled": not task.decoding.greedy,
        **{name: _NEUTRAL[name] if decoding[name] is None else decoding[name] for name in _NEUTRAL},
    }
    for name, value in values.items():
        st.session_state[f"{page}_{name}"] = value


def take_upload(given: Any, text_key: str) -> None:
    """Put an uploaded text into a text area, once; says so where it is not UTF-8."""
    if given is None or st.session_state.get(f"{text_key}_from") == given.file_id:
        return
    try:
        st.session_state[text_key] = given.getvalue().decode("utf-8-sig")
        st.session_state[f"{text_key}_from"] = given.file_id
    except UnicodeDecodeError as error:
        st.error(f"{given.name} is not UTF-8 (byte {error.start}): save it as UTF-8")


def selection() -> dict[str, Any]:
    """The pinned token, way of reading and fill that the link asks for; what makes no sense is left out."""
    token, wishes = st.query_params.get("tok", ""), {"mode": MODES, "fill": FILLS}
    asked = {name: st.query_params[name] for name, known in wishes.items() if st.query_params.get(name) in known}
    return {"pinned": int(token) if re.fullmatch("[0-9]{1,9}", token) else None, **asked}


def linked_component(data: dict[str, Any], key: str) -> None:
    """Draw the linked strip, curve and alternatives, and keep its selection in the link."""
    draw, ignore = _component("memviz_trace", component_css, component_js), _ignore
    chosen = draw(data=data, key=key, on_pinned_change=ignore, on_mode_change=ignore, on_fill_change=ignore)
    for name, parameter in (("pinned", "tok"), ("mode", "mode"), ("fill", "fill")):
        value = chosen.get(name)
        if value is not None:
            st.query_params[parameter] = str(value)
        elif name == "pinned" and name in st.session_state.get(key, {}):
            st.query_params.pop(parameter, None)


def split_component(data: dict[str, Any], context_key: str) -> None:
    """Draw a text's tokens with the border of the context, which moves the number under `context_key`."""

    def take() -> None:
        moved = st.session_state[f"{context_key}_split"].get("context")
        if moved:
            st.session_state[context_key] = int(moved)

    _component("memviz_split", split_css, split_js)(data=data, key=f"{context_key}_split", on_context_change=take)


@cache
def _component(name: str, css: Callable[[], str], js: Callable[[], str]) -> Any:
    return components.component(name, css=css(), js=js())


def _ignore() -> None:
    return


def show_passages(passages: Mapping[str, str], task_for: Callable[[str], TraceTask], card: Card) -> None:
    """What a model really does with each passage, from the store alone, and a button that runs the others."""
    rows, missing = [], []
    for title, passage in passages.items():
        score, prefix = "too short for these numbers", ""
        try:
            task = task_for(passage)
            key = result_key(task, card, device_kind(task.dtype))
            score, prefix = _score_and_prefix(key) if store().has(key) else ("not run yet", "")
            missing += [task] if score == "not run yet" else []
        except InputError:
            pass
        rows.append({"passage": title, "score M": score, "reproduced from the start": prefix})
    st.table(rows, border="horizontal", hide_index=True)
    if missing and st.button(f"Run the {len(missing)} not run yet"):
        for task in missing:
            worker().submit(task, session())
        st.rerun()
    waiting = [job for task in missing if (job := worker().job(run_hash(task))) and job.active]
    if waiting:
        _watch(waiting[-1], f"{len(waiting)} to run")


@st.cache_data(max_entries=500, show_spinner=False)
def _score_and_prefix(key: str) -> tuple[str, str]:
    found = stored_run(store(), key)
    if found is None:
        return "not run yet", ""
    score, prefix = memorization_score(found.trace)[0], longest_common_prefix(found.trace)[0]
    return f"{score:.2f}", f"{prefix} of {found.trace.n_continuation} tokens"


def result_of(task: TraceTask, card: Card) -> tuple[str, Run]:
    """Key and result of a task; where there is none, shows its job or how to start it, and stops the page here.

    The job is asked before the store, for a job that just ended has already saved its result.
    """
    job = worker().job(run_hash(task))
    if job and job.active:
        job.attend(session())
        _watch(job, f"{task.model} is decoding {task.n_steps} tokens", cancel=True)
        st.stop()
    found = stored(task, card)
    if found:
        return result_key(task, card, device_kind(task.dtype)), found
    if job and job.status == Status.FAILED:
        st.error(job.error or "the job failed")
    elif job and job.status == Status.CANCELLED:
        st.info("Cancelled; nothing was kept. Press **Run** to start again.")
    else:
        st.info("Not computed yet: press **Run**. Opening a page or a link never starts work.")
    st.stop()


@st.fragment(run_every=POLL_SECONDS)
def _watch(job: Job, title: str, cancel: bool = False) -> None:
    """Progress of a job, polled while it is active; then the whole page once."""
    if not job.active:
        st.rerun(scope="app")
    ahead = worker().place(job) if job.status == Status.QUEUED else 0
    stage = f"{ahead} before it in the queue" if ahead else job.stage
    share = min(1.0, job.done / job.total) if job.total else 0.0
    st.progress(share, text=f"{title}: {stage}")
    columns = st.columns([1, 2, 4], vertical_alignment="center")
    if cancel:
        if columns[0].button("Cancel", key=f"cancel-{job.id}", icon=":material/stop_circle:"):
            job.cancel()
        job.kept = columns[1].toggle("Go on when nobody watches", value=job.kept, key=f"keep-{job.id}")
    columns[2].caption(f"{job.seconds:.0f} s" + (f" · {job.done} of {job.total} positions" if job.total else ""))


def refuse(error: Exception) -> None:
    """Show one sentence about input that cannot be used, and stop the page here."""
    st.error(str(error))
    st.stop()


def note(task: TraceTask, provenance: dict[str, Any]) -> str:
    """Where a result came from, in one line."""
    versions = provenance["versions"]
    job = worker().job(run_hash(task))
    origin = "computed just now" if job and job.computed else "from the store"
    return (
        f"{origin} · "
        f"{provenance['label']} · revision {provenance['revision']} · weights {provenance['weights'][:19]} · "
        f"{provenance['dtype']} · {provenance['device']} · {provenance['seconds']:.2f} s · "
        f"{provenance['created'][:16]} UTC · "
        f"torch {versions['torch']} · transformers {versions['transformers']}"
    )
