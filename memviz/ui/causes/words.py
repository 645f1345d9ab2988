"""A prompt's tokens as Causes writes them, and the one that its figures are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.figures.glyphs import visible
from memviz.tasks.causes import CauseTask
from memviz.tokenizer import Tokenizer
from memviz.ui.causes.form import PAGE
from memviz.ui.common.links import index_in
from memviz.ui.common.widgets import KEEP


class Words:
    """A prompt's tokens as text that can be seen."""

    def __init__(self, task: CauseTask[Any], own: Tokenizer) -> None:
        self._own = own
        self.context = self.of(task.text_ids)
        self.truth = self.of(task.continuation_ids)
        self.whole = [*self.of(task.context_ids), *self.truth]
        self.start = len(task.context_ids)
        self.n_leading = task.n_leading

    def of(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        return visible(self._own.pieces(ids))

    def numbered(self, words: Sequence[str], start: int) -> list[str]:
        return [f"{word}  {start + i}" for i, word in enumerate(words)]


def choose_position(words: Words, where: DeltaGenerator) -> int | None:
    """The position t that figures are about; the Trace page's pin where the address has one; None: all."""
    pinned = index_in(st.query_params)
    t = None if pinned is None else pinned - words.start
    key = f"{PAGE}_position"
    if t is not None and 0 <= t < len(words.truth) and st.session_state.get(f"{key}_from") != pinned:
        st.session_state[key], st.session_state[f"{key}_from"] = t, pinned
    options = [-1, *range(len(words.truth))]
    if st.session_state.get(key) not in options:
        st.session_state[key] = -1

    def said(t: int) -> str:
        return "all positions, mean" if t < 0 else f"{words.start + t}  {words.truth[t]}"

    chosen = where.selectbox("Token of the continuation", options, format_func=said, key=key, width=240, **KEEP)
    return None if chosen is None or chosen < 0 else chosen
