"""What the page Inside the model is made of: every layer asked about one prompt, and cells looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from memviz.catalog import Card, Model, find_model
from memviz.errors import InputError
from memviz.figures.glyphs import segments
from memviz.jobs import Job, Status
from memviz.measures.lens import NEVER, LensReading, LensScores
from memviz.records import Piece
from memviz.settings import settings
from memviz.tasks.ladder import LadderTask
from memviz.tasks.lens import LensTask, lens_key, lens_of, stored_lens
from memviz.tasks.trace import run_hash
from memviz.tokenizer import Tokenizer
from memviz.ui.common.clicks import clicked
from memviz.ui.common.running import LINK_LENGTH
from memviz.ui.common.shared import device_kind, escaped, pinned_index, session, store, told, worker
from memviz.ui.compare.page import PAGE, _inputs, _watch_jobs

MODES = {"teacher_forced": "teacher-forced", "free_running": "free-running"}
READS = {
    "teacher_forced": "the model reads context and truth",
    "free_running": "the model reads context and what it wrote",
}
_PROMPT = ("source", "row", "text", "context", "continuation")


@dataclass(frozen=True)
class Row:
    """One model: what is asked of it, its stored reading, and its job."""

    task: LensTask
    model: Model
    card: Card
    tokenizer: Tokenizer
    reading: LensReading | None
    job: Job | None

    @property
    def n_context(self) -> int:
        return len(self.task.context_ids)

    def scores(self, mode: str) -> LensScores:
        assert self.reading is not None
        return self.reading.free_running if mode == "free_running" else self.reading.teacher_forced

    def words(self, token_ids: Sequence[int] | np.ndarray) -> list[str]:
        """Tokens as text that can be seen."""
        return [_word(piece) for piece in self.tokenizer.pieces(token_ids)]


def _word(piece: Piece) -> str:
    return "".join(segments(piece))


def rows_of(task: LadderTask, readers: Sequence[tuple[Card, Tokenizer]]) -> list[Row]:
    """Every model as it is now; jobs are asked before the store, for one that just ended has saved its result."""
    rows = []
    for one, (card, own) in zip(task.tasks, readers, strict=True):
        lens = lens_of(one)
        job = worker().job(lens.hash)
        reading = stored_lens(store(), lens_key(lens, card, device_kind(lens.dtype)))
        rows.append(Row(lens, find_model(one.model, settings()), card, own, reading, job))
    return rows


def run_lenses(task: LadderTask, rows: Sequence[Row]) -> None:
    """What the Run button does: every model without a stored reading becomes a job; the link names the prompt.

    Raises InputError where the prompt does not fit a model.
    """
    for row in rows:
        row.task.whole.check(row.card)
    store().put_request(task.hash, task.request())
    for row in rows:
        if row.reading is None:
            worker().ask(row.task, session())
    st.query_params["run"] = task.hash[:LINK_LENGTH]
    st.session_state[f"{PAGE}_followed"] = (task.hash[:LINK_LENGTH], _inputs())


def watch_rows(rows: Sequence[Row]) -> None:
    """Progress of the jobs under way; a sentence for each that failed."""
    jobs = [row.job for row in rows if row.job and row.job.active]
    for job in jobs:
        job.attend(session())
    if jobs:
        _watch_jobs(jobs, len(rows))
    for row in rows:
        if row.reading is None and row.job and row.job.status == Status.FAILED:
            st.error(f"{escaped(row.model.name)}: {told(row.job.error or 'the job failed')}")


def offer_traces_prompt() -> None:
    """A button that takes over the prompt of the Trace page, where it is another one."""
    theirs = {name: st.session_state.get(f"trace_{name}") for name in _PROMPT}
    ours = {name: st.session_state.get(f"{PAGE}_{name}") for name in _PROMPT}
    if theirs["source"] is None or theirs == ours:
        return

    def take() -> None:
        for name, value in theirs.items():
            st.session_state[f"{PAGE}_{name}"] = value

    st.button("Take the Trace page's prompt", icon=":material/timeline:", on_click=take)


def offer_other_pages(task: LadderTask, row: Row) -> None:
    """The ways to the same prompt on the pages that show what was written."""
    with st.container(horizontal=True):
        if clicked(st, "Open in Compare", f"{PAGE}_to_compare", icon=":material/stacks:"):
            store().put_request(task.hash, task.request())
            st.switch_page("../pages/compare.py", query_params={"run": task.hash[:LINK_LENGTH]})
        if clicked(st, f"Open in Trace, {row.model.name}", f"{PAGE}_to_trace", icon=":material/timeline:"):
            whole = row.task.whole
            store().put_request(run_hash(whole), whole.request())
            st.switch_page("../pages/trace.py", query_params={"run": run_hash(whole)[:LINK_LENGTH]})


def said_of(row: Row, mode: str) -> str:
    """A reading in a sentence."""
    assert row.reading is not None
    scores = row.scores(mode)
    commit, last = scores.commit, len(scores.rank) - 1
    right = commit[commit != NEVER]
    matches = int((row.reading.generated_ids == row.reading.true_ids).sum())
    said = f"**{escaped(row.model.name)}** reproduces {matches} of {len(commit)} tokens of the continuation. "
    said += f"Read {MODES[mode]}, its last layer holds the true token at {len(right)} of {len(commit)} positions"
    if not len(right):
        return f"{said}."
    return f"{said}; half of these are held from layer {np.median(right):g} of {last} on (median commit layer)."


# A cell


def take_cell(key: str) -> None:
    """A clicked cell goes into the address: `layer`, and `tok`, the token's index."""
    points = st.session_state[key]["selection"]["points"]
    if points:
        layer, t = points[0]["customdata"][:2]
        st.query_params["layer"] = str(int(layer))
        st.query_params["tok"] = str(int(t) + st.session_state[f"{key}_context"])


