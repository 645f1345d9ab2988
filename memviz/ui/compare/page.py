"""What the Compare page is made of: choosing models, running them in order, the drawn ladder, links and files."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import Card, Model, find_model, known_models, read_card
from memviz.demo.index import SUITE
from memviz.errors import InputError, MemvizError
from memviz.export import command, document, ids_file, table
from memviz.figures.ladder import METRICS, MODES, Rung, component_css, component_js, step_data
from memviz.jobs import Job, Status, index_key
from memviz.records import Run
from memviz.settings import settings
from memviz.tasks.ladder import Choice, LadderTask, ascending, choices, ladder_from, step_of
from memviz.tasks.trace import TraceTask, run_hash
from memviz.tokenizer import Tokenizer
from memviz.ui.common.clicks import clicked
from memviz.ui.common.drawing import _component, _ignore
from memviz.ui.common.links import _fill
from memviz.ui.common.running import LINK_LENGTH, POLL_SECONDS, SEEN, watch
from memviz.ui.common.shared import (
    PAGES,
    bundled_models,
    escaped,
    samples,
    session,
    store,
    stored,
    tokenizer,
    told,
    worker,
)
from memviz.ui.trace.training_data import Lookup, corpus_of, ensure_index

PAGE = "compare"
HAND = "Chosen by hand"
COMPARE_HELP = "The same prompt under several models"
INSIDE_HELP = "The same prompt at every layer"
_STATE = {"pinned": "tok", "mode": "mode", "metric": "metric", "base": "base", "differences": "diff", "only": "only"}
"""What the component shares with the address, and under which name."""
_INPUTS = ("choice", "models", "source", "row", "text", "context", "continuation")


# Which models


def offered_models() -> list[Model]:
    """Models that can be compared: the bundled ones, and those that are ready, with their number of parameters."""
    bundled = {model.name for model in bundled_models()}
    cards = [(model, read_card(model, settings())) for model in known_models(settings())]
    known = [replace(model, n_parameters=card.n_parameters) if card else model for model, card in cards]
    return [model for model, (_, card) in zip(known, cards, strict=True) if card or model.name in bundled]


def choose_models(where: Any, linked: LadderTask | None) -> Choice:
    """The widgets that say which models, as a choice with their order."""
    offered = offered_models()
    found = {choice.label: choice for choice in choices(offered)}
    names = [*found, HAND]
    if st.session_state.get(f"{PAGE}_choice") not in names:
        st.session_state[f"{PAGE}_choice"] = names[0]
    label = where.selectbox("Models", names, key=f"{PAGE}_choice", persist_state="session")
    if label in found:
        return found[label]
    known = {model.name: model for model in offered}
    if linked:
        known |= {task.model: find_model(task.model, settings()) for task in linked.tasks}
    chosen = st.multiselect("Compare", list(known), key=f"{PAGE}_models", persist_state="session")
    return Choice(HAND, "hand", ascending(known[name] for name in chosen))


def readers_of(models: Sequence[Model]) -> list[tuple[Card, Tokenizer]]:
    """Cards and tokenizers; where models must be got ready first, shows that and stops the page here."""
    cards = [read_card(model, settings()) for model in models]
    missing = [model.name for model, card in zip(models, cards, strict=True) if card is None]
    bundled = {model.name for model in bundled_models()}
    jobs = [worker().job(f"prepare {name}") for name in missing]
    for place, name in enumerate(missing):
        if jobs[place] is None and name in bundled:
            jobs[place] = worker().prepare(name, load=False)
    active = [job for job in jobs if job and job.active]
    if active:
        watch(active[-1], f"Getting {len(active)} models ready")
        st.stop()
    if missing:
        for job in jobs:
            if job and job.status == Status.FAILED:
                st.error(told(job.error or ""))
        st.info(f"{escaped(', '.join(missing))} must be read once before use: tokenizer, weight identity, limits.")
        if clicked(st, f"Get {len(missing)} ready", f"{PAGE}_prepare", type="primary"):
            for name in missing:
                worker().prepare(name, session(), load=False)
            st.rerun()
        st.stop()
    return [(card, tokenizer(card)) for card in cards if card]


# Links


def _inputs() -> dict[str, Any]:
    return {name: st.session_state.get(f"{PAGE}_{name}") for name in _INPUTS}


def followed_ladder(passages: Mapping[str, str], own_text: str) -> LadderTask | None:
    """The comparison a link names, while the widgets still say what it says; never starts work."""
    name = st.query_params.get("run")
    if not name:
        return None
    try:
        request = store().get_request(name)
        task = request and ladder_from(request)
    except MemvizError as error:
        st.warning(f"This link cannot be followed: {told(error)}")
        return None
    if not task:
        st.warning(
            f"This link names comparison {name[:16]}, which is not stored here: "
            "it was made elsewhere, or the cache was cleared."
        )
        return None
    followed = st.session_state.get(f"{PAGE}_followed")
    if followed is None or followed[0] != name:
        _fill(PAGE, task.tasks[0], passages, own_text)
        names = tuple(one.model for one in task.tasks)
        label = next((c.label for c in choices(offered_models()) if tuple(m.name for m in c.models) == names), HAND)
        st.session_state[f"{PAGE}_choice"] = label
        st.session_state[f"{PAGE}_models"] = list(names)
        st.session_state[f"{PAGE}_followed"] = (name, _inputs())
    elif _inputs() != followed[1]:
        del st.session_state[f"{PAGE}_followed"]
        for parameter in ("run", "tok"):
            st.query_params.pop(parameter, None)
        return None
    return task


def run_ladder(task: LadderTask, readers: Sequence[tuple[Card, Tokenizer]]) -> None:
    """What the Run button does: every model without a stored result becomes a job, in order, drafts on offer."""
    store().put_request(task.hash, task.request())
    seen = st.session_state.setdefault(SEEN, set())
    for place, (one, (card, _)) in enumerate(zip(task.tasks, readers, strict=True)):
        seen.add(run_hash(one))  # this page shows them
        if stored(one, card) is None and not _refusal(one, card):
            worker().submit(one, session(), task.tasks[:place])
    ensure_index(task.tasks[-1].model)
    st.query_params["run"] = task.hash[:LINK_LENGTH]
    st.session_state[f"{PAGE}_followed"] = (task.hash[:LINK_LENGTH], _inputs())


def keep_link(task: LadderTask) -> None:
    """Name a comparison that was run in the address again, where clicks came too fast for it to stay."""
    followed = st.session_state.get(f"{PAGE}_followed")
    if followed and followed[0] == task.hash[:LINK_LENGTH] and "run" not in st.query_params:
        st.query_params["run"] = followed[0]


def offer_others(model: str) -> None:
    """On the Trace page: the ways to the same prompt under several models, and to every layer of them."""
    with st.container(horizontal=True):
        compared = clicked(st, "Open in Compare", "trace_to_compare", icon=":material/stacks:", help=COMPARE_HELP)
        inside = clicked(st, "Look inside the model", "trace_to_layers", icon=":material/layers:", help=INSIDE_HELP)
    if not compared and not inside:
        return
    for name in ("source", "row", "text", "context", "continuation"):
        if f"trace_{name}" in st.session_state:
            st.session_state[f"{PAGE}_{name}"] = st.session_state[f"trace_{name}"]
    found = choices(offered_models())
    fitting = [choice for choice in found if any(one.name == model for one in choice.models)]
    st.session_state[f"{PAGE}_choice"] = fitting[0].label if fitting else HAND
    if not fitting:
        st.session_state[f"{PAGE}_models"] = [model]
    st.switch_page(PAGES / f"{'layers' if inside else 'compare'}.py", query_params=_token())


def offer_trace(task: LadderTask, labels: Sequence[str]) -> None:
    """The way to one row on the Trace page."""
    about, button, _ = st.columns([2.4, 1.6, 4], vertical_alignment="bottom")
    places = range(len(task.tasks))
    place = about.selectbox("One row alone", places, len(places) - 1, format_func=lambda i: labels[i])
    if clicked(button, "Open in Trace", f"{PAGE}_to_trace", icon=":material/timeline:", width="stretch"):
        one = task.tasks[place]
        store().put_request(run_hash(one), one.request())
        st.switch_page("../pages/trace.py", query_params={"run": run_hash(one)[:LINK_LENGTH], **_token()})


def _token() -> dict[str, str]:
    token = st.query_params.get("tok", "")
    return {"tok": token} if re.fullmatch("[0-9]{1,9}", token) else {}


# Running


@dataclass(frozen=True)
class Row:
    """One model of the ladder: its task, its stored result, and its job."""

    task: TraceTask
    model: Model
    card: Card
    tokenizer: Tokenizer
    run: Run | None
    job: Job | None

    @property
    def status(self) -> str:
        """What stands in a row without a result."""
        refusal = _refusal(self.task, self.card)
        if refusal:
            return refusal
        if self.job and self.job.active:
            return "running" if self.job.status == Status.RUNNING else "in the queue"
        if self.job and self.job.status == Status.FAILED:
            return self.job.error or "the job failed"
        return "cancelled" if self.job and self.job.status == Status.CANCELLED else "not computed yet"


def _refusal(task: TraceTask, card: Card) -> str:
    try:
        task.check(card)
    except InputError as error:
        return str(error)
    return ""


def rows_of(task: LadderTask, readers: Sequence[tuple[Card, Tokenizer]]) -> list[Row]:
    """Every row as it is now; jobs are asked before the store, for one that just ended has saved its result."""
    rows = []
    for one, (card, own) in zip(task.tasks, readers, strict=True):
        job = worker().job(run_hash(one))
        rows.append(Row(one, find_model(one.model, settings()), card, own, stored(one, card), job))
    return rows


def watch_rows(rows: Sequence[Row]) -> None:
    """Progress of the jobs that are under way, with one button that cancels them; the page again when one ends."""
    jobs = [row.job for row in rows if row.job and row.job.active]
    if jobs:
        for job in jobs:
            job.attend(session())
        _watch_jobs(jobs, len(rows))


@st.fragment(run_every=POLL_SECONDS)
def _watch_jobs(jobs: list[Job], n: int) -> None:
    if any(not job.active for job in jobs):
        st.rerun(scope="app")
    now = next((job for job in jobs if job.status == Status.RUNNING), jobs[0])
    ahead = worker().place(now) if now.status == Status.QUEUED else 0
    stage = f"{ahead} before it in the queue" if ahead else now.stage
    share = (n - len(jobs) + (now.done / now.total if now.total else 0)) / n
    progress, button = st.columns([8, 1.3], vertical_alignment="center")
    progress.progress(min(1.0, share), text=escaped(f"{now.model}: {stage} · {n - len(jobs)} of {n} models done"))
    if clicked(button, "Cancel", f"{PAGE}_cancel", icon=":material/stop_circle:", width="stretch"):
        for job in jobs:
            worker().cancel(job)
        st.rerun(scope="app")


# Drawing


def ladder_component(data: dict[str, Any], key: str) -> None:
    """Draw the ladder, and keep what is chosen on it in the address."""
    draw = _component("memviz_ladder", component_css, component_js)
    chosen = draw(data=data, key=key, **{f"on_{name}_change": _ignore for name in _STATE})
    for name, parameter in _STATE.items():
        value = chosen.get(name)
        if isinstance(value, bool):
            value = "1" if value else None
        if value is not None:
            st.query_params[parameter] = str(value)
        elif name in st.session_state.get(key, {}):
            st.query_params.pop(parameter, None)


def ladder_state(names: Sequence[str]) -> dict[str, Any]:
    """What the address asks the ladder to show; what makes no sense is left out."""
    given, wishes = st.query_params, {"mode": MODES, "metric": METRICS, "base": names}
    asked: dict[str, Any] = {name: given[name] for name, known in wishes.items() if given.get(name) in known}
    asked |= {name: given.get(_STATE[name]) == "1" for name in ("differences", "only")}
    token = _token().get("tok")
    return {"pinned": int(token) if token else None, **asked}


def rungs_of(rows: Sequence[Row], axis: str) -> list[Rung]:
    """The rows as figures know them."""
    rungs = []
    for row in rows:
        step, n = step_of(row.model), row.card.n_parameters
        label = f"step {step:,}" if axis == "step" and step is not None else row.model.name
        facts = "" if axis == "step" else f"{n / 1e9:.3g}B" if n >= 1e9 else f"{n / 1e6:.2g}M" if n >= 1e5 else f"{n:,}"
        trace = row.run.trace if row.run else None
        rungs.append(Rung(row.model.name, label, facts, row.tokenizer.piece, trace, row.status, step))
    return rungs


def steps_of(rows: Sequence[Row], rungs: Sequence[Rung]) -> dict[str, Any]:
    """M by training step, with the exposures of the prompt's own row where the training data are known."""
    last = rows[-1]
    ids = [*last.task.context_ids, *(last.task.continuation_ids or ())][len(last.card.leading_ids) :]
    known = samples()
    row = known.row_of(ids) if known and known.tokenizer.hash == last.tokenizer.hash else None
    if known is not None and row is not None:
        steps = _exposures()[known.data.order == row]
        n = len(steps)
        times = "held out: never shown in training" if not n else f"shown {n} time{'' if n == 1 else 's'}, as marked"
        return step_data(rungs, steps, last.model.n_steps, f"Row {row} of the training data: {times}.")
    try:
        corpus = corpus_of(last.model, last.tokenizer)
    except InputError:
        corpus = None
    if corpus is None:
        said = "No index of the training data is here, so the steps that showed this text are not known."
        return step_data(rungs, None, last.model.n_steps, said)
    found = corpus.occurrences(np.array(ids), limit=None)
    said = f"Found word for word {found.n_exposures:,} times in {corpus.manifest.name}"
    if not any(entry.last_step for entry in corpus.manifest.shards):
        return step_data(rungs, None, last.model.n_steps, f"{said}, which does not say at which steps.")
    steps = np.concatenate([np.zeros(0, np.int64), *(place.steps for place in found.listed)])
    return step_data(rungs, steps, last.model.n_steps, f"{said}, as marked.")


