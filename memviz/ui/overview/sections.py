"""The Overview page's sections: a live example, doors to every page, models, machine and cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import streamlit as st

from memviz.catalog import Model, find_model, known_models, read_card, ready_cards
from memviz.export import linked_view
from memviz.gallery import Example
from memviz.measures.score import longest_common_prefix, memorization_score
from memviz.settings import settings
from memviz.store.sizes import folder_sizes, kept_bytes
from memviz.tasks.preparing import PrepareTask
from memviz.tasks.trace import TraceTask
from memviz.ui.common.answers import stored
from memviz.ui.common.clicks import clicked
from memviz.ui.common.doors import DOORS, PAGES
from memviz.ui.common.links import find_task
from memviz.ui.common.process import bundled_models, session, store, tokenizer, whole_runs, worker
from memviz.ui.common.progress import say_end, watch
from memviz.ui.common.runs import note
from memviz.ui.common.strip import linked_component, selection
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import open_expander

N_COLUMNS = 4
N_FIRST = 5
"""Models in the table that is seen at once."""
HERE = "lies here"
"""State of a model under a model root that is not ready."""
_TINY = 50_000
"""Bytes of a folder that is not worth a word."""


def show_live(example: Example) -> None:
    """A shipped run as the Trace page draws it, and the way there."""
    task = find_task(TraceTask, str(example.query["run"]))
    card = task and read_card(find_model(task.model, settings()), settings())
    run = stored(task, card) if task and card else None
    if not (task and card and run):
        st.info("The example that ships with memviz cannot be read here; **Trace** makes a new one.")
        return
    m = run.trace.n_continuation
    head, door = st.columns([5, 1.4], vertical_alignment="center")
    n_matching = int(longest_common_prefix(run.trace)[0])
    head.markdown(
        f"**{escaped(task.model)}**, {escaped(example.prompt)}: {n_matching} of {m} tokens "
        f"reproduced from the first on, M = {float(memorization_score(run.trace)[0]):.2f}. "
        "Hover or use the arrow keys; the curve under the tokens is the model's uncertainty."
    )
    door.page_link(PAGES / "trace.py", label="Open in Trace", icon=":material/timeline:", query_params=example.query)
    linked_component({**linked_view(run, tokenizer(card)), **selection()}, key="overview")
    st.caption(note(task, run.provenance))


def show_doors() -> None:
    """Every page with the question it answers."""
    others = DOORS[1:]
    for start in range(0, len(others), N_COLUMNS):
        for column, door in zip(st.columns(N_COLUMNS), others[start : start + N_COLUMNS], strict=False):
            with column.container(border=True, height="stretch"):
                st.page_link(PAGES / f"{door.name}.py", label=f"**{door.title}**", icon=f":material/{door.icon}:")
                st.caption(door.question)


def show_models() -> None:
    """The first models to ask in five lines; behind them every other one, and whether it can be run at once."""
    bundled = {model.name for model in bundled_models()}
    cards = {card.name: card for card in ready_cards(settings())}
    lines: list[dict[str, Any]] = [
        {
            "model": model.name,
            "state": _state(model, model.name in bundled),
            "remarks": "; ".join(cards[model.name].notes if model.name in cards else ()),
            "parameters": cards[model.name].n_parameters if model.name in cards else model.n_parameters,
            "licence": model.licence,
            "training data": model.corpus,
        }
        for model in known_models(settings())
    ]
    lines.sort(key=lambda line: line["state"] == "to be added")
    whole = set(whole_runs())
    first = [line for line in lines if line["model"] in whole]
    first = (first[1 - N_FIRST :] + [line for line in lines if line["model"] not in bundled])[:N_FIRST]
    st.table(
        [
            {
                "model": escaped(str(line["model"])),
                "state": line["state"],
                "parameters": _compact(line["parameters"]),
                "training data": escaped(str(line["training data"])),
            }
            for line in first
        ],
        border="horizontal",
        hide_index=True,
    )
    box = open_expander(f"All {len(lines)} models", "overview_models")
    if box:
        box.dataframe(
            lines,
            hide_index=True,
            height=330,
            column_config={"parameters": st.column_config.NumberColumn(format="compact")},
        )
    here = [str(line["model"]) for line in lines if line["state"] == HERE]
    if here:
        name = st.selectbox("A model that lies here", here, key="overview_here")
        if clicked(st, f"Get {escaped(name)} ready", "overview_prepare"):
            worker().ask(PrepareTask(name), session())
        job = worker().job(PrepareTask(name).hash)
        if job and job.active:
            watch(job, f"Getting {name} ready")
        else:
            say_end(PrepareTask(name))
    n_ready = sum(line["state"] == "ready" for line in lines)
    st.caption(
        f"{n_ready} of {len(lines)} are ready. Others are fetched with `memviz models add NAME`, and your own "
        "are offered from the folders in `MEMVIZ_MODEL_ROOTS`; opening a page never fetches anything."
    )


def _compact(n: int | None) -> str:
    if n is None:
        return ""
    return f"{n / 1e9:.3g}B" if n >= 1e9 else f"{n / 1e6:.2g}M" if n < 1e8 else f"{n / 1e6:.3g}M"


def _state(model: Model, is_bundled: bool) -> str:
    if read_card(model, settings()):
        return "ready"
    return "bundled" if is_bundled else HERE if model.is_here else "to be added"


def show_machine() -> None:
    """Device, memory, queue and what the cache holds."""
    backend, stats, memory = worker().backend, store().stats(), psutil.virtual_memory()
    lines = [
        ("device", _device_words() if backend else f"{settings().device}, chosen with the first run"),
        ("precision", settings().dtype),
        ("memory free", f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB"),
        ("models in memory", ", ".join(worker().models_in_memory)),
        ("queue", f"{worker().n_active} under way or waiting" if worker().n_active else "empty"),
        ("stored results", f"{stats.n_results:,}, {stats.n_bytes / 1e6:,.0f} of at most {stats.limit / 1e6:,.0f} MB"),
    ]
    sizes = _sizes(str(settings().cache))
    held = f"{kept_bytes(sizes) / 1e6:,.1f} of at most {stats.limit / 1e6:,.0f} MB"
    others = [f"{name} {n / 1e6:,.1f} MB" for name, n in sizes.items() if n > _TINY and name != "results"]
    lines += [
        ("beside them in the cache", ", ".join(others)),
        ("of it made and kept", f"{held}; nothing of it goes by itself"),
    ]
    st.table([{"": name, "value": value or "none"} for name, value in lines], border="horizontal", hide_index=True)


@st.cache_data(ttl=60, show_spinner=False)
def _sizes(cache: str) -> dict[str, int]:
    """Bytes of every folder of the cache, the largest first."""
    return dict(folder_sizes(Path(cache)).most_common())


def _device_words() -> str:
    from memviz.engine.devices import device_name, free_memory  # torch is loaded by now

    device = worker().backend.device
    return device_name(device) + (f", {free_memory(device) / 1e9:.1f} GB free" if device.type != "cpu" else "")
