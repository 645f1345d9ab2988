"""The process's store and worker, this browser session, and what stands on every page."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from memviz.catalog import EMBEDDED, Card, Model, find_model, known_models, read_card
from memviz.demo.index import SUITE
from memviz.demo.samples import Samples
from memviz.errors import InputError
from memviz.gallery import open_store
from memviz.jobs import Worker
from memviz.records import Run
from memviz.settings import ROOT, settings
from memviz.store import Store
from memviz.tasks.trace import TraceTask, result_key, stored_run, tokenizer_of
from memviz.tokenizer import Tokenizer

PAGES = ROOT / "pages"
_MOMENT = 0.15
"""Seconds."""
WARM_UP_SECONDS = 1.5
"""After the first script run, so that importing torch does not hold up the drawing of its page."""


@cache
def store() -> Store:
    """The one store of this process."""
    return open_store(settings())


@cache
def worker() -> Worker:
    """The one worker of this process; its thread starts with the first job."""
    return Worker(settings(), store())


@cache
def samples() -> Samples | None:
    """The suite's training rows, or None where the suite is not there."""
    try:
        return Samples()
    except OSError:
        return None


@cache
def bundled_models() -> list[Model]:
    """The suite's models: whole runs before checkpoints, first seeds before others, large before small."""
    found = [model for model in known_models(settings()) if model.index == SUITE]
    return sorted(found, key=lambda m: (m.step != m.n_steps, m.seed, -(m.n_parameters or 0), -(m.step or 0), m.name))


def default_model() -> str:
    """What a first visitor sees: the suite's largest model, or the embedded one where the suite is not there."""
    return next((model.name for model in bundled_models()), EMBEDDED[0].name)


def guard_settings() -> None:
    """Stop with one sentence where the settings cannot be used."""
    try:
        settings()
    except InputError as error:
        st.error(str(error))
        st.stop()


def set_style() -> None:
    """What Streamlit's settings do not reach: room, widths, contrast of code in captions, where the focus is."""
    st.html(
        "<style>.stMainBlockContainer{padding:2.75rem clamp(1rem,3vw,3rem) 3rem}"
        ".st-key-unseen{display:none}[data-testid=stMetricLabel] p{font-size:.8rem}"
        ".st-key-measures td:nth-child(3){min-width:26rem}.st-key-measures td:nth-child(4){min-width:9rem}"
        "[class*=st-key-glossary] table{table-layout:fixed}[class*=st-key-glossary] :is(th,td):nth-child(1){width:19%}"
        "[class*=st-key-glossary] :is(th,td):nth-child(3){width:9%}"
        "[class*=st-key-glossary] :is(th,td):nth-child(4){width:22%}"
        "[class*=st-key-glossary] td{white-space:normal;overflow-wrap:break-word}"
        "[data-testid=stCaptionContainer] code{color:inherit;background:none}"
        "[data-testid=stSidebarNavLink]:focus-visible{outline:2px solid light-dark(#1f4e9c,#9dbcf0)}"
        "[data-testid=stButtonGroup] [data-selected=true] p,[data-testid=stSliderThumbValue] p"
        "{color:light-dark(#1f4e9c,#9dbcf0)}"
        "@media (max-width:640px){.st-key-cards [data-testid=stColumn]"
        "{flex:1 1 calc(50% - .5rem);min-width:calc(50% - .5rem)}}</style>"
    )


def set_defaults(page: str, values: Mapping[str, Any]) -> None:
    """What a page's widgets say before anybody chose anything."""
    for name, value in values.items():
        st.session_state.setdefault(f"{page}_{name}", value)


def draw_so_far(page: str) -> None:
    """Where a page opens, give the browser a moment for what is on its first screen before all the rest comes.

    Figures that come together are drawn in one go, which takes a second where there are ten.
    """
    if not st.session_state.get(f"{page}_drawn"):
        st.session_state[f"{page}_drawn"] = True
        time.sleep(_MOMENT)


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


def _load_default() -> None:
    from memviz.ui.server.rehearsal import open_examples

    open_examples()
    worker().prepare(default_model())


@cache
def _warm_up_later() -> None:
    timer = threading.Timer(WARM_UP_SECONDS, _load_default)
    timer.daemon = True
    timer.start()


def warm_up() -> None:
    """Once the first page is drawn: open the gallery, then load and measure the suite's largest model, behind it."""
    if settings().warm_up:
        _warm_up_later()


def escaped(text: str) -> str:
    """A text of unknown origin so that Markdown shows it as it stands."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!~|<>:$^=&])", r"\\\1", text)


def told(error: object) -> str:
    """What an error says, which may quote what others wrote, with nothing but its own `code` read as Markdown."""
    parts = re.split("(`[^`]*`)", str(error))
    return "".join(part if place % 2 else escaped(part) for place, part in enumerate(parts))


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


def device_kind(dtype: str) -> str:
    """The kind of device in a result's key; only asked of the engine where the key depends on it."""
    if dtype == "float32":
        return ""
    from memviz.engine.devices import choose_device

    return choose_device(settings().device).type


def stored(task: TraceTask, card: Card) -> Run | None:
    """The stored result of a task."""
    return stored_run(store(), result_key(task, card, device_kind(task.dtype)))


def within(label: str, value: float | None, low: float, high: float) -> None:
    """Raise InputError where a typed number is outside its limits; the widgets themselves take any."""
    if value is None or not low <= value <= high:
        raise InputError(
            f"{label} is {'empty' if value is None else f'{value:,}'}: give a number from {low:,} to {high:,}"
        )


def pinned_index(query: Mapping[str, str]) -> int | None:
    """The token index a link asks for, None where it asks for none or for what is no index."""
    token = query.get("tok", "")
    return int(token) if re.fullmatch("[0-9]{1,9}", token) else None


def refuse(error: Exception) -> None:
    """Show one sentence about input that cannot be used, and stop the page here."""
    st.error(told(error))
    st.stop()