@st.cache_resource(show_spinner=False)
def _exposures() -> np.ndarray:
    """(n_exposures,) the training step of each exposure, in stream order."""
    known = samples()
    assert known is not None
    return known.data.exposures()["step"].to_numpy()


# Files


def _facts(row: Row) -> dict[str, Any]:
    return {"n_parameters": row.card.n_parameters, "step": step_of(row.model), "seed": row.model.seed}


def ladder_document(task: LadderTask, rows: Sequence[Row]) -> str:
    """The ladder as JSON: one document of format 1 a model (docs/trace.md), with its size, step and seed."""
    done = [{**_facts(row), **document(row.run, row.tokenizer)} for row in rows if row.run]
    return json.dumps({"format": 1, "comparison": task.hash, "axis": task.axis, "rows": done}, allow_nan=False)


def ladder_table(rows: Sequence[Row]) -> pd.DataFrame:
    """One line a model and index, as the Trace page's table, with the model in front."""
    parts = []
    for row in rows:
        if row.run:
            part = table(row.run, row.tokenizer)
            for place, (name, value) in enumerate({"model": row.model.name, **_facts(row)}.items()):
                part.insert(place, name, value)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def commands(rows: Sequence[Row], aligned: bool, name: str) -> tuple[dict[str, str], str]:
    """Ids files by name, and the command lines that repeat every row from them."""
    files, lines = {}, []
    for row in rows:
        file = f"{name}.ids.json" if aligned else f"{name}-{row.model.slug}.ids.json"
        files[file] = ids_file(row.task)
        lines.append(command(row.task, file).replace("--out trace.json", f"--out {row.model.slug}.json"))
    return files, "\n".join(lines)


