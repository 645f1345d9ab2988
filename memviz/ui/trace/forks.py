"""What if: on the Trace page, another token at the pinned position, and what the model goes on with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from memviz.catalog import Card
from memviz.errors import InputError, MemvizError
from memviz.figures.glyphs import visible
from memviz.figures.tracks import Track
from memviz.records import Run
from memviz.tasks.fork import N_IN_A_ROW, ForkTask, back_at, fork_of
from memviz.tasks.trace import TraceTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common import frames
from memviz.ui.common.answers import stored
from memviz.ui.common.clicks import clicked
from memviz.ui.common.links import LINK_LENGTH, find_task, index_in
from memviz.ui.common.process import session, store, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.widgets import open_expander

PARAMETER = "fork"
N_OFFERED, MOST_KEPT = 10, 6
LEAST_SAID = 0.0005
"""Probability that three decimals can say."""


def fork_tracks(run: Run, task: TraceTask, card: Card, own: Tokenizer) -> list[Track]:
    """The forks that the address names and that are stored, as rows of cells under the tokens."""
    drawn = [(fork, found) for fork in _named(task) if (found := stored(fork, card)) is not None]
    if not drawn:
        return []
    from memviz.figures.forks import fork_track  # half a second of imports, only where it is drawn

    truth, tracks = None if run.trace.continuation_ids is None else run.trace.continuation_ids[0], []
    for fork, found in drawn:
        written, at = fork.written(found), len(fork.forced_ids) - 1
        back = None if truth is None else back_at(written, truth, at)
        entropy = found.trace.free_running.entropy[0]
        tracks.append(fork_track(_words(written, own), written, entropy, at, truth, back, run.trace.n_context))
    return tracks


def show_forks(run: Run, task: TraceTask, card: Card, own: Tokenizer) -> None:
    """The section: the pinned position's alternatives to go on from, and the forks that the address names."""
    named = _named(task)
    if named:
        st.session_state.setdefault("trace_open_fork", True)
    box = open_expander("What if it had written another token?", "trace_open_fork")
    if not box:
        return
    with box:
        _offer(run, task, card, own, named)
        drawn = [(fork, found) for fork in named if (found := _found(fork, card)) is not None]
        if drawn:
            from memviz.figures.forks import fork_html, forks_figure  # half a second of imports, only where it is drawn

            truth = None if run.trace.continuation_ids is None else run.trace.continuation_ids[0]
            words = {fork.hash: _words(fork.written(found), own) for fork, found in drawn}
            for fork, found in drawn:
                left, right = st.columns([12, 1], vertical_alignment="center")
                back = None if truth is None else back_at(fork.written(found), truth, len(fork.forced_ids) - 1)
                left.html(fork_html(words[fork.hash], fork.written(found), truth, len(fork.forced_ids) - 1, back))
                left.caption(_said(fork, words[fork.hash], truth, back, run.trace.n_context))
                if clicked(right, "✕", f"fork-off-{fork.hash[:12]}", help="Take this fork out of the address"):
                    _keep([each for each in named if each != fork])
                    st.rerun(scope="fragment")
            lines = [(len(fork.forced_ids), found.trace.free_running.entropy[0]) for fork, found in drawn]
            labels = [f"“{words[fork.hash][len(fork.forced_ids) - 1]}”" for fork, _ in drawn]
            figure = forks_figure(run.trace.free_running.entropy[0], lines, labels, run.trace.n_context)
            frames.draw(figure, key=f"forks-{len(drawn)}-{drawn[0][0].hash[:12]}", config=frames.picture("forks"))


def _named(task: TraceTask) -> list[ForkTask]:
    """The forks of this prompt that the address names."""
    found = []
    for name in st.query_params.get(PARAMETER, "").split(",")[:MOST_KEPT]:
        try:
            fork = find_task(ForkTask, name[:LINK_LENGTH]) if name else None
        except MemvizError:
            continue
        if fork is not None and (fork.model, fork.context_ids) == (task.model, task.context_ids):
            found.append(fork)
    return found


def _keep(forks: Sequence[ForkTask]) -> None:
    for fork in forks:
        store().put_request(fork.hash, fork.request())
    st.query_params[PARAMETER] = ",".join(fork.hash[:LINK_LENGTH] for fork in forks[-MOST_KEPT:])
    if not forks:
        del st.query_params[PARAMETER]


def _offer(run: Run, task: TraceTask, card: Card, own: Tokenizer, named: Sequence[ForkTask]) -> None:
    """The tokens of the pinned position that a fork can start with."""
    pinned = index_in(st.query_params)
    t = -1 if pinned is None else pinned - run.trace.n_context
    if not 0 <= t < task.n_steps - 1:
        st.caption(
            "Pin a token of the continuation, not its last one, by a click on it above; the likeliest tokens of that "
            "position stand here then, and a click on one lets the model go on from it, greedily."
        )
        return
    scores, truth = run.trace.free_running, run.trace.continuation_ids
    ids, logprobs = scores.top_ids[0, t].tolist(), scores.top_logprobs[0, t].tolist()
    offered = {token: p for token, p in list(zip(ids, np.exp(logprobs), strict=True))[:N_OFFERED] if token >= 0}
    if truth is not None and run.trace.free_running_true is not None:
        offered.setdefault(int(truth[0, t]), float(np.exp(run.trace.free_running_true.logprob[0, t])))
    offered.pop(int(run.trace.generated_ids[0, t]), None)

    def named_token(token: int) -> str:
        mark = " · true" if truth is not None and token == truth[0, t] else ""
        p = offered[token]
        said = f"{p:.3f}" if p >= LEAST_SAID else f"{p:.0e}".replace("e-0", "e\N{MINUS SIGN}")
        return f"{escaped(_words([token], own)[0])}  {said}{mark}"

    key = f"fork_at_{task.hash[:12]}_{t}"
    chosen = st.pills(
        f"Index {pinned}: instead of “{escaped(_words(run.trace.generated_ids[0, t : t + 1], own)[0])}” (greedy)",
        list(offered),
        format_func=named_token,
        key=key,
    )
    if chosen is None:
        return
    try:
        fork = fork_of(task, run.trace.generated_ids[0], t, int(chosen))
        fork.check([card])
    except InputError as error:
        st.error(told(error))
        return
    if fork not in named:
        if stored(fork, card) is None:
            worker().ask(fork, session())
        _keep([*named, fork])
        st.rerun(scope="fragment")


def _found(fork: ForkTask, card: Card) -> Run | None:
    if under_way(fork, f"{fork.model} goes on from another token"):
        return None
    found = stored(fork, card)
    if found is None and not say_end(fork, "This fork was cancelled."):
        st.info("A fork of this link is not computed yet.")
        if clicked(st, "Compute it", f"fork-run-{fork.hash[:12]}"):
            worker().ask(fork, session())
            st.rerun(scope="fragment")
    return found


def _words(ids: Sequence[int] | np.ndarray, own: Tokenizer) -> list[str]:
    return visible(own.pieces(ids))


def _said(fork: ForkTask, words: Sequence[str], truth: np.ndarray | None, back: int | None, n_context: int) -> str:
    at = len(fork.forced_ids) - 1
    said = f"“{escaped(words[at])}” at index {n_context + at}"
    if truth is None:
        return said
    if back is None:
        return f"{said}: it does not come back to the text (no {N_IN_A_ROW} true tokens in a row behind it)"
    tokens = "1 token" if back - at == 1 else f"{back - at} tokens"
    return f"{said}: back in the text from index {n_context + back} on, {tokens} behind the fork"