def chosen_cell(row: Row, mode: str) -> tuple[int, int] | None:
    """(layer, t) that the address names, where there is such a cell."""
    n_layers, m = row.scores(mode).rank.shape
    layer = pinned_index({"tok": st.query_params.get("layer", "")})
    index = pinned_index(st.query_params)
    if layer is None or index is None:
        return None
    t = index - row.n_context
    return (layer, t) if layer < n_layers and 0 <= t < m else None


def show_cell(row: Row, mode: str, cell: tuple[int, int]) -> None:
    """What one layer would say at one position: its likeliest tokens, and the true one with its rank."""
    assert row.reading is not None
    (layer, t), scores = cell, row.scores(mode)
    last = len(scores.rank) - 1
    true_id = int(row.reading.true_ids[t])
    name = (
        "The embedding" if layer == 0 else f"Layer {layer} of {last}" + (", the model itself" if layer == last else "")
    )
    st.markdown(f"**{name}, index {row.n_context + t}**")
    ids, logprobs = scores.top_ids[layer, t].tolist(), scores.top_logprobs[layer, t].tolist()
    ranks = list(range(1, len(ids) + 1))
    if true_id not in ids:
        ids, logprobs = [*ids, true_id], [*logprobs, float(scores.logprob[layer, t])]
        ranks.append(int(scores.rank[layer, t]))
    listed = pd.DataFrame(
        {
            "true": ["✓" if token_id == true_id else "" for token_id in ids],
            "rank": ranks,
            "token": row.words(ids),
            "p": np.exp(logprobs),
        }
    )
    widths = {"true": st.column_config.TextColumn(width=46), "rank": st.column_config.NumberColumn(width=60)}
    st.dataframe(
        listed, hide_index=True, column_config={**widths, "p": st.column_config.NumberColumn(format="%.3f", width=64)}
    )
    st.caption(f"Entropy {scores.entropy[layer, t]:.2f} nats; {MODES[mode]}: {READS[mode]}.")


# Files


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """One line a model, way of reading, position and layer."""
    parts = []
    for row in rows:
        if row.reading is None:
            continue
        for mode in MODES:
            scores = row.scores(mode)
            n_layers, m = scores.rank.shape
            layer, t = np.divmod(np.arange(n_layers * m), m)
            true_ids, commit = row.reading.true_ids, scores.commit
            parts.append(
                pd.DataFrame(
                    {
                        "model": row.model.name,
                        "mode": mode,
                        "layer": layer,
                        "depth": scores.depth[layer],
                        "index": t + row.n_context,
                        "t": t,
                        "true_id": true_ids[t],
                        "true_token": np.array(row.words(true_ids), object)[t],
                        "rank": scores.rank.ravel(),
                        "logprob": scores.logprob.ravel(),
                        "entropy": scores.entropy.ravel(),
                        "argmax_id": scores.top_ids[..., 0].ravel(),
                        "argmax_logprob": scores.top_logprobs[..., 0].ravel(),
                        "commit_layer": pd.array(np.where(commit == NEVER, -1, commit)[t], "Int64"),
                    }
                )
            )
    table = pd.concat(parts, ignore_index=True)
    table.loc[table["commit_layer"] < 0, "commit_layer"] = pd.NA
    return table


def check_rows(rows: Sequence[Row]) -> None:
    """Raise InputError where the prompt does not fit one of the models."""
    for row in rows:
        try:
            row.task.whole.check(row.card)
        except InputError as error:
            raise InputError(f"{row.model.name}: {error}") from None
