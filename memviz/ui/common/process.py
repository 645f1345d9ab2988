"""The one store and worker of this process, and what is read once for all of its visitors."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from memviz.catalog import EMBEDDED, Card, Model, find_model, known_models, read_card
from memviz.demo.index import SUITE
from memviz.demo.samples import Samples, suite_samples
from memviz.errors import Failure
from memviz.gallery import open_store
from memviz.jobs import Worker
from memviz.settings import settings
from memviz.store import Store
from memviz.tasks.trace import tokenizer_of
from memviz.tokenizer import Tokenizer


@cache
def store() -> Store:
    """The one store of this process."""
    return open_store(settings())


@cache
def worker() -> Worker:
    """The one worker of this process; its thread starts with the first job."""
    return Worker(settings(), store())


def session() -> str:
    """The id of this browser session."""
    context = get_script_run_ctx()
    return context.session_id if context else "none"


def is_at_server() -> bool:
    """Whether this visitor sits at the server's own machine, and reached it under one of the machine's own names.

    Whoever comes through a proxy does not, whatever name and address come along.
    """
    headers = {name.lower(): value for name, value in st.context.headers.items()}
    host = urlsplit("//" + headers.get("host", "")).hostname
    came_on = any(name.startswith(("x-forwarded", "forwarded", "via", "x-real-ip")) for name in headers)
    return st.context.ip_address is None and host in ("localhost", "127.0.0.1", "::1") and not came_on


@cache
def samples() -> Samples | None:
    """The suite's training rows, or None where the suite is not there."""
    return suite_samples()


@cache
def bundled_models() -> list[Model]:
    """The suite's models: whole runs before checkpoints, first seeds before others, large before small."""
    found = [model for model in known_models(settings()) if model.index == SUITE]
    return sorted(found, key=lambda m: (m.step != m.n_steps, m.seed, -(m.n_parameters or 0), -(m.step or 0), m.name))


def whole_runs() -> list[str]:
    """The suite's models at the end of their training with their first seed, the smallest first."""
    return [model.name for model in bundled_models() if model.step == model.n_steps and not model.seed][::-1]


def default_model() -> str:
    """What a first visitor sees: the suite's largest model, or the embedded one where the suite is not there."""
    return next((model.name for model in bundled_models()), EMBEDDED[0].name)


@st.cache_resource(max_entries=8, show_spinner=False)
def _tokenizer(name: str, weights: str) -> Tokenizer:
    card = read_card(find_model(name, settings()), settings())
    assert card is not None and card.weights == weights
    return tokenizer_of(card, settings())


def tokenizer(card: Card) -> Tokenizer:
    """The tokenizer of a prepared model, read once."""
    return _tokenizer(card.name, card.weights)


def known_device() -> tuple[str, str]:
    """Kind and name of the device of the worker's engine. Raises Failure where it has not started."""
    found = worker().device
    if found is None:
        raise Failure("the engine has not started, and with it which device it runs on")
    return found