def packed(files: Mapping[str, str], name: str) -> tuple[Callable[[], str | bytes], str]:
    """What makes one download of some files, and its name: the file itself, or all of them in a .zip."""
    if len(files) == 1:
        ((file, content),) = files.items()
        return lambda: content, file

    def zipped() -> bytes:
        with io.BytesIO() as buffer:
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                for file, content in files.items():
                    archive.writestr(file, content)
            return buffer.getvalue()

    return zipped, f"{name}.ids.zip"


def say_counted(lookup: Lookup | None, row: Row) -> None:
    """Under the curves: the switch of the n-gram curve, and what it counts or why there is none."""
    toggle, note = st.columns([1.5, 6], vertical_alignment="center")
    on = toggle.toggle("n-gram counts", True, key=f"{PAGE}_counted", persist_state="session")
    if not on:
        said = "Counts of the text's n-grams in the training data are not drawn."
    elif lookup is None and (job := worker().job(index_key(SUITE))) and job.active:
        said = "The index of the training data is being built; its counts come with the next look at this page."
    elif lookup is None:
        name = escaped(row.model.name)
        said = f"No n-gram index of {name}'s training data is here; the Trace page says how to build one."
    elif not lookup.tracks():
        said = f"This text is not from {lookup.corpus.manifest.name}, so its n-grams are not counted."
    else:
        about = lookup.corpus.manifest
        said = f"n-grams of the text in {about.name}: exact counts over {about.n_tokens:,} tokens."
    note.caption(said)
