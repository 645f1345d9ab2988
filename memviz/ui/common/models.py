"""Models got ready for a page, which stops where one is not."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from memviz.catalog import Card, Model, find_model, is_outdated, read_card
from memviz.settings import settings
from memviz.tasks.preparing import PrepareTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.clicks import clicked
from memviz.ui.common.process import bundled_models, default_model, session, tokenizer, worker
from memviz.ui.common.progress import say_end, watch
from memviz.ui.common.texts import escaped


def card_of(model: str) -> Card:
    """The card of a model; where it must be got ready first, shows that and stops the page here."""
    card = read_card(find_model(model, settings()), settings())
    if card:
        return card
    job = worker().job(PrepareTask(model).hash)
    bundled = any(model == each.name for each in bundled_models())
    if job is None and (bundled or is_outdated(find_model(model, settings()), settings())):
        job = worker().ask(PrepareTask(model, model == default_model()))
    if job is None or not job.active:
        say_end(PrepareTask(model))
        name = escaped(model)
        st.info(f"{name} must be read once before it can be used: its tokenizer, its weight identity, its limits.")
        if clicked(st, f"Get {name} ready", "prepare", type="primary"):
            worker().ask(PrepareTask(model), session())
            st.rerun()
        st.stop()
    watch(job, f"Getting {model} ready")
    st.stop()


def readers_of(models: Sequence[Model]) -> list[tuple[Card, Tokenizer]]:
    """Cards and tokenizers; where models must be got ready first, shows that and stops the page here."""
    cards = [read_card(model, settings()) for model in models]
    missing = [model.name for model, card in zip(models, cards, strict=True) if card is None]
    bundled = {model.name for model in bundled_models()}
    jobs = [worker().job(PrepareTask(name).hash) for name in missing]
    for place, name in enumerate(missing):
        if jobs[place] is None and name in bundled:
            jobs[place] = worker().ask(PrepareTask(name, load=False))
    active = [job for job in jobs if job and job.active]
    if active:
        watch(active[-1], f"Getting {len(active)} models ready")
        st.stop()
    if missing:
        for name in missing:
            say_end(PrepareTask(name))
        st.info(f"{escaped(', '.join(missing))} must be read once before use: tokenizer, weight identity, limits.")
        if clicked(st, f"Get {len(missing)} ready", "prepare_several", type="primary"):
            for name in missing:
                worker().ask(PrepareTask(name, load=False), session())
            st.rerun()
        st.stop()
    return [(card, tokenizer(card)) for card in cards if card]
